// What stands between the matrix products, value by value: norms, rotations, activations.
#pragma once

#include <cstdint>

#include "ponant.h"

namespace ponant {

struct Elementwise {
  // out = x / rms(x) * weight over rows of `width` values.
  void (*norm)(const float* x, const float* weight, float epsilon, int rows, int width, float* out);
  // x += y / rms(y) * weight, or x += y without a weight.
  void (*add)(float* x, const float* y, const float* weight, float epsilon, int rows, int width);
  // x *= factor.
  void (*scale)(float* x, float factor, int count);
  // gate = activation(gate) * up; without a gate, up = activation(up), given as `gate` with no up.
  void (*activate)(int kind, const float* constants, float* gate, const float* up, int count);
  // x += factor * y.
  void (*accumulate)(float* x, const float* y, float factor, int count);
  // Rotate one head of a row by the row's `cosines` and `sines`, then multiply by `factor`.
  void (*rotate)(float* head, int head_size, const pn_rope* rope, const float* cosines,
                 const float* sines, float factor);
  bool (*finite)(const float* x, int count);
};

// Those of the instruction set in use.
const Elementwise& elementwise();

}  // namespace ponant
