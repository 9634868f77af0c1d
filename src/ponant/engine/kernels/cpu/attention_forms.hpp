// How the pages of each form are read and written; only for *.isa.cpp.
#pragma once

#include "attention.hpp"
#include "elementwise_math.hpp"

namespace ponant {
namespace PN_ISA {

constexpr int kLine = 64;  // bytes of the cache that one step reads

// How a cache of one form is read: a line holds, for sixteen lanes, `kPair` values each; a step
// adds their products with `kPair` factors that all lanes share.
struct Float32 {
  static constexpr int kPair = 1;
  static constexpr int kFactorBytes = 4;
  using Line = Vec;
  using Factor = Vec;
  static Line line(const char* p) { return Vec::load(reinterpret_cast<const float*>(p)); }
  static Line part(const char* p, int n) { return Vec::load(reinterpret_cast<const float*>(p), n); }
  static Factor spread(const char* p) { return Vec::set(*reinterpret_cast<const float*>(p)); }
  static Vec step(Vec sum, Factor f, Line l) { return multiply_add(f, l, sum); }
  static Vec as_factors(Vec a, char* out) {
    a.store(reinterpret_cast<float*>(out));
    return a;
  }
};

#if PN_LEVEL >= 3

struct Bf16 {
  static constexpr int kPair = 2;
  static constexpr int kFactorBytes = 4;
  using Line = __m512i;
  using Factor = __m512i;
  static Line line(const char* p) { return _mm512_loadu_si512(p); }
  static Line part(const char* p, int n) {
    return _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p);
  }
  static Factor spread(const char* p) {
    return _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(p));
  }
  static Vec step(Vec sum, Factor f, Line l) {
    const auto& factors = reinterpret_cast<const __m512bh&>(f);
    return {_mm512_dpbf16_ps(sum.v, factors, reinterpret_cast<const __m512bh&>(l))};
  }
  // Factors are rounded to bf16; returns them as they will be multiplied.
  static Vec as_factors(Vec a, char* out) {
    const __m256bh rounded = _mm512_cvtneps_pbh(a.v);
    const __m256i bits = reinterpret_cast<const __m256i&>(rounded);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bits);
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
  }
};

#else

// Without the instruction the cache's values are widened, and factors stay float32.
struct Bf16 {
  static constexpr int kPair = 2;
  static constexpr int kFactorBytes = 8;
  struct Line {
    Vec even, odd;
  };
  struct Factor {
    Vec even, odd;
  };
#if PN_LEVEL == 2
  static Line widen(__m512i a) {
    const __m512i odd = _mm512_and_si512(a, _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
    return {{_mm512_castsi512_ps(_mm512_slli_epi32(a, 16))}, {_mm512_castsi512_ps(odd)}};
  }
  static Line line(const char* p) { return widen(_mm512_loadu_si512(p)); }
#elif PN_LEVEL == 1
  static Line line(const char* p) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    return {{_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)),
             _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))},
            {_mm256_castsi256_ps(_mm256_and_si256(a, high)),
             _mm256_castsi256_ps(_mm256_and_si256(b, high))}};
  }
#else
  static Line line(const char* p) {
    uint32_t bits[kLanes], even[kLanes], odd[kLanes];
    std::memcpy(bits, p, sizeof bits);
    for (int i = 0; i < kLanes; ++i) {
      even[i] = bits[i] << 16;
      odd[i] = bits[i] & 0xffff0000u;
    }
    Line r;
    std::memcpy(r.even.v, even, sizeof even);
    std::memcpy(r.odd.v, odd, sizeof odd);
    return r;
  }
#endif
  static Line part(const char* p, int n) {
    char whole[kLine] = {};
    std::memcpy(whole, p, static_cast<size_t>(n) * 4);
    return line(whole);
  }
  static Factor spread(const char* p) {
    const float* pair = reinterpret_cast<const float*>(p);
    return {Vec::set(pair[0]), Vec::set(pair[1])};
  }
  static Vec step(Vec sum, const Factor& f, const Line& l) {
    return multiply_add(f.odd, l.odd, multiply_add(f.even, l.even, sum));
  }
  static Vec as_factors(Vec a, char* out) {
    a.store(reinterpret_cast<float*>(out));
    return a;
  }
};

#endif

// What `AttentionKernels::write` says.
void write_page(const LayerCache& cache, int page, int head, int slot, int count, const float* keys,
                const float* values, int stride);

}  // namespace PN_ISA
}  // namespace ponant
