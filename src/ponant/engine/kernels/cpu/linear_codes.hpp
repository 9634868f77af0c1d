// Integer codes of packed panels: taken apart, multiplied, and the scales that go with them.
// Included by sources compiled per instruction set.
#pragma once

#include "linear_tiles.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

// Weight codes for four inputs of 16 outputs, and sums of products with them.
#if PN_LEVEL >= 2
struct Codes {
  __m512i v;
  static Codes load(const uint8_t* x) { return {_mm512_loadu_si512(x)}; }
  void store(uint8_t* x) const { _mm512_storeu_si512(x, v); }
  // With fifth bits, one after the other at `bits`.
  Codes with_fifth(const uint8_t* bits) const {
    uint64_t word;
    std::memcpy(&word, bits, 8);
    return {_mm512_mask_add_epi8(v, word, v, _mm512_set1_epi8(16))};
  }
  // With fifth and sixth bits, which stand `shift` high in the bytes at `pairs`.
  template <int shift>
  Codes with_pairs(const uint8_t* pairs) const {
    const __m512i bytes = _mm512_loadu_si512(pairs);
    const __m512i high = shift < 4 ? _mm512_slli_epi16(bytes, shift < 4 ? 4 - shift : 0)
                                   : _mm512_srli_epi16(bytes, shift < 4 ? 0 : shift - 4);
    return {_mm512_or_si512(v, _mm512_and_si512(high, _mm512_set1_epi8(48)))};
  }
  Codes low() const { return {_mm512_and_si512(v, _mm512_set1_epi8(15))}; }
  Codes high() const { return {_mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15))}; }
  // Its halves of bytes moved; what comes from the byte beside is not looked at.
  Codes up() const { return {_mm512_slli_epi16(v, 4)}; }
  Codes down() const { return {_mm512_srli_epi16(v, 4)}; }
  // The upper halves of its bytes with the lower ones of `low`.
  Codes with_low_of(const Codes& low) const {
    constexpr int kSelect = 0xca;  // a bit of the second where the first is set, else of the third
    return {_mm512_ternarylogic_epi32(_mm512_set1_epi8(15), low.v, v, kSelect)};
  }
};

struct Sums {
  __m512i v;
  static Sums set(int32_t x) { return {_mm512_set1_epi32(x)}; }
  Vec to_float() const { return {_mm512_cvtepi32_ps(v)}; }
};

template <bool wide>
inline void add(Sums& sums, const Codes& codes, const int8_t* row) {
  int32_t four;
  std::memcpy(&four, row, 4);
  sums.v = _mm512_dpbusd_epi32(sums.v, codes.v, _mm512_set1_epi32(four));
}

constexpr bool kSigned = false;
constexpr int kTileRows = 6, kTilePanels = 2;

#elif PN_LEVEL == 1
struct Codes {
  __m256i a, b;
  static Codes load(const uint8_t* x) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32))};
  }
  void store(uint8_t* x) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(x), a);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(x + 32), b);
  }
  Codes low() const { return masked(15); }
  Codes masked(char bits) const {
    const __m256i mask = _mm256_set1_epi8(bits);
    return {_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)};
  }
  Codes with_fifth(const uint8_t* bits) const {
    return {_mm256_or_si256(a, spread(bits)), _mm256_or_si256(b, spread(bits + 4))};
  }
  // 32 bits to bytes of 0 or 16.
  static __m256i spread(const uint8_t* bits) {
    int32_t word;
    std::memcpy(&word, bits, 4);
    const __m256i own = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    const __m256i places = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                              0x0303030303030303);
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(word), places);
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, own), own);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
  }
  template <int shift>
  Codes with_pairs(const uint8_t* pairs) const {
    const Codes bytes = load(pairs);
    constexpr int kLeft = shift < 4 ? 4 - shift : 0, kRight = shift < 4 ? 0 : shift - 4;
    const Codes left{_mm256_slli_epi16(bytes.a, kLeft), _mm256_slli_epi16(bytes.b, kLeft)};
    const Codes right{_mm256_srli_epi16(bytes.a, kRight), _mm256_srli_epi16(bytes.b, kRight)};
    const Codes high = (shift < 4 ? left : right).masked(48);
    return {_mm256_or_si256(a, high.a), _mm256_or_si256(b, high.b)};
  }
  Codes high() const { return Codes{_mm256_srli_epi16(a, 4), _mm256_srli_epi16(b, 4)}.low(); }
  Codes up() const { return {_mm256_slli_epi16(a, 4), _mm256_slli_epi16(b, 4)}; }
  Codes down() const { return {_mm256_srli_epi16(a, 4), _mm256_srli_epi16(b, 4)}; }
  Codes with_low_of(const Codes& low) const {
    const Codes upper = masked(static_cast<char>(0xf0)), lower = low.low();
    return {_mm256_or_si256(upper.a, lower.a), _mm256_or_si256(upper.b, lower.b)};
  }
};

struct Sums {
  __m256i a, b;
  static Sums set(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
  Vec to_float() const { return {_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b)}; }
};

// Pairs are summed in 16 bits. Codes below 64 cannot leave them; wide codes are taken as signed and
// their sign moved to the row, where 128 * 127 * 2 still fits.
template <bool wide>
inline __m256i pairs(__m256i codes, __m256i row) {
  if (!wide) return _mm256_maddubs_epi16(codes, row);
  const __m256i centred = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
  return _mm256_maddubs_epi16(_mm256_abs_epi8(centred), _mm256_sign_epi8(row, centred));
}

template <bool wide>
inline void add(Sums& sums, const Codes& codes, const int8_t* row) {
  int32_t four;
  std::memcpy(&four, row, 4);
  const __m256i spread = _mm256_set1_epi32(four), ones = _mm256_set1_epi16(1);
  sums.a = _mm256_add_epi32(sums.a, _mm256_madd_epi16(pairs<wide>(codes.a, spread), ones));
  sums.b = _mm256_add_epi32(sums.b, _mm256_madd_epi16(pairs<wide>(codes.b, spread), ones));
}

constexpr bool kSigned = true;
constexpr int kTileRows = 2, kTilePanels = 1;

#else
struct Codes {
  uint8_t v[64];
  static Codes load(const uint8_t* x) {
    Codes codes;
    std::memcpy(codes.v, x, 64);
    return codes;
  }
  void store(uint8_t* x) const { std::memcpy(x, v, 64); }
  Codes low() const {
    Codes codes;
    for (int i = 0; i < 64; ++i) codes.v[i] = v[i] & 15;
    return codes;
  }
  Codes with_fifth(const uint8_t* bits) const {
    Codes codes;
    for (int i = 0; i < 64; ++i)
      codes.v[i] = static_cast<uint8_t>(v[i] | (bits[i / 8] >> i % 8 & 1) << 4);
    return codes;
  }
  template <int shift>
  Codes with_pairs(const uint8_t* pairs) const {
    Codes codes;
    for (int i = 0; i < 64; ++i)
      codes.v[i] = static_cast<uint8_t>(v[i] | (pairs[i] >> shift & 3) << 4);
    return codes;
  }
  Codes high() const {
    Codes codes;
    for (int i = 0; i < 64; ++i) codes.v[i] = static_cast<uint8_t>(v[i] >> 4);
    return codes;
  }
  Codes up() const {
    Codes codes;
    for (int i = 0; i < 64; ++i) codes.v[i] = static_cast<uint8_t>(v[i] << 4);
    return codes;
  }
  Codes down() const { return high(); }
  Codes with_low_of(const Codes& low) const {
    Codes codes;
    for (int i = 0; i < 64; ++i) codes.v[i] = static_cast<uint8_t>((v[i] & 240) | (low.v[i] & 15));
    return codes;
  }
};

struct Sums {
  int32_t v[16];
  static Sums set(int32_t x) {
    Sums sums;
    for (int32_t& value : sums.v) value = x;
    return sums;
  }
  Vec to_float() const {
    return Vec::each([&](int i) { return static_cast<float>(v[i]); });
  }
};

template <bool wide>
inline void add(Sums& sums, const Codes& codes, const int8_t* row) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 4; ++j) sums.v[i] += codes.v[4 * i + j] * row[j];
}

constexpr bool kSigned = false;
constexpr int kTileRows = 1, kTilePanels = 1;
#endif

// A panel's parts. A form's codes stand `kOffset` above the values that they mean.
struct Panel {
  const uint8_t *codes, *scales, *halves;
};

struct Plain {  // one half-precision scale a block
  static constexpr int kScales = 1;
  static constexpr bool kMinimum = false;
  static Vec scale(const Panel& panel, int block, int) {
    return Vec::from_half(panel.scales + block * kScaleBytes);
  }
};

struct Affine {  // small scale and minimum a block, each with a half a K block
  static constexpr int kScales = 1, kOffset = 0;
  static constexpr bool kMinimum = true;
  static Vec scale(const Panel& panel, int block, int) {
    return Vec::from_half(panel.halves + block / 8 * 64) *
           Vec::from_u8(panel.scales + block * kScaleBytes);
  }
  static Vec minimum(const Panel& panel, int block) {
    return Vec::from_half(panel.halves + block / 8 * 64 + 32) *
           Vec::from_u8(panel.scales + block * kScaleBytes + 16);
  }
  static int32_t start(const RowBlock&, int) { return 0; }
};

struct FormI8 : Plain {
  static constexpr int kForm = PN_I8, kOffset = 128;
  static constexpr bool kWide = true;
  static int32_t start(const RowBlock& row, int) { return kSigned ? 0 : row.minus_128; }
};

struct FormI8P : FormI8 {
  static constexpr int kForm = PN_I8P;
};

struct FormI5 : Plain {
  static constexpr int kForm = PN_I5, kOffset = 16;
  static constexpr bool kWide = false;
  static int32_t start(const RowBlock& row, int) { return row.minus_16; }
};

struct FormI4 : Plain {
  static constexpr int kForm = PN_I4, kOffset = 8;
  static constexpr bool kWide = false;
  static int32_t start(const RowBlock& row, int) { return row.minus_8; }
};

struct FormI5M : Affine {
  static constexpr int kForm = PN_I5M;
  static constexpr bool kWide = false;
};

struct FormI4M : Affine {
  static constexpr int kForm = PN_I4M;
  static constexpr bool kWide = false;
};

struct FormI6S16 {  // a small scale for each half block
  static constexpr int kForm = PN_I6S16, kOffset = 32;
  static constexpr int kScales = 2;
  static constexpr bool kWide = false, kMinimum = false;
  static Vec scale(const Panel& panel, int block, int half) {
    return Vec::from_half(panel.halves + block / 8 * 32) *
           Vec::from_i8(panel.scales + block * kScaleBytes + half * 16);
  }
  static int32_t start(const RowBlock& row, int half) { return row.minus_32[half]; }
};

// Codes of inputs 4c .. 4c + 3 of a block; `low_plane` bytes behind it are its lower bits, in PN_I8P.
template <class Form>
inline Codes four_inputs(const uint8_t* block, size_t low_plane, int c) {
  constexpr int kHigh = high_bits(Form::kForm);
  if constexpr (Form::kForm == PN_I8P) {
    const Codes high = Codes::load(block + c / 2 * 64);
    const Codes low = Codes::load(block + low_plane + c / 2 * 64);
    return c % 2 ? high.with_low_of(low.down()) : high.up().with_low_of(low);
  }
  if constexpr (kHigh == 4) return Codes::load(block + c * 64);
  const Codes both = Codes::load(block + c / 2 * 64);
  const Codes low = c % 2 ? both.high() : both.low();
  const uint8_t* high = block + kLowBytes;
  if constexpr (kHigh == 1) return low.with_fifth(high + c * 8);
  if constexpr (kHigh == 2) {
    const uint8_t* pairs = high + c / 4 * 64;
    switch (c % 4) {  // known once the loop around is unrolled
      case 0:
        return low.template with_pairs<0>(pairs);
      case 1:
        return low.template with_pairs<2>(pairs);
      case 2:
        return low.template with_pairs<4>(pairs);
      default:
        return low.template with_pairs<6>(pairs);
    }
  }
  return low;
}

// Where a tile finds a block's weights: in the panels as they are packed, or taken apart by `expand`.
template <class Form>
struct Packed {
  static Codes codes(const Panel& panel, const Place&, int, int block, size_t low_plane, int c) {
    return four_inputs<Form>(panel.codes + static_cast<size_t>(block) * code_stride(Form::kForm),
                             low_plane, c);
  }
  static Vec scale(const Panel& panel, const Place&, int, int block, int half) {
    return Form::scale(panel, block, half);
  }
  static Vec minimum(const Panel& panel, const Place&, int, int block) {
    return Form::minimum(panel, block);
  }
};

// Codes as whole bytes, then scales and the minimum as floats.
template <class Form>
struct Expanded {
  static constexpr int kCodes = kLanes * kBlock, kVector = kLanes * 4;
  static constexpr int kBytes = kCodes + kVector * (Form::kScales + (Form::kMinimum ? 1 : 0));

  static const uint8_t* at(const Place& place, int p, int block) {
    const size_t blocks = static_cast<size_t>(place.end - place.begin);
    return place.expanded + (blocks * p + block - place.begin) * kBytes;
  }
  static Codes codes(const Panel&, const Place& place, int p, int block, size_t, int c) {
    return Codes::load(at(place, p, block) + c * 64);
  }
  static Vec floats(const Place& place, int p, int block, int index) {
    const uint8_t* from = at(place, p, block) + kCodes + index * kVector;
    return Vec::load(reinterpret_cast<const float*>(from));
  }
  static Vec scale(const Panel&, const Place& place, int p, int block, int half) {
    return floats(place, p, block, half);
  }
  static Vec minimum(const Panel&, const Place& place, int p, int block) {
    return floats(place, p, block, Form::kScales);
  }
};

}  // namespace
}  // namespace PN_ISA
}  // namespace ponant
