// Products with integer forms. For each block of 32 inputs, in ascending order, the codes' products
// are summed exactly and then total = fma(float(sum), row scale * weight scale, total), followed by
// the minimum's term where a form has one: the same bits in every instruction set and tile shape.
#include <algorithm>

#include "linear_codes.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

// A panel's parts, and those of the panel after this tile's.
Panel parts_of(const uint8_t* data, const PanelLayout& layout) {
  return {data, data + layout.scales, data + layout.halves};
}

template <class Form>
constexpr int kStepLines = code_bytes(Form::kForm) / 64;

// Where a tile's next weights lie: the same panels' next steps, or those of the panels behind them.
template <class Form, int P>
class Ahead {
 public:
  Ahead(const Place& place, const Panel (&panels)[P], int blocks, size_t panel_size, size_t low_plane)
      : first_(place.fetch.first_line),
        last_(place.fetch.last_line),
        second_plane_(low_plane - code_stride(Form::kForm)) {
    const size_t step = place.end < blocks ? place.end : 0;
    const size_t past = place.end < blocks ? 0 : P * panel_size;
    for (int p = 0; p < P; ++p) {
      codes_[p] = panels[p].codes + past + step * code_stride(Form::kForm);
      scales_[p] = panels[p].scales + past + step * kScaleBytes;
    }
  }

  // Bring the next step nearer.
  void fetch() {
    if (first_ == last_) return;
    constexpr unsigned kPlaneLines = code_stride(Form::kForm) / 64;
    for (int p = 0; p < P; ++p) {
      for (unsigned line = first_; line < last_; ++line) {
        const bool second = Form::kForm == PN_I8P && line >= kPlaneLines;
        __builtin_prefetch(codes_[p] + line * size_t{64} + (second ? second_plane_ : 0), 0, 2);
      }
      if (first_ == 0) __builtin_prefetch(scales_[p], 0, 2);
      codes_[p] += code_stride(Form::kForm);
      scales_[p] += kScaleBytes;
    }
    // Without an effect that GCC knows, it takes this function for one that may be left out.
    asm volatile("");
  }

 private:
  unsigned first_, last_;
  size_t second_plane_;  // from where the first would go on to where the second begins
  const uint8_t *codes_[P], *scales_[P];
};

template <class Form, template <class> class Weights, int R, int P>
void tile(const Place& place) {
  constexpr int kFours = 8 / Form::kScales;
  const PanelLayout layout = panel_layout(Form::kForm, place.piece->matrix->inputs);
  const int blocks = block_count(place.piece->matrix->inputs);
  const size_t low_plane = static_cast<size_t>(blocks) * code_stride(Form::kForm);
  const RowBlock* rows[R];
  Panel panels[P];
  Vec totals[R][P];
  for (int r = 0; r < R; ++r)
    rows[r] = place.piece->rows->integers +
              static_cast<size_t>(place.source(r)) * place.piece->rows->blocks + place.begin;
  for (int p = 0; p < P; ++p) panels[p] = parts_of(place.panel_data(p, layout.size), layout);
  start(place, totals);

  Ahead<Form, P> ahead(place, panels, blocks, layout.size, low_plane);
  for (int block = place.begin; block < place.end; ++block) {
    ahead.fetch();
    for (int half = 0; half < Form::kScales; ++half) {
      Sums sums[R][P];
      for (int r = 0; r < R; ++r)
        for (int p = 0; p < P; ++p) sums[r][p] = Sums::set(Form::start(*rows[r], half));
#pragma GCC unroll 8
      for (int c = half * kFours; c < (half + 1) * kFours; ++c) {
        Codes four[P];
        for (int p = 0; p < P; ++p)
          four[p] = Weights<Form>::codes(panels[p], place, p, block, low_plane, c);
        for (int r = 0; r < R; ++r)
          for (int p = 0; p < P; ++p) add<Form::kWide>(sums[r][p], four[p], rows[r]->codes + 4 * c);
      }
      for (int p = 0; p < P; ++p) {
        const Vec scale = Weights<Form>::scale(panels[p], place, p, block, half);
        for (int r = 0; r < R; ++r)
          totals[r][p] =
              fma(sums[r][p].to_float(), Vec::set(rows[r]->scale) * scale, totals[r][p]);
      }
    }
    if constexpr (Form::kMinimum)
      for (int p = 0; p < P; ++p) {
        const Vec minimum = Weights<Form>::minimum(panels[p], place, p, block);
        for (int r = 0; r < R; ++r)
          totals[r][p] = fma(Vec::set(rows[r]->minus_sum), minimum, totals[r][p]);
      }
    for (int r = 0; r < R; ++r) ++rows[r];
  }
  finish(place, totals);
}

template <class Form>
void expand(const Piece& piece, int panel, int panels, int begin, int end, uint8_t* out) {
  const PanelLayout layout = panel_layout(Form::kForm, piece.matrix->inputs);
  const size_t low_plane =
      static_cast<size_t>(block_count(piece.matrix->inputs)) * code_stride(Form::kForm);
  const auto* data = static_cast<const uint8_t*>(piece.matrix->data) + panel * layout.size;
  for (int p = 0; p < panels; ++p, data += layout.size) {
    const Panel parts = parts_of(data, layout);
    for (int block = begin; block < end; ++block, out += Expanded<Form>::kBytes) {
      const uint8_t* codes = parts.codes + static_cast<size_t>(block) * code_stride(Form::kForm);
#pragma GCC unroll 8
      for (int c = 0; c < kBlock / 4; ++c) four_inputs<Form>(codes, low_plane, c).store(out + c * 64);
      auto* floats = reinterpret_cast<float*>(out + Expanded<Form>::kCodes);
      for (int half = 0; half < Form::kScales; ++half, floats += kLanes)
        Form::scale(parts, block, half).store(floats);
      if constexpr (Form::kMinimum) Form::minimum(parts, block).store(floats);
    }
  }
}

template <class Form, template <class> class Weights, int R, int P = kTilePanels>
constexpr void fill(Tiles<kTileRows, kTilePanels>& tiles) {
  tiles.at[R - 1][P - 1] = tile<Form, Weights, R, P>;
  if constexpr (P > 1) fill<Form, Weights, R, P - 1>(tiles);
  if constexpr (R > 1 && P == kTilePanels) fill<Form, Weights, R - 1>(tiles);
}

template <class Form, template <class> class Weights>
constexpr Tiles<kTileRows, kTilePanels> tiles_of() {
  Tiles<kTileRows, kTilePanels> all{};
  fill<Form, Weights, kTileRows>(all);
  return all;
}

template <class Form>
void walk_form(const Piece& piece) {
  static constexpr auto packed = tiles_of<Form, Packed>();
  constexpr int kNearBlocks = 12288;  // of rows: 768 KB
  const int blocks = block_count(piece.matrix->inputs);
  Walk walk{blocks, blocks, kStepLines<Form>, std::max(24, kNearBlocks / blocks)};
  if (piece.row_end - piece.row_begin <= kTileRows) return walk_tiles(packed, piece, walk);
  static constexpr auto expanded = tiles_of<Form, Expanded>();
  constexpr int kMostChunk = 24;  // blocks: two panels of them take 27 to 30 KB of the first cache
  alignas(64) uint8_t memory[kMostChunk * kTilePanels * Expanded<Form>::kBytes];
  const int chunks = (blocks + kMostChunk - 1) / kMostChunk;
  walk.chunk = (blocks + chunks - 1) / chunks;
  walk.expand = expand<Form>;
  walk.expanded = memory;
  walk_tiles(expanded, piece, walk);
}

}  // namespace

void multiply_integers(const Piece& piece) {
#if PN_LEVEL >= 2
  if (piece.row_end - piece.row_begin == 1) return multiply_row(piece);
#endif
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
