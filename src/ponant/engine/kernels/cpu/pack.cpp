// Repacks weights into panels without a second quantisation, and reads rows back out of them.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks.hpp"
#include "forms.hpp"
#include "pool.hpp"

namespace ponant {
namespace {

// The rows of a panel in their file: `lanes` of them.
struct Source {
  const uint8_t* rows;
  size_t row_bytes;
  int lanes;
};

// One panel of an integer form, to be written.
struct Target {
  uint8_t *codes, *scales, *halves;
  int code_stride, half_bytes, high_bits;
  size_t low_plane = 0;  // from a block's upper bits to its lower, where they stand apart

  Target(int form, int inputs, uint8_t* panel) {
    const PanelLayout layout = panel_layout(form, inputs);
    codes = panel;
    scales = panel + layout.scales;
    halves = panel + layout.halves;
    code_stride = ponant::code_stride(form);
    if (form == PN_I8P) low_plane = static_cast<size_t>(block_count(inputs)) * kLowBytes;
    half_bytes = ponant::half_bytes(form);
    high_bits = ponant::high_bits(form);
  }

  void put_codes(size_t block, int lane, const uint8_t* values) const {
    uint8_t* to = codes + block * code_stride + lane * 4;
    if (low_plane) {
      put_nibbles(to, values, 4);
      put_nibbles(to + low_plane, values, 0);
    } else if (high_bits == 4) {
      for (int c = 0; c < 8; ++c) std::memcpy(to + c * 64, values + 4 * c, 4);
    } else {
      put_nibbles(to, values, 0);
      if (high_bits) put_high(codes + block * code_stride + kLowBytes, lane, values);
    }
  }
  // Four bits of each code, `shift` high; the next four inputs in the upper halves.
  static void put_nibbles(uint8_t* to, const uint8_t* values, int shift) {
    for (int c = 0; c < 4; ++c)
      for (int j = 0; j < 4; ++j)
        to[c * 64 + j] = static_cast<uint8_t>((values[8 * c + j] >> shift & 15) |
                                              (values[8 * c + 4 + j] >> shift & 15) << 4);
  }
  // The bits above the lower four. A lane's four codes share a half byte of their vector's word, or
  // stand in bytes of their own.
  void put_high(uint8_t* high, int lane, const uint8_t* values) const {
    for (int vector = 0; vector < kBlock / 4; ++vector)
      for (int j = 0; j < 4; ++j) {
        const int bits = values[4 * vector + j] >> 4, place = lane * 4 + j;
        uint8_t& byte = high_bits == 1 ? high[vector * 8 + place / 8] : high[vector / 4 * 64 + place];
        const int shift = high_bits == 1 ? place % 8 : vector % 4 * 2;
        const int mask = high_bits == 1 ? 1 : 3;
        byte = static_cast<uint8_t>((byte & ~(mask << shift)) | bits << shift);
      }
  }
  int high_at(const uint8_t* high, int lane, int input) const {
    const int vector = input / 4, place = lane * 4 + input % 4;
    if (high_bits == 1) return high[vector * 8 + place / 8] >> place % 8 & 1;
    return high[vector / 4 * 64 + place] >> vector % 4 * 2 & 3;
  }
  // A half that belongs to the block: two bytes a lane.
  void put_half(size_t block, int lane, const uint8_t* half) const {
    std::memcpy(scales + block * kScaleBytes + lane * 2, half, 2);
  }
  // Two bytes a block in two planes of one byte a lane.
  void put_small(size_t block, int lane, const uint8_t* two) const {
    scales[block * kScaleBytes + lane] = two[0];
    scales[block * kScaleBytes + kLanes + lane] = two[1];
  }
  void put_super(size_t super, int plane, int lane, const uint8_t* half) const {
    std::memcpy(halves + super * half_bytes + plane * 32 + lane * 2, half, 2);
  }
};

// Types with blocks of 32.
template <class Read>
void pack_blocks(const Source& source, int blocks, int bytes, const Target& target, Read read) {
  BlockCodes parts;
  for (int block = 0; block < blocks; ++block)
    for (int lane = 0; lane < source.lanes; ++lane) {
      read(source.rows + lane * source.row_bytes + static_cast<size_t>(block) * bytes, parts);
      target.put_codes(block, lane, parts.codes);
      target.put_half(block, lane, parts.scales);
    }
}

// K types; `offsets` are the bytes of their halves in a block.
template <class Read>
void pack_supers(const Source& source, int supers, int bytes, const int* offsets, int planes,
                 const Target& target, Read read) {
  BlockCodes parts;
  for (int super = 0; super < supers; ++super)
    for (int lane = 0; lane < source.lanes; ++lane) {
      const uint8_t* from =
          source.rows + lane * source.row_bytes + static_cast<size_t>(super) * bytes;
      for (int plane = 0; plane < planes; ++plane)
        target.put_super(super, plane, lane, from + offsets[plane]);
      for (int sub = 0; sub < 8; ++sub) {
        read(from, sub, parts);
        target.put_codes(static_cast<size_t>(super) * 8 + sub, lane, parts.codes);
        target.put_small(static_cast<size_t>(super) * 8 + sub, lane, parts.scales);
      }
    }
}

void pack_integers(int type, const Source& source, int inputs, const Target& target) {
  const BlockSize size = block_size(type);
  const int count = inputs / size.values;
  constexpr int kAffineHalves[] = {0, 2}, kScaledHalf[] = {208};
  switch (type) {
    case kQ4_0:
      return pack_blocks(source, count, size.bytes, target, read_q4_0);
    case kQ5_0:
      return pack_blocks(source, count, size.bytes, target, read_q5_0);
    case kQ8_0:
      return pack_blocks(source, count, size.bytes, target, read_q8_0);
    case kQ4_K:
      return pack_supers(source, count, size.bytes, kAffineHalves, 2, target, read_q4_k);
    case kQ5_K:
      return pack_supers(source, count, size.bytes, kAffineHalves, 2, target, read_q5_k);
    default:
      return pack_supers(source, count, size.bytes, kScaledHalf, 1, target, read_q6_k);
  }
}

float read_float(int type, const uint8_t* row, int input) {
  uint16_t half;
  float value;
  if (type == kF32) {
    std::memcpy(&value, row + static_cast<size_t>(input) * 4, 4);
    return value;
  }
  std::memcpy(&half, row + static_cast<size_t>(input) * 2, 2);
  return type == kF16 ? half_to_float(half) : bf16_to_float(half);
}

// Where a value of a float form stands in its panel, counted in values.
size_t float_place(int form, int input, int lane) {
  if (form != PN_BF16) return static_cast<size_t>(input) * kLanes + lane;
  return static_cast<size_t>(input / 2) * 2 * kLanes + lane * 2 + input % 2;
}

void pack_floats(int type, const Source& source, int form, int inputs, uint8_t* panel) {
  for (int input = 0; input < inputs; ++input)
    for (int lane = 0; lane < source.lanes; ++lane) {
      const uint8_t* row = source.rows + lane * source.row_bytes;
      const size_t place = float_place(form, input, lane);
      if (form == PN_F16) {
        std::memcpy(panel + place * 2, row + static_cast<size_t>(input) * 2, 2);
      } else if (form == PN_F32) {
        const float value = read_float(type, row, input);
        std::memcpy(panel + place * 4, &value, 4);
      } else {
        const uint16_t value = float_to_bf16(read_float(type, row, input));
        std::memcpy(panel + place * 2, &value, 2);
      }
    }
}

bool belong_together(int type, int form, int inputs) {
  const BlockSize size = block_size(type);
  if (!size.values || inputs % size.values) return false;
  if (form == lossless_form(type) || (type == kQ8_0 && form == PN_I8P)) return true;
  const bool floats = type == kF32 || type == kF16 || type == kBF16;
  return floats && (form == PN_F32 || form == PN_BF16);
}

// Nearest codes with scale = largest / 127 as half.
void quantise_block(const float* x, int count, BlockCodes& out) {
  float most = 0.0f;
  for (int i = 0; i < count; ++i) most = std::max(most, std::fabs(x[i]));
  const uint16_t half = float_to_half(std::min(most / 127.0f, 65504.0f));
  const float scale = half_to_float(half);
  std::memcpy(out.scales, &half, 2);
  std::memset(out.codes, 128, kBlock);
  if (scale == 0.0f) return;
  for (int i = 0; i < count; ++i) {
    const float code = std::nearbyint(x[i] / scale);
    out.codes[i] = static_cast<uint8_t>(std::max(-127.0f, std::min(127.0f, code)) + 128.0f);
  }
}

void quantise_panel(const float* rows, int inputs, int lanes, const Target& target) {
  BlockCodes parts;
  for (int block = 0; block < block_count(inputs); ++block)
    for (int lane = 0; lane < lanes; ++lane) {
      const int start = block * kBlock;
      const float* x = rows + static_cast<size_t>(lane) * inputs + start;
      quantise_block(x, std::min(kBlock, inputs - start), parts);
      target.put_codes(block, lane, parts.codes);
      target.put_half(block, lane, parts.scales);
    }
}

// Reading back: one lane of one panel.

float half_at(const uint8_t* halves, int lane) {
  uint16_t half;
  std::memcpy(&half, halves + lane * 2, 2);
  return half_to_float(half);
}

int code_at(const Target& panel, int block, int input, int lane) {
  const uint8_t* codes = panel.codes + static_cast<size_t>(block) * panel.code_stride;
  const uint8_t* own = codes + lane * 4 + input % 4;
  const int place = input / 8 * 64, shift = input % 8 / 4 * 4;
  if (panel.low_plane)
    return (own[place] >> shift & 15) << 4 | (own[panel.low_plane + place] >> shift & 15);
  if (panel.high_bits == 4) return own[input / 4 * 64];
  const int low = own[place] >> shift & 15;
  return panel.high_bits ? low | panel.high_at(codes + kLowBytes, lane, input) << 4 : low;
}

void read_block(int form, const Target& panel, int block, int lane, int count, float* out) {
  const uint8_t* scales = panel.scales + static_cast<size_t>(block) * kScaleBytes;
  const uint8_t* halves = panel.halves + static_cast<size_t>(block / 8) * panel.half_bytes;
  float scale[2], minimum = 0.0f;
  int offset = 0;
  if (form == PN_I8 || form == PN_I8P || form == PN_I5 || form == PN_I4) {
    scale[0] = scale[1] = half_at(scales, lane);
    offset = 8 << panel.high_bits;
  } else if (form == PN_I6S16) {
    for (int half = 0; half < 2; ++half)
      scale[half] = half_at(halves, lane) * static_cast<int8_t>(scales[half * kLanes + lane]);
    offset = 32;
  } else {
    scale[0] = scale[1] = half_at(halves, lane) * scales[lane];
    minimum = half_at(halves + 32, lane) * scales[kLanes + lane];
  }
  for (int i = 0; i < count; ++i) {
    const float value = static_cast<float>(code_at(panel, block, i, lane) - offset) * scale[i / 16];
    out[i] = form == PN_I5M || form == PN_I4M ? value - minimum : value;
  }
}

void read_integers(const pn_matrix& matrix, uint8_t* panel, int lane, float* out) {
  const Target parts(matrix.form, matrix.inputs, panel);
  for (int block = 0; block < block_count(matrix.inputs); ++block) {
    const int start = block * kBlock;
    read_block(matrix.form, parts, block, lane, std::min(kBlock, matrix.inputs - start),
               out + start);
  }
}

void read_floats(const pn_matrix& matrix, const uint8_t* panel, int lane, float* out) {
  for (int input = 0; input < matrix.inputs; ++input) {
    const size_t place = float_place(matrix.form, input, lane);
    if (matrix.form == PN_F32) {
      std::memcpy(out + input, panel + place * 4, 4);
      continue;
    }
    uint16_t half;
    std::memcpy(&half, panel + place * 2, 2);
    out[input] = matrix.form == PN_F16 ? half_to_float(half) : bf16_to_float(half);
  }
}

}  // namespace
}  // namespace ponant

using namespace ponant;

extern "C" size_t pn_packed_size(int form, int outputs, int inputs) {
  if (form < PN_F32 || form > PN_I8P || outputs <= 0 || inputs <= 0) return 0;
  return panel_layout(form, inputs).size * panel_count(outputs);
}

extern "C" int pn_pack(pn_pool* pool, int ggml_type, const void* rows, int form, int outputs,
                       int inputs, void* packed) {
  if (outputs <= 0 || inputs <= 0 || !belong_together(ggml_type, form, inputs)) return -1;
  const BlockSize block = block_size(ggml_type);
  const size_t row_bytes = static_cast<size_t>(inputs / block.values) * block.bytes;
  const size_t panel_bytes = panel_layout(form, inputs).size;
  reinterpret_cast<Pool*>(pool)->run(panel_count(outputs), [&](int panel, int) {
    const int first = panel * kLanes;
    const Source source{static_cast<const uint8_t*>(rows) + first * row_bytes, row_bytes,
                        std::min(kLanes, outputs - first)};
    uint8_t* to = static_cast<uint8_t*>(packed) + panel * panel_bytes;
    if (source.lanes < kLanes || inputs % 2) std::memset(to, 0, panel_bytes);
    if (is_integer(form))
      pack_integers(ggml_type, source, inputs, Target(form, inputs, to));
    else
      pack_floats(ggml_type, source, form, inputs, to);
  });
  return 0;
}

extern "C" int pn_quantise(pn_pool* pool, const float* rows, int form, int outputs, int inputs,
                           void* packed) {
  if (form != PN_I8 || outputs <= 0 || inputs <= 0) return -1;
  const size_t panel_bytes = panel_layout(form, inputs).size;
  reinterpret_cast<Pool*>(pool)->run(panel_count(outputs), [&](int panel, int) {
    const int first = panel * kLanes, lanes = std::min(kLanes, outputs - first);
    uint8_t* to = static_cast<uint8_t*>(packed) + panel * panel_bytes;
    if (lanes < kLanes) std::memset(to, 0, panel_bytes);
    quantise_panel(rows + static_cast<size_t>(first) * inputs, inputs, lanes,
                   Target(form, inputs, to));
  });
  return 0;
}

extern "C" void pn_rows(const pn_matrix* matrix, const int32_t* indices, int count, float* out) {
  const size_t panel_bytes = panel_layout(matrix->form, matrix->inputs).size;
  for (int i = 0; i < count; ++i) {
    // Only read; one type serves writing and reading.
    auto* data = const_cast<uint8_t*>(static_cast<const uint8_t*>(matrix->data));
    uint8_t* panel = data + indices[i] / kLanes * panel_bytes;
    float* row = out + static_cast<size_t>(i) * matrix->inputs;
    if (is_integer(matrix->form))
      read_integers(*matrix, panel, indices[i] % kLanes, row);
    else
      read_floats(*matrix, panel, indices[i] % kLanes, row);
  }
}
