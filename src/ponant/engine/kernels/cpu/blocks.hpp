// Blocks of GGUF files (ggml-quants.h of llama.cpp) taken apart into unsigned codes and scales.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "forms.hpp"

namespace ponant {

enum GgmlType { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ5_0 = 6, kQ8_0 = 8, kQ4_K = 12, kQ5_K = 13, kQ6_K = 14, kBF16 = 30 };

// Values and bytes of a block; zeros for a type that is not read.
struct BlockSize {
  int values, bytes;
};

inline BlockSize block_size(int type) {
  switch (type) {
    case kF32:
      return {1, 4};
    case kF16:
    case kBF16:
      return {1, 2};
    case kQ4_0:
      return {32, 18};
    case kQ5_0:
      return {32, 22};
    case kQ8_0:
      return {32, 34};
    case kQ4_K:
      return {256, 144};
    case kQ5_K:
      return {256, 176};
    case kQ6_K:
      return {256, 210};
    default:
      return {0, 0};
  }
}

// The packed form that holds a type without loss; -1: none.
inline int lossless_form(int type) {
  switch (type) {
    case kF32:
      return PN_F32;
    case kF16:
      return PN_F16;
    case kBF16:
      return PN_BF16;
    case kQ4_0:
      return PN_I4;
    case kQ5_0:
      return PN_I5;
    case kQ8_0:
      return PN_I8;
    case kQ4_K:
      return PN_I4M;
    case kQ5_K:
      return PN_I5M;
    case kQ6_K:
      return PN_I6S16;
    default:
      return -1;
  }
}

// 32 inputs of one output. `scales` are the block's bytes of the scale plane: a half, or a small
// scale and a minimum, or two small scales.
struct BlockCodes {
  uint8_t codes[kBlock];
  uint8_t scales[2];
};

inline void low_then_high(const uint8_t* packed, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = packed[i] & 15;
    codes[16 + i] = static_cast<uint8_t>(packed[i] >> 4);
  }
}

// Codes 0 to 15, offset 8.
inline void read_q4_0(const uint8_t* block, BlockCodes& out) {
  std::memcpy(out.scales, block, 2);
  low_then_high(block + 2, out.codes);
}

// Five bits, offset 16.
inline void read_q5_0(const uint8_t* block, BlockCodes& out) {
  uint32_t high;
  std::memcpy(out.scales, block, 2);
  std::memcpy(&high, block + 2, 4);
  low_then_high(block + 6, out.codes);
  for (int i = 0; i < kBlock; ++i)
    out.codes[i] = static_cast<uint8_t>(out.codes[i] | (high >> i & 1u) << 4);
}

inline void read_q8_0(const uint8_t* block, BlockCodes& out) {
  std::memcpy(out.scales, block, 2);
  for (int i = 0; i < kBlock; ++i) out.codes[i] = block[2 + i] ^ 0x80;
}

// Scale and minimum number `sub` (0 to 7) of a Q4_K or Q5_K block, six bits each.
inline void read_small_scales(const uint8_t* block, int sub, uint8_t* scales) {
  const uint8_t* packed = block + 4;
  if (sub < 4) {
    scales[0] = packed[sub] & 63;
    scales[1] = packed[sub + 4] & 63;
    return;
  }
  scales[0] = static_cast<uint8_t>((packed[sub + 4] & 15) | packed[sub - 4] >> 6 << 4);
  scales[1] = static_cast<uint8_t>(packed[sub + 4] >> 4 | packed[sub] >> 6 << 4);
}

inline void read_q4_k(const uint8_t* block, int sub, BlockCodes& out) {
  read_small_scales(block, sub, out.scales);
  const uint8_t* packed = block + 16 + sub / 2 * 32;
  const int shift = sub % 2 * 4;
  for (int i = 0; i < kBlock; ++i) out.codes[i] = packed[i] >> shift & 15;
}

inline void read_q5_k(const uint8_t* block, int sub, BlockCodes& out) {
  read_small_scales(block, sub, out.scales);
  const uint8_t *high = block + 16, *packed = block + 48 + sub / 2 * 32;
  const int shift = sub % 2 * 4;
  for (int i = 0; i < kBlock; ++i)
    out.codes[i] = static_cast<uint8_t>((packed[i] >> shift & 15) | (high[i] >> sub & 1) << 4);
}

// Six bits, offset 32.
inline void read_q6_k(const uint8_t* block, int sub, BlockCodes& out) {
  std::memcpy(out.scales, block + 192 + 2 * sub, 2);
  const int half = sub / 4, part = sub % 4;
  const uint8_t* low = block + half * 64 + part % 2 * 32;
  const uint8_t* high = block + 128 + half * 32;
  const int shift = part / 2 * 4;
  for (int i = 0; i < kBlock; ++i)
    out.codes[i] = static_cast<uint8_t>((low[i] >> shift & 15) | (high[i] >> 2 * part & 3) << 4);
}

}  // namespace ponant
