// What every instruction set offers to the encoder.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ponant.h"

namespace ponant {

// One head of one sequence. Queries, keys and values are rows of `stride` floats; the result goes to
// rows of `out_stride`.
struct HeadTask {
  const float *query, *key, *value;
  int stride;
  float* out;
  int out_stride;
  int tokens, size;
  float scale;    // on scores
  void* scratch;  // attention_scratch(tokens, size) bytes, at the start of a cache line
};

struct EncoderSet {
  // x = norm(x + y) over a row of `width` values; y may be null.
  void (*normalise)(float* x, const float* y, const pn_layer_norm& norm, float epsilon, int width);
  // x * Phi(x), in place (arXiv 1606.08415); within 7e-7 of the exact function.
  void (*gelu)(float* x, int count);
  // Full attention among the tokens of a sequence.
  void (*attend)(const HeadTask&);
  // Mean over `count` rows of `width` values that lie one after the other.
  void (*mean)(const float* rows, int count, int width, float* out);
};

// Bytes that `attend` needs; enough for every set.
size_t attention_scratch(int tokens, int size);

const EncoderSet& encoder_set();

}  // namespace ponant
