// Products of one row with integer forms: the formula of linear_int.isa.cpp, for weights that pass once.
//
// Memory sets the pace. A processor drops what it is asked to fetch while too much is under way, so
// every line is asked for several times, a fixed way ahead in the order in which panels stand.
#include "linear_codes.hpp"

#if PN_LEVEL >= 2
namespace ponant {
namespace PN_ISA {
namespace {

// In bytes; farther apart or nearer by, more of what was dropped is missed for good.
constexpr int kAhead[] = {4096, 7168, 10240, 13312, 16384, 19456, 22528, 25600, 28672, 32768};

// Asks for what lies those ways behind the `bytes` at `at`, as long as it lies before `end`.
template <int bytes>
inline void fetch(const uint8_t* at, const uint8_t* end) {
  for (const int ahead : kAhead) {
    const uint8_t* const from = at + ahead;
    if (from >= end) break;
#pragma GCC unroll 8
    for (int line = 0; line < bytes; line += 64) __builtin_prefetch(from + line);
  }
  asm volatile("");  // without an effect that GCC knows, it leaves this out
}

// A block's sum of products, in two chains.
template <class Form>
inline Vec products(const uint8_t* codes, size_t low_plane, const RowBlock& row, int half) {
  constexpr int kFours = 8 / Form::kScales;
  Sums even = Sums::set(Form::start(row, half)), odd = Sums::set(0);
  if constexpr (code_bytes(Form::kForm) == kLowBytes) {
    // The upper codes of a byte stay where they are: their products are sixteen times as large.
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(-16);
#pragma GCC unroll 4
    for (int c = 0; c < kFours; c += 2) {
      const __m512i both = Codes::load(codes + c / 2 * 64).v;
      add<true>(even, {_mm512_and_si512(both, low)}, row.codes + 4 * c);
      add<true>(odd, {_mm512_and_si512(both, high)}, row.codes + 4 * c + 4);
    }
    odd.v = _mm512_srai_epi32(odd.v, 4);
  } else {
#pragma GCC unroll 4
    for (int c = half * kFours; c < (half + 1) * kFours; c += 2) {
      add<Form::kWide>(even, four_inputs<Form>(codes, low_plane, c), row.codes + 4 * c);
      add<Form::kWide>(odd, four_inputs<Form>(codes, low_plane, c + 1), row.codes + 4 * c + 4);
    }
  }
  return Sums{_mm512_add_epi32(even.v, odd.v)}.to_float();
}

template <class Form>
void multiply_panel(const Place& place, const RowBlock* row, const PanelLayout& layout,
                    const uint8_t* end) {
  constexpr int kStride = code_stride(Form::kForm);
  const uint8_t* codes = place.panel_data(0, layout.size);
  const Panel panel{codes, codes + layout.scales, codes + layout.halves};
  const size_t low_plane = static_cast<size_t>(place.end) * kStride;
  Vec total = place.start(0, 0);
  for (int block = 0; block < place.end; ++block, ++row, codes += kStride) {
    fetch<kStride>(codes, end);
    if constexpr (Form::kForm == PN_I8P) fetch<kStride>(codes + low_plane, end);
#pragma GCC unroll 2
    for (int half = 0; half < Form::kScales; ++half)
      total = fma(products<Form>(codes, low_plane, *row, half),
                  Vec::set(row->scale) * Form::scale(panel, block, half), total);
    if constexpr (Form::kMinimum)
      total = fma(Vec::set(row->minus_sum), Form::minimum(panel, block), total);
  }
  place.finish(0, 0, total);
}

template <class Form>
void multiply_form(const Piece& piece) {
  const int source = piece.index ? piece.index[piece.row_begin] : piece.row_begin;
  const RowBlock* row = piece.rows->integers + static_cast<size_t>(source) * piece.rows->blocks;
  const PanelLayout layout = panel_layout(Form::kForm, piece.matrix->inputs);
  const int blocks = block_count(piece.matrix->inputs);
  Place place{&piece, piece.row_begin, piece.panel_begin, 0, blocks, {}};
  // The panels behind the piece's are likely to be this thread's, too.
  const int behind = panel_count(piece.matrix->outputs) - piece.panel_begin;
  const uint8_t* const end = place.panel_data(behind, layout.size);
  for (; place.panel < piece.panel_end; ++place.panel)
    multiply_panel<Form>(place, row, layout, end);
}

}  // namespace

void multiply_row(const Piece& piece) {
  switch (piece.matrix->form) {
    case PN_I8:
      return multiply_form<FormI8>(piece);
    case PN_I6S16:
      return multiply_form<FormI6S16>(piece);
    case PN_I5M:
      return multiply_form<FormI5M>(piece);
    case PN_I8P:
      return multiply_form<FormI8P>(piece);
    case PN_I5:
      return multiply_form<FormI5>(piece);
    case PN_I4:
      return multiply_form<FormI4>(piece);
    default:
      return multiply_form<FormI4M>(piece);
  }
}

}  // namespace PN_ISA
}  // namespace ponant
#endif
