// Products with integer forms. For each block of 32 inputs, in ascending order, the codes' products
// are summed exactly and then total = fma(float(sum), row scale * weight scale, total), followed by
// the minimum's term where a form has one: the same bits in every instruction set and tile shape.
#include "linear_codes.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

// Products of one block's inputs 4 * first .. 4 * last - 1 with R rows and P panels.
template <class Form, int R, int P>
inline void add_block(Sums (&sums)[R][P], const RowBlock* const (&rows)[R],
                      const uint8_t* const (&codes)[P], size_t low_plane, int first, int last) {
#pragma GCC unroll 8
  for (int c = first; c < last; ++c) {
    Codes four[P];
    for (int p = 0; p < P; ++p) four[p] = four_inputs<Form>(codes[p], low_plane, c);
    for (int r = 0; r < R; ++r)
      for (int p = 0; p < P; ++p) add<Form::kWide>(sums[r][p], four[p], rows[r]->codes + 4 * c);
  }
}

// Bring nearer what comes next; behind the end of a panel that is the panel after this tile's.
template <int kBytes, int P>
inline void fetch(const Place& place, const Panel (&panels)[P], int block, int blocks,
                  size_t panel_size) {
  const int next = block + place.fetch.steps_ahead;
  const size_t past = next < blocks ? 0 : P * panel_size;
  const size_t offset = past + static_cast<size_t>(past ? next - blocks : next) * kBytes;
  for (int line = place.fetch.first_line; line < place.fetch.last_line; ++line)
    for (int p = 0; p < P; ++p) __builtin_prefetch(panels[p].codes + offset + line * 64, 0, 2);
}

template <class Form, int R, int P>
void tile(const Place& place) {
  constexpr int kBytes = code_stride(Form::kForm);
  constexpr int kFours = 8 / Form::kScales;
  const PanelLayout layout = panel_layout(Form::kForm, place.piece->matrix->inputs);
  const int blocks = block_count(place.piece->matrix->inputs);
  const size_t low_plane = static_cast<size_t>(blocks) * kBytes;
  const RowBlock* rows[R];
  Panel panels[P];
  Vec totals[R][P];
  for (int r = 0; r < R; ++r)
    rows[r] = place.piece->rows->integers +
              static_cast<size_t>(place.source(r)) * place.piece->rows->blocks + place.begin;
  for (int p = 0; p < P; ++p) {
    const uint8_t* data = place.panel_data(p, layout.size);
    panels[p] = {data, data + layout.scales, data + layout.halves};
  }
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p) totals[r][p] = place.start(r, p);

  for (int block = place.begin; block < place.end; ++block) {
    const uint8_t* codes[P];
    for (int p = 0; p < P; ++p) codes[p] = panels[p].codes + static_cast<size_t>(block) * kBytes;
    fetch<code_bytes(Form::kForm), P>(place, panels, block, blocks, layout.size);
    for (int half = 0; half < Form::kScales; ++half) {
      Sums sums[R][P];
      for (int r = 0; r < R; ++r)
        for (int p = 0; p < P; ++p) sums[r][p] = Sums::set(Form::start(*rows[r], half));
      add_block<Form, R, P>(sums, rows, codes, low_plane, half * kFours, (half + 1) * kFours);
      for (int p = 0; p < P; ++p) {
        const Vec scale = Form::scale(panels[p], block, half);
        for (int r = 0; r < R; ++r)
          totals[r][p] =
              fma(sums[r][p].to_float(), Vec::set(rows[r]->scale) * scale, totals[r][p]);
      }
    }
    if constexpr (Form::kMinimum)
      for (int p = 0; p < P; ++p) {
        const Vec minimum = Form::minimum(panels[p], block);
        for (int r = 0; r < R; ++r)
          totals[r][p] = fma(Vec::set(rows[r]->minus_sum), minimum, totals[r][p]);
      }
    for (int r = 0; r < R; ++r) ++rows[r];
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
void walk_form(const Piece& piece) {
  static constexpr auto tiles = [] {
    Tiles<kTileRows, kTilePanels> all{};
    fill<Form, kTileRows>(all);
    return all;
  }();
  constexpr int kChunk = 16;  // blocks: two panels of 8-bit codes fill 16 KB of cache
  const int blocks = block_count(piece.matrix->inputs);
  walk_tiles(tiles, piece, {blocks, kChunk, code_bytes(Form::kForm) / 64});
}

}  // namespace

void multiply_integers(const Piece& piece) {
  switch (piece.matrix->form) {
    case PN_I8:
      return walk_form<FormI8>(piece);
    case PN_I6S16:
      return walk_form<FormI6S16>(piece);
    case PN_I5M:
      return walk_form<FormI5M>(piece);
    case PN_I8P:
      return walk_form<FormI8P>(piece);
    case PN_I5:
      return walk_form<FormI5>(piece);
    case PN_I4:
      return walk_form<FormI4>(piece);
    default:
      return walk_form<FormI4M>(piece);
  }
}

}  // namespace PN_ISA
}  // namespace ponant
