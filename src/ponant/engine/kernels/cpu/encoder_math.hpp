// Masks and exponentials over sixteen floats, beside simd.hpp; only for *.isa.cpp.
#pragma once

#include <initializer_list>
#include <limits>

#include "simd.hpp"

namespace ponant {
namespace PN_ISA {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

#if PN_LEVEL >= 2

struct Mask {
  __mmask16 m;
};

inline Mask less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Vec select(Mask m, Vec yes, Vec no) { return {_mm512_mask_blend_ps(m.m, no.v, yes.v)}; }
inline Vec nearest(Vec a) { return {_mm512_roundscale_ps(a.v, 0)}; }
// a * 2^n for whole n, within a float's exponents.
inline Vec times_power(Vec a, Vec n) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_cvtps_epi32(n.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), exponent))};
}
// Lanes from `first` up to, without, `last`.
inline Mask between(int first, int last) {
  return {static_cast<__mmask16>(((1u << last) - 1) & ~((1u << first) - 1))};
}

#elif PN_LEVEL == 1

struct Mask {
  __m256 low, high;
};

inline Mask less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}
inline Vec select(Mask m, Vec yes, Vec no) {
  return {_mm256_blendv_ps(no.low, yes.low, m.low), _mm256_blendv_ps(no.high, yes.high, m.high)};
}
inline Vec nearest(Vec a) {
  constexpr int kEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, kEven), _mm256_round_ps(a.high, kEven)};
}
inline __m256 times_power(__m256 a, __m256 n) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent));
}
inline Vec times_power(Vec a, Vec n) {
  return {times_power(a.low, n.low), times_power(a.high, n.high)};
}
inline Mask between(int first, int last) {
  const auto half = [&](__m256i lane) {
    const __m256i from = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(first - 1));
    const __m256i to = _mm256_cmpgt_epi32(_mm256_set1_epi32(last), lane);
    return _mm256_castsi256_ps(_mm256_and_si256(from, to));
  };
  return {half(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          half(_mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}

#else

struct Mask {
  bool m[16];
};

inline Mask less(Vec a, Vec b) {
  Mask result;
  for (int i = 0; i < 16; ++i) result.m[i] = a.v[i] < b.v[i];
  return result;
}
inline Vec select(Mask m, Vec yes, Vec no) {
  return Vec::each([&](int i) { return m.m[i] ? yes.v[i] : no.v[i]; });
}
inline Vec nearest(Vec a) {
  return Vec::each([&](int i) { return std::nearbyint(a.v[i]); });
}
inline Vec times_power(Vec a, Vec n) {
  return Vec::each([&](int i) {
    const auto power = static_cast<uint32_t>(static_cast<int32_t>(n.v[i])) << 23;
    return bits_to_float(float_to_bits(a.v[i]) + power);
  });
}
inline Mask between(int first, int last) {
  Mask result;
  for (int i = 0; i < 16; ++i) result.m[i] = i >= first && i < last;
  return result;
}

#endif

// e^r - 1 of what is left of x behind n = `power` times ln 2 (Cephes's expf).
struct Reduced {
  Vec expm1, power;
};

inline Reduced reduce_exponent(Vec x) {
  const Vec n = nearest(x * Vec::set(1.44269504088896341f));
  Vec r = multiply_add(n, Vec::set(-0.693359375f), x);
  r = multiply_add(n, Vec::set(2.12194440e-4f), r);
  Vec p = Vec::set(1.9875691500e-4f);
  for (const float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                        5.0000001201e-1f})
    p = multiply_add(p, r, Vec::set(c));
  return {multiply_add(p * r, r, r), n};
}

// e^x within two units in the last place; 0 below -87, no more than e^88, and what is not a number
// stays none.
inline Vec exponential(Vec x) {
  const Vec lowest = Vec::set(-87.0f);
  const Reduced part = reduce_exponent(minimum(Vec::set(88.0f), maximum(lowest, x)));
  const Vec value = times_power(part.expm1 + Vec::set(1.0f), part.power);
  return select(less(x, lowest), Vec::zero(), value);
}

// e^x - 1 for x <= 0, exact near 0.
inline Vec exponential_minus_one(Vec x) {
  const Reduced part = reduce_exponent(maximum(Vec::set(-80.0f), x));
  const Vec far = times_power(part.expm1 + Vec::set(1.0f), part.power) - Vec::set(1.0f);
  return select(less(part.power, Vec::zero()), far, part.expm1);
}

}  // namespace PN_ISA
}  // namespace ponant
