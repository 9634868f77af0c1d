// Products with F32, F16 and BF16 weights: one running sum an output over ascending inputs.
//
// AVX2 and AVX-512 fuse each product with its sum and agree bit for bit in F32 and F16; the portable
// set rounds twice. BF16 multiplies activations rounded to bf16: with AVX512-BF16 the processor's
// dot product of two, elsewhere each product by itself, so those bits differ.
#include "linear_tiles.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

#if PN_LEVEL >= 2
// Totals, weights and one row's value fill the 32 registers; expanded pairs take two more.
constexpr int kTileRows = 12, kTilePanels = 2;
#elif PN_LEVEL == 1
constexpr int kTileRows = 4, kTilePanels = 1;
#else
constexpr int kTileRows = 2, kTilePanels = 1;
#endif

struct FormF32 {
  static constexpr int kForm = PN_F32, kStepBytes = 64;
  using Row = float;
  static Vec load(const uint8_t* x) { return Vec::load(reinterpret_cast<const float*>(x)); }
};

struct FormF16 {
  static constexpr int kForm = PN_F16, kStepBytes = 32;
  using Row = float;
  static Vec load(const uint8_t* x) { return Vec::from_half(x); }
};

struct FormBf16 {
  static constexpr int kForm = PN_BF16, kStepBytes = 64;
  using Row = uint32_t;
};

inline const float* row_data(const Place& place, int r, float) {
  const RowsView& rows = *place.piece->rows;
  return rows.floats + static_cast<size_t>(place.source(r)) * rows.stride + place.begin;
}

inline const uint32_t* row_data(const Place& place, int r, uint32_t) {
  const RowsView& rows = *place.piece->rows;
  return rows.halves + static_cast<size_t>(place.source(r)) * rows.pairs + place.begin;
}

// Step `at` from where the pointers stand, of R rows and P panels: an input, or two in bf16.
template <class Form, int R, int P>
inline void step(Vec (&totals)[R][P], const float* const (&rows)[R],
                 const uint8_t* const (&codes)[P], int at) {
  Vec weights[P];
  for (int p = 0; p < P; ++p) weights[p] = Form::load(codes[p] + at * Form::kStepBytes);
  for (int r = 0; r < R; ++r) {
    const Vec value = Vec::set(rows[r][at]);
    for (int p = 0; p < P; ++p) totals[r][p] = multiply_add(weights[p], value, totals[r][p]);
  }
}

#if PN_LEVEL >= 3
template <class Form, int R, int P>
inline void step(Vec (&totals)[R][P], const uint32_t* const (&rows)[R],
                 const uint8_t* const (&codes)[P], int at) {
  __m512i weights[P];
  for (int p = 0; p < P; ++p) weights[p] = _mm512_loadu_si512(codes[p] + at * Form::kStepBytes);
  for (int r = 0; r < R; ++r) {
    const auto pair = (__m512bh)_mm512_set1_epi32(static_cast<int32_t>(rows[r][at]));
    for (int p = 0; p < P; ++p)
      totals[r][p].v = _mm512_dpbf16_ps(totals[r][p].v, (__m512bh)weights[p], pair);
  }
}
#else
// The even and the odd input of 16 outputs.
#if PN_LEVEL == 2
inline void expand_pairs(const uint8_t* x, Vec& even, Vec& odd) {
  const __m512i both = _mm512_loadu_si512(x);
  even.v = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
  odd.v = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(-65536)));
}
#elif PN_LEVEL == 1
inline void expand_pairs(const uint8_t* x, Vec& even, Vec& odd) {
  const auto* data = reinterpret_cast<const __m256i*>(x);
  const __m256i first = _mm256_loadu_si256(data), second = _mm256_loadu_si256(data + 1);
  const __m256i mask = _mm256_set1_epi32(-65536);
  even = {_mm256_castsi256_ps(_mm256_slli_epi32(first, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(second, 16))};
  odd = {_mm256_castsi256_ps(_mm256_and_si256(first, mask)),
         _mm256_castsi256_ps(_mm256_and_si256(second, mask))};
}
#else
inline void expand_pairs(const uint8_t* x, Vec& even, Vec& odd) {
  uint32_t pairs[16];
  std::memcpy(pairs, x, 64);
  even = Vec::each([&](int i) { return bits_to_float(pairs[i] << 16); });
  odd = Vec::each([&](int i) { return bits_to_float(pairs[i] & 0xffff0000u); });
}
#endif

template <class Form, int R, int P>
inline void step(Vec (&totals)[R][P], const uint32_t* const (&rows)[R],
                 const uint8_t* const (&codes)[P], int at) {
  Vec even[P], odd[P];
  for (int p = 0; p < P; ++p) expand_pairs(codes[p] + at * Form::kStepBytes, even[p], odd[p]);
  for (int r = 0; r < R; ++r) {
    const Vec first = Vec::set(bits_to_float(rows[r][at] << 16));
    const Vec second = Vec::set(bits_to_float(rows[r][at] & 0xffff0000u));
    for (int p = 0; p < P; ++p)
      totals[r][p] = multiply_add(odd[p], second, multiply_add(even[p], first, totals[r][p]));
  }
}
#endif

template <class Form, int R, int P>
void tile(const Place& place) {
  const PanelLayout layout = panel_layout(Form::kForm, place.piece->matrix->inputs);
  const typename Form::Row* rows[R];
  const uint8_t* codes[P];
  Vec totals[R][P];
  for (int r = 0; r < R; ++r) rows[r] = row_data(place, r, typename Form::Row{});
  for (int p = 0; p < P; ++p)
    codes[p] = place.panel_data(p, layout.size) + static_cast<size_t>(place.begin) * Form::kStepBytes;
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p) totals[r][p] = place.start(r, p);
  const auto advance = [&](int steps) {
    for (int r = 0; r < R; ++r) rows[r] += steps;
    for (int p = 0; p < P; ++p) codes[p] += steps * Form::kStepBytes;
  };
  // There are more pointers than registers for them, so they move once in four steps.
  int left = place.end - place.begin;
  for (; left >= 4; left -= 4) {
    for (int at = 0; at < 4; ++at) step<Form, R, P>(totals, rows, codes, at);
    advance(4);
  }
  for (; left > 0; --left) {
    step<Form, R, P>(totals, rows, codes, 0);
    advance(1);
  }
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p) place.finish(r, p, totals[r][p]);
}

template <class Form, int R, int P = kTilePanels>
constexpr void fill(Tiles<kTileRows, kTilePanels>& tiles) {
  tiles.at[R - 1][P - 1] = tile<Form, R, P>;
  if constexpr (P > 1) fill<Form, R, P - 1>(tiles);
  if constexpr (R > 1 && P == kTilePanels) fill<Form, R - 1>(tiles);
}

template <class Form>
void walk_form(const Piece& piece, int steps) {
  static constexpr auto tiles = [] {
    Tiles<kTileRows, kTilePanels> all{};
    fill<Form, kTileRows>(all);
    return all;
  }();
  constexpr int kChunk = 8192 / Form::kStepBytes;  // two panels fill 16 KB of cache
  constexpr int kNearRows = 24;
  walk_tiles(tiles, piece, {steps, kChunk, 1, kNearRows});
}

}  // namespace

void multiply_floats(const Piece& piece) {
  const int inputs = piece.matrix->inputs;
  switch (piece.matrix->form) {
    case PN_F32:
      return walk_form<FormF32>(piece, inputs);
    case PN_F16:
      return walk_form<FormF16>(piece, inputs);
    default:
      return walk_form<FormBf16>(piece, (inputs + 1) / 2);
  }
}

}  // namespace PN_ISA
}  // namespace ponant
