// How packed weights stand in memory: panels of 16 outputs, each cut into blocks of 32 inputs.
//
// A panel holds, one after the other: the codes of all its blocks, 32 bytes of scales a block, and
// for the forms that come from K blocks the halves of every 256 inputs. Codes stand as
// [input / 4][output][input % 4], so that a vector of 64 bytes multiplies four inputs of sixteen
// outputs; codes of 4 bits put the next four inputs in the high halves of the same bytes. The fifth
// bits of a block stand behind its lower ones, eight words of one bit a code; fifth and sixth bits
// fill two vectors of four codes a byte. PN_I8P has the upper four bits of all blocks first, then the
// lower four of all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ponant.h"

namespace ponant {

constexpr int kLanes = 16;   // outputs a panel
constexpr int kBlock = 32;   // inputs a block
constexpr int kSuper = 256;  // inputs a K block of GGUF
constexpr int kScaleBytes = 32;  // a block of a panel

// Bits that say which activations a product needs.
constexpr unsigned kFloatRows = 1, kBf16Rows = 2, kInt8Rows = 4;

static inline bool is_integer(int form) { return form >= PN_I8 && form <= PN_I8P; }

static inline int panel_count(int outputs) { return (outputs + kLanes - 1) / kLanes; }

static inline int block_count(int inputs) { return (inputs + kBlock - 1) / kBlock; }

// Bits of a code above its lower four: 0, 1 or 2; 4 where codes are whole bytes.
static constexpr int high_bits(int form) {
  if (form == PN_I8 || form == PN_I8P) return 4;
  if (form == PN_I6S16) return 2;
  return form == PN_I5 || form == PN_I5M ? 1 : 0;
}

constexpr int kLowBytes = kLanes * kBlock / 2;  // the lower four bits of a block's codes

// Bytes of codes that a block of a panel takes.
static constexpr int code_bytes(int form) {
  return kLanes * kBlock * (4 + high_bits(form)) / 8;
}

// Bytes from one block's codes to the next block's.
static constexpr int code_stride(int form) { return form == PN_I8P ? kLowBytes : code_bytes(form); }

// Bytes of halves that 256 inputs of a panel take.
static inline int half_bytes(int form) {
  if (form == PN_I6S16) return 2 * kLanes;
  return form == PN_I5M || form == PN_I4M ? 4 * kLanes : 0;
}

// Where the parts of an integer panel lie, in bytes from its start.
struct PanelLayout {
  size_t scales, halves, size;
};

static inline size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static inline PanelLayout panel_layout(int form, int inputs) {
  const size_t blocks = block_count(inputs);
  const size_t supers = (static_cast<size_t>(inputs) + kSuper - 1) / kSuper;
  PanelLayout layout{};
  switch (form) {
    case PN_F32:
      layout.size = static_cast<size_t>(inputs) * kLanes * 4;
      return layout;
    case PN_F16:
      layout.size = whole_lines(static_cast<size_t>(inputs) * kLanes * 2);
      return layout;
    case PN_BF16:
      layout.size = (static_cast<size_t>(inputs) + 1) / 2 * kLanes * 4;
      return layout;
    default:
      layout.scales = blocks * code_bytes(form);
      layout.halves = layout.scales + blocks * kScaleBytes;
      layout.size = whole_lines(layout.halves + supers * half_bytes(form));
      return layout;
  }
}

// Conversions, exact or to nearest even.
static inline float bits_to_float(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

static inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}

static inline float bf16_to_float(uint16_t half) {
  return bits_to_float(static_cast<uint32_t>(half) << 16);
}

static inline uint16_t float_to_bf16(float value) {
  const uint32_t bits = float_to_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float half_to_float(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
  if (rest >= 0x7c00u) return bits_to_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // The exponent of a normal half moves by 112; the product also makes small halves normal.
  const float value = bits_to_float(rest << 13) * bits_to_float(0x77800000u);
  return bits_to_float(float_to_bits(value) | sign);
}

static inline uint16_t float_to_half(float value) {
  const uint32_t bits = float_to_bits(value), sign = bits >> 16 & 0x8000u;
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (rest >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (rest < 0x38800000u) {  // small: adding 0.5 aligns the bits and rounds them
    const uint32_t aligned = float_to_bits(bits_to_float(rest) + 0.5f);
    return static_cast<uint16_t>(sign | (aligned - 0x3f000000u));
  }
  return static_cast<uint16_t>(sign | ((rest + 0xfffu + (rest >> 13 & 1u) - 0x38000000u) >> 13));
}

}  // namespace ponant
