// Turns a row of float32 activations into what the products multiply; every set gives the same bits.
#include "linear_isa.hpp"
#include "simd.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

constexpr int32_t kInfinity = 0x7f800000;
constexpr float kSmallest = 1e-30f;  // below it a block counts as zeros: 127 / x stays finite
constexpr float kNoNumber = __builtin_nanf("");

#if PN_LEVEL >= 2
// The largest magnitude; as bits, so that what is not a number wins.
int32_t largest_bits(const float* x) {
  const __m512i most =
      _mm512_max_epi32(_mm512_castps_si512(absolute(Vec::load(x)).v),
                       _mm512_castps_si512(absolute(Vec::load(x + kBlock / 2)).v));
  return _mm512_reduce_max_epi32(most);
}

// Nearest codes, ties to even, and the sum of each half.
void round_codes(const float* x, float inverse, int8_t* codes, int32_t* sums) {
  const __m512i first = _mm512_cvtps_epi32((Vec::load(x) * Vec::set(inverse)).v);
  const __m512i second = _mm512_cvtps_epi32((Vec::load(x + kBlock / 2) * Vec::set(inverse)).v);
  const __m256i both =
      _mm256_set_m128i(_mm512_cvtepi32_epi8(second), _mm512_cvtepi32_epi8(first));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), both);
  __m256i fours = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), both);
  fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0x4e));
  fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0xb1));
  sums[0] = _mm256_extract_epi32(fours, 0);
  sums[1] = _mm256_extract_epi32(fours, 4);
}
#else
int32_t largest_bits(const float* x) {
  int32_t largest = 0;
  for (int i = 0; i < kBlock; ++i) {
    const auto bits = static_cast<int32_t>(float_to_bits(x[i]) & 0x7fffffffu);
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

// The sum leaves the nearest integer, ties to even, in the low bits of the float.
void round_codes(const float* x, float inverse, int8_t* codes, int32_t* sums) {
  sums[0] = sums[1] = 0;
  for (int i = 0; i < kBlock; ++i) {
    const float shifted = x[i] * inverse + 12582912.0f;
    const int32_t code = static_cast<int32_t>(float_to_bits(shifted)) - 0x4b400000;
    codes[i] = static_cast<int8_t>(code);
    sums[i / (kBlock / 2)] += code;
  }
}
#endif

void quantise_block(const float* x, RowBlock& block) {
  const int32_t bits = largest_bits(x);
  const float most = bits_to_float(static_cast<uint32_t>(bits));
  int32_t sums[2] = {0, 0};
  if (bits < kInfinity && most >= kSmallest) {
    round_codes(x, 127.0f / most, block.codes, sums);
    block.scale = most / 127.0f;
  } else {
    __builtin_memset(block.codes, 0, kBlock);
    block.scale = bits >= kInfinity ? kNoNumber : 0.0f;
  }
  const int32_t sum = sums[0] + sums[1];
  block.minus_128 = -128 * sum;
  block.minus_16 = -16 * sum;
  block.minus_8 = -8 * sum;
  block.minus_32[0] = -32 * sums[0];
  block.minus_32[1] = -32 * sums[1];
  block.minus_sum = -(block.scale * static_cast<float>(sum));
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
