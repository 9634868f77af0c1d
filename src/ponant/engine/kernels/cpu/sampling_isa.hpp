// What drawing does to every score of a row, compiled for every instruction set.
#pragma once

#include <cstdint>

namespace ponant {

constexpr int kScoreBlock = 256;  // scores whose largest and whose mass are kept together

// Of internal linkage, like `decay`: each set's sources must use the copy compiled for them.
static inline int score_blocks(int count) { return (count + kScoreBlock - 1) / kScoreBlock; }

// The sums below are taken in an order that is the same in every set, and so are their bits.
struct SamplingSet {
  // The largest score of every block. False where a score is infinite or no number.
  bool (*peaks)(const float* scores, int count, float* peaks);
  // Sum of exp((score - top) * factor), of every block and of all.
  double (*masses)(const float* scores, int count, float top, float factor, double* masses);
  // exp((score - top) * factor) of every score.
  void (*weigh)(const float* scores, int count, float top, float factor, float* masses);
  // Put minus infinity where the bit of a mask is not set, or the mask has no bit.
  void (*rule_out)(const uint32_t* mask, int words, float* scores, int count);
};

#define PN_DECLARE_SAMPLING(set) \
  namespace set {                \
  extern const SamplingSet kSampling; \
  }
PN_DECLARE_SAMPLING(portable)
#if defined(PN_X86)
PN_DECLARE_SAMPLING(avx2)
PN_DECLARE_SAMPLING(avx512)
PN_DECLARE_SAMPLING(avx512bf16)
#endif
#undef PN_DECLARE_SAMPLING

// exp(x) for x <= 0, within 2e-7 of it; 0 below -87. No operation is fused, so that every
// instruction set gives the same bits.
static inline float decay(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const float clamped = x > -87.0f ? x : -87.0f;
  const float shifted = clamped * kLog2E + kRound;
  const float power = shifted - kRound;
  const float rest = (clamped - power * kLn2High) - power * kLn2Low;
  float sum = 1.9875691500e-4f;  // minimax coefficients of the Cephes library
  sum = sum * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = (sum * rest) * rest + rest + 1.0f;
  const int32_t exponent = __builtin_bit_cast(int32_t, shifted) - 0x4B400000 + 127;
  const float scale = __builtin_bit_cast(float, exponent << 23);
  return x > -87.0f ? sum * scale : 0.0f;
}

}  // namespace ponant
