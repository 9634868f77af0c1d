// Sixteen floats at once, in every instruction set; only for sources compiled per set (*.isa.cpp).
//
// The same source gives the same bits in every set as long as it keeps to `fma` where it wants one
// rounding and to separate operators where it wants two. `multiply_add` leaves the choice to the
// set: fused where that is fast.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if PN_LEVEL >= 1
#include <immintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 in its own header
#endif

#include "forms.hpp"

namespace ponant {
namespace PN_ISA {

#if PN_LEVEL >= 2

struct Vec {
  __m512 v;

  static Vec set(float x) { return {_mm512_set1_ps(x)}; }
  static Vec zero() { return {_mm512_setzero_ps()}; }
  static Vec load(const float* x) { return {_mm512_loadu_ps(x)}; }
  // The first `count` values, zeros behind them.
  static Vec load(const float* x, int count) {
    return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), x)};
  }
  static Vec from_half(const void* x) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(x)))};
  }
  static Vec from_bf16(const void* x) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(x)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
  }
  static Vec from_u8(const void* x) {
    return {_mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(x))))};
  }
  static Vec from_i8(const void* x) {
    return {_mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(x))))};
  }
  void store(float* x) const { _mm512_storeu_ps(x, v); }
  void store(float* x, int count) const {
    _mm512_mask_storeu_ps(x, static_cast<__mmask16>((1u << count) - 1), v);
  }
};

inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return fma(a, b, c); }
// The second operand where either is no number, as the processor has it.
inline Vec maximum(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec minimum(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec absolute(Vec a) { return {_mm512_abs_ps(a.v)}; }
inline Vec root(Vec a) { return {_mm512_sqrt_ps(a.v)}; }

#elif PN_LEVEL == 1

inline __m256 widen_bf16(__m128i half) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

struct Vec {
  __m256 low, high;

  static Vec set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Vec load(const float* x) { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
  static Vec load(const float* x, int count) {
    float whole[16] = {};
    std::memcpy(whole, x, sizeof(float) * static_cast<size_t>(count));
    return load(whole);
  }
  static Vec from_half(const void* x) {
    const auto* half = static_cast<const __m128i*>(x);
    return {_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1))};
  }
  static Vec from_bf16(const void* x) {
    const auto* half = static_cast<const __m128i*>(x);
    return {widen_bf16(_mm_loadu_si128(half)), widen_bf16(_mm_loadu_si128(half + 1))};
  }
  static Vec from_u8(const void* x) {
    const auto* bytes = static_cast<const __m128i*>(x);
    const auto* rest = reinterpret_cast<const __m128i*>(static_cast<const char*>(x) + 8);
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes))),
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(rest)))};
  }
  static Vec from_i8(const void* x) {
    const auto* bytes = static_cast<const __m128i*>(x);
    const auto* rest = reinterpret_cast<const __m128i*>(static_cast<const char*>(x) + 8);
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(bytes))),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(rest)))};
  }
  void store(float* x) const {
    _mm256_storeu_ps(x, low);
    _mm256_storeu_ps(x + 8, high);
  }
  void store(float* x, int count) const {
    float whole[16];
    store(whole);
    std::memcpy(x, whole, sizeof(float) * static_cast<size_t>(count));
  }
};

inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Vec multiply_add(Vec a, Vec b, Vec c) { return fma(a, b, c); }
inline Vec maximum(Vec a, Vec b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline Vec minimum(Vec a, Vec b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline Vec absolute(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
inline Vec root(Vec a) { return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }

#else

struct Vec {
  float v[16];

  template <class F>
  static Vec each(F f) {
    Vec result;
    for (int i = 0; i < 16; ++i) result.v[i] = f(i);
    return result;
  }
  static Vec set(float x) {
    return each([&](int) { return x; });
  }
  static Vec zero() { return set(0.0f); }
  static Vec load(const float* x) { return load(x, 16); }
  static Vec load(const float* x, int count) {
    Vec result{};
    std::memcpy(result.v, x, sizeof(float) * static_cast<size_t>(count));
    return result;
  }
  static Vec from_half(const void* x) {
    const auto* half = static_cast<const uint16_t*>(x);
    return each([&](int i) { return half_to_float(half[i]); });
  }
  static Vec from_bf16(const void* x) {
    const auto* half = static_cast<const uint16_t*>(x);
    return each([&](int i) { return bf16_to_float(half[i]); });
  }
  static Vec from_u8(const void* x) {
    const auto* bytes = static_cast<const uint8_t*>(x);
    return each([&](int i) { return static_cast<float>(bytes[i]); });
  }
  static Vec from_i8(const void* x) {
    const auto* bytes = static_cast<const int8_t*>(x);
    return each([&](int i) { return static_cast<float>(bytes[i]); });
  }
  void store(float* x) const { store(x, 16); }
  void store(float* x, int count) const {
    std::memcpy(x, v, sizeof(float) * static_cast<size_t>(count));
  }
};

inline Vec operator+(Vec a, Vec b) {
  return Vec::each([&](int i) { return a.v[i] + b.v[i]; });
}
inline Vec operator-(Vec a, Vec b) {
  return Vec::each([&](int i) { return a.v[i] - b.v[i]; });
}
inline Vec operator*(Vec a, Vec b) {
  return Vec::each([&](int i) { return a.v[i] * b.v[i]; });
}
inline Vec operator/(Vec a, Vec b) {
  return Vec::each([&](int i) { return a.v[i] / b.v[i]; });
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return Vec::each([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
inline Vec multiply_add(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec maximum(Vec a, Vec b) {
  return Vec::each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec minimum(Vec a, Vec b) {
  return Vec::each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec absolute(Vec a) {
  return Vec::each([&](int i) { return std::fabs(a.v[i]); });
}
inline Vec root(Vec a) {
  return Vec::each([&](int i) { return std::sqrt(a.v[i]); });
}

#endif

// Sums and extremes over the lanes, halving: the same order in every set.
template <class Combine>
inline float reduce(Vec a, Combine combine) {
  float lanes[16];
  a.store(lanes);
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] = combine(lanes[i], lanes[i + half]);
  return lanes[0];
}

inline float sum(Vec a) {
  return reduce(a, [](float x, float y) { return x + y; });
}

inline float largest(Vec a) {
  return reduce(a, [](float x, float y) { return x > y ? x : y; });
}

}  // namespace PN_ISA
}  // namespace ponant
