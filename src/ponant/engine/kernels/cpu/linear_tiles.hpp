// Walks a piece of a product in tiles: weights stay in cache while the rows pass over them.
// Included by sources compiled per instruction set.
#pragma once

#include "linear_isa.hpp"
#include "simd.hpp"

namespace ponant {
namespace PN_ISA {

// One tile's place: `rows` rows from row_begin on, panels from `panel` on, steps in [begin, end).
// A step is a block of 32 inputs in integer forms, one or two inputs in float forms.
struct Place {
  const Piece* piece;
  int row, panel, begin, end;

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

using Tile = void (*)(const Place&);

// The tiles of a form: [rows - 1][panels - 1].
template <int R, int P>
struct Tiles {
  Tile at[R][P];
};

// Rows go in tiles of nearly equal size, none above R; panels in twos where a tile has P = 2.
template <int R, int P>
void walk(const Tiles<R, P>& tiles, const Piece& piece, int steps, int chunk) {
  const int count = piece.row_end - piece.row_begin;
  const int parts = (count + R - 1) / R;
  for (int begin = 0; begin < steps || begin == 0; begin += chunk) {
    const int end = steps - begin < chunk ? steps : begin + chunk;
    for (int panel = piece.panel_begin; panel < piece.panel_end;) {
      const int left = piece.panel_end - panel;
      const int panels = left < P ? left : P;
      int row = piece.row_begin;
      for (int part = parts; part > 0; --part) {
        const int rows = (piece.row_end - row + part - 1) / part;
        tiles.at[rows - 1][panels - 1]({&piece, row, panel, begin, end});
        row += rows;
      }
      panel += panels;
    }
  }
}

}  // namespace PN_ISA
}  // namespace ponant
