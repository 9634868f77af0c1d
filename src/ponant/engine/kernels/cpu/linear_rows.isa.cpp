// Turns a row of float32 activations into what the products multiply. Plain loops, which the
// compiler puts into vectors; every set gives the same bits.
#include "linear_isa.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

constexpr int32_t kInfinity = 0x7f800000;
constexpr float kSmallest = 1e-30f;  // below it a block counts as zeros: 127 / x stays finite
constexpr float kNoNumber = __builtin_nanf("");

// The largest magnitude; as bits, so that what is not a number wins.
float magnitude(const float* x) {
  int32_t largest = 0;
  for (int i = 0; i < kBlock; ++i) {
    const auto bits = static_cast<int32_t>(float_to_bits(x[i]) & 0x7fffffffu);
    largest = bits > largest ? bits : largest;
  }
  return largest >= kInfinity ? kNoNumber : bits_to_float(static_cast<uint32_t>(largest));
}

// Nearest integers, ties to even: the sum leaves the integer in the low bits of the float.
int32_t round_codes(const float* x, float inverse, int count, int8_t* codes) {
  int32_t sum = 0;
  for (int i = 0; i < count; ++i) {
    const float shifted = x[i] * inverse + 12582912.0f;
    const int32_t code = static_cast<int32_t>(float_to_bits(shifted)) - 0x4b400000;
    codes[i] = static_cast<int8_t>(code);
    sum += code;
  }
  return sum;
}

void quantise_block(const float* x, RowBlock& block) {
  const float most = magnitude(x);
  const bool usable = most >= kSmallest;  // false for what is not a number, too
  const float inverse = usable ? 127.0f / most : 0.0f;
  int32_t first = 0, second = 0;
  if (usable) {
    first = round_codes(x, inverse, kBlock / 2, block.codes);
    second = round_codes(x + kBlock / 2, inverse, kBlock / 2, block.codes + kBlock / 2);
  } else {
    __builtin_memset(block.codes, 0, kBlock);
  }
  block.scale = usable ? most / 127.0f : most != most ? most : 0.0f;
  block.minus_128 = -128 * (first + second);
  block.minus_8 = -8 * (first + second);
  block.minus_32[0] = -32 * first;
  block.minus_32[1] = -32 * second;
  block.minus_sum = -(block.scale * static_cast<float>(first + second));
}

}  // namespace

void quantise(const float* x, int inputs, RowBlock* blocks) {
  const int whole = inputs / kBlock;
  for (int b = 0; b < whole; ++b) quantise_block(x + b * kBlock, blocks[b]);
  if (whole * kBlock == inputs) return;
  float last[kBlock] = {};
  __builtin_memcpy(last, x + whole * kBlock, sizeof(float) * (inputs - whole * kBlock));
  quantise_block(last, blocks[whole]);
}

void halve(const float* x, int inputs, uint32_t* pairs) {
  for (int i = 0; i < inputs / 2; ++i)
    pairs[i] = float_to_bf16(x[2 * i]) | static_cast<uint32_t>(float_to_bf16(x[2 * i + 1])) << 16;
  if (inputs % 2) pairs[inputs / 2] = float_to_bf16(x[inputs - 1]);
}

}  // namespace PN_ISA
}  // namespace ponant
