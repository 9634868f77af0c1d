// Walks a piece of a product in tiles: weights stay in cache while the rows pass over them.
// Included by sources compiled per instruction set.
#pragma once

#include "linear_isa.hpp"
#include "simd.hpp"

namespace ponant {
namespace PN_ISA {

// What a tile brings nearer while it multiplies: lines first_line .. last_line - 1 of 64 bytes of each
// step that comes next. The tiles that pass over the same weights share the next.
struct Fetch {
  int first_line, last_line;
};

// One tile's place: `rows` rows from row_begin on, panels from `panel` on, steps in [begin, end).
// A step is a block of 32 inputs in integer forms, one or two inputs in float forms.
struct Place {
  const Piece* piece;
  int row, panel, begin, end;
  Fetch fetch;
  const uint8_t* expanded = nullptr;  // weights of all steps, where they were taken apart before

  int source(int r) const { return piece->index ? piece->index[row + r] : row + r; }
  const uint8_t* panel_data(int p, size_t size) const {
    return static_cast<const uint8_t*>(piece->matrix->data) + (panel + p) * size;
  }
  float* target(int r, int p) const {
    return piece->out + static_cast<size_t>(row + r) * piece->stride + (panel + p) * kLanes;
  }
  int lanes(int p) const {
    const int left = piece->matrix->outputs - (panel + p) * kLanes;
    return left < kLanes ? left : kLanes;
  }
  // What the sum starts from: the bias, or what the steps before have left.
  Vec start(int r, int p) const {
    const int count = lanes(p);
    if (begin) return Vec::load(target(r, p), count);
    if (!piece->matrix->bias) return Vec::zero();
    return Vec::load(piece->matrix->bias + (panel + p) * kLanes, count);
  }
  void finish(int r, int p, Vec total) const {
    const int count = lanes(p);
    if (count == kLanes) return total.store(target(r, p));
    total.store(target(r, p), count);
  }
};

// The sums of a tile before its first step. A whole tile, nearly every one, asks for no lanes.
template <int R, int P>
inline void start(const Place& place, Vec (&totals)[R][P]) {
  const bool whole = place.lanes(P - 1) == kLanes;
  const bool plain = whole && (place.begin || !place.piece->matrix->bias);
  float* out = place.target(0, 0);
  for (int r = 0; r < R; ++r, out += place.piece->stride)
    for (int p = 0; p < P; ++p) {
      __builtin_prefetch(out + p * kLanes, 1);  // a store that misses makes those behind it wait
      if (!plain)
        totals[r][p] = place.start(r, p);
      else
        totals[r][p] = place.begin ? Vec::load(out + p * kLanes) : Vec::zero();
    }
}

// Writes them after its last step.
template <int R, int P>
inline void finish(const Place& place, const Vec (&totals)[R][P]) {
  float* out = place.target(0, 0);
  if (place.lanes(P - 1) == kLanes) {
    for (int r = 0; r < R; ++r, out += place.piece->stride)
      for (int p = 0; p < P; ++p) totals[r][p].store(out + p * kLanes);
    return;
  }
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p) place.finish(r, p, totals[r][p]);
}

using Tile = void (*)(const Place&);

// The tiles of a form: [rows - 1][panels - 1].
template <int R, int P>
struct Tiles {
  Tile at[R][P];
};

// Takes `panels` panels from `panel` on apart, steps in [begin, end), for every tile that follows.
using Expand = void (*)(const Piece& piece, int panel, int panels, int begin, int end, uint8_t* out);

// How a form's panels are walked.
struct Walk {
  int steps;       // of a whole panel
  int chunk;       // most steps whose weights stay in the first cache while tiles of rows pass
  int step_lines;  // 64-byte lines of weights a step; 0: less than one
  int near_rows;   // most rows whose part of all steps stays in the second cache
  Expand expand = nullptr;
  uint8_t* expanded = nullptr;
};

// Rows of one panel or two, in tiles of nearly equal size, none above R.
template <int R, int P>
void walk_rows(const Tiles<R, P>& tiles, const Piece& piece, const Walk& walk, int panel,
               int panels, int begin, int end) {
  if (walk.expand) walk.expand(piece, panel, panels, begin, end, walk.expanded);
  const int count = piece.row_end - piece.row_begin;
  const int parts = (count + R - 1) / R;
  int row = piece.row_begin;
  for (int part = 0; part < parts; ++part) {
    const int rows = (piece.row_end - row + parts - part - 1) / (parts - part);
    // A full lone tile reads slowly enough for the processor to see what comes.
    const int lines = count == R ? 0 : walk.step_lines;
    const Fetch fetch{lines * part / parts, lines * (part + 1) / parts};
    tiles.at[rows - 1][panels - 1]({&piece, row, panel, begin, end, fetch, walk.expanded});
    row += rows;
  }
}

// Where all rows stay near, panels are finished one after the other, as memory likes it; where they do
// not, a chunk of all panels is taken before the next, so that the rows' part of it stays.
template <int R, int P>
void walk_tiles(const Tiles<R, P>& tiles, const Piece& piece, const Walk& walk) {
  const int rows = piece.row_end - piece.row_begin;
  const int chunk = rows <= R ? walk.steps : walk.chunk;
  const int span = rows <= walk.near_rows ? P : piece.panel_end - piece.panel_begin;
  for (int first = piece.panel_begin; first < piece.panel_end; first += span)
    for (int begin = 0; begin < walk.steps; begin += chunk) {
      const int end = walk.steps - begin < chunk ? walk.steps : begin + chunk;
      const int last = piece.panel_end - first < span ? piece.panel_end : first + span;
      for (int panel = first; panel < last; panel += P) {
        const int panels = last - panel < P ? last - panel : P;
        walk_rows(tiles, piece, walk, panel, panels, begin, end);
      }
    }
}

}  // namespace PN_ISA
}  // namespace ponant
