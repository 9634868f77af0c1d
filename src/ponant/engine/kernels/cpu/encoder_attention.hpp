// Full attention among the tokens of one sequence, one head at a time; included by encoder.isa.cpp.
//
// Keys are laid out with sixteen tokens in the lanes, so a query's scores need no sum across lanes;
// values with the head's dimensions in the lanes. With AVX512-BF16 both stand as pairs of bf16 and
// products are dot products of pairs; elsewhere everything is float32. A row of scores is whole
// before its softmax, and each sum runs over ascending dimensions or tokens.
#pragma once

#include <algorithm>

#include "elementwise_math.hpp"
#include "encoder.hpp"

namespace ponant {
namespace PN_ISA {

constexpr int kQueries = PN_LEVEL >= 2 ? 4 : 2;  // rows of a tile; what the registers hold
constexpr int kColumns = PN_LEVEL >= 2 ? 4 : 2;  // vectors of a tile

inline int round_up(int count, int to) { return (count + to - 1) / to * to; }

// Sixteen rows of sixteen values, `step` values apart, to columns that are `out_step` apart.
#if PN_LEVEL >= 2
inline void transpose(const __m512i (&rows)[16], uint32_t* out, int out_step) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = _mm512_unpacklo_epi64(a[i + j], a[i + j + 2]);
      b[i + 2 * j + 1] = _mm512_unpackhi_epi64(a[i + j], a[i + j + 2]);
    }
  // Now b[4g + c] holds, in each quarter q, column 4q + c of rows 4g .. 4g + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512i low = _mm512_shuffle_i32x4(b[c], b[4 + c], 0x88);
    const __m512i odd = _mm512_shuffle_i32x4(b[c], b[4 + c], 0xdd);
    const __m512i low2 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0x88);
    const __m512i odd2 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0xdd);
    _mm512_storeu_si512(out + c * out_step, _mm512_shuffle_i32x4(low, low2, 0x88));
    _mm512_storeu_si512(out + (4 + c) * out_step, _mm512_shuffle_i32x4(odd, odd2, 0x88));
    _mm512_storeu_si512(out + (8 + c) * out_step, _mm512_shuffle_i32x4(low, low2, 0xdd));
    _mm512_storeu_si512(out + (12 + c) * out_step, _mm512_shuffle_i32x4(odd, odd2, 0xdd));
  }
}
#endif

// What a product multiplies at once: a float, or two bf16 values.
#if PN_LEVEL >= 3
struct Cell {
  static constexpr int kValues = 2;
  __m512i v;
  static Cell load(const uint32_t* x) { return {_mm512_loadu_si512(x)}; }
  static Cell spread(const uint32_t* x) { return {_mm512_set1_epi32(static_cast<int>(*x))}; }
};

inline Vec multiply_cells(Cell a, Cell b, Vec total) {
  return {_mm512_dpbf16_ps(total.v, (__m512bh)a.v, (__m512bh)b.v)};
}

// Thirty-two values as sixteen pairs.
inline __m512i pairs(Vec low, Vec high) { return (__m512i)_mm512_cvtne2ps_pbh(high.v, low.v); }

inline Vec part(const float* x, int size, int at) {
  const int left = size - at;
  return left >= kLanes ? Vec::load(x + at) : left > 0 ? Vec::load(x + at, left) : Vec::zero();
}

inline void pack_row(const float* x, int count, int cells, uint32_t* out) {
  for (int c = 0; c < cells; c += kLanes)
    _mm512_storeu_si512(out + c, pairs(part(x, count, 2 * c), part(x, count, 2 * c + kLanes)));
}

// Sixteen tokens' keys to [cell][token].
inline void pack_keys(const HeadTask& task, int token, int cells, int padded, uint32_t* out) {
  for (int c = 0; c < cells; c += kLanes) {
    __m512i rows[16];
    for (int i = 0; i < 16; ++i) {
      const float* key = task.key + static_cast<size_t>(token + i) * task.stride;
      rows[i] = token + i < task.tokens
                    ? pairs(part(key, task.size, 2 * c), part(key, task.size, 2 * c + kLanes))
                    : _mm512_setzero_si512();
    }
    transpose(rows, out + static_cast<size_t>(c) * padded + token, padded);
  }
}

// Two tokens' values to [dimension] pairs.
inline void pack_values(const HeadTask& task, int pair, int width, uint32_t* out) {
  const float* first = task.value + static_cast<size_t>(2 * pair) * task.stride;
  const bool second = 2 * pair + 1 < task.tokens;
  for (int d = 0; d < width; d += kLanes) {
    const Vec low = part(first, task.size, d);
    const Vec high = second ? part(first + task.stride, task.size, d) : Vec::zero();
    const __m512i halves = pairs(low, high);
    const __m512i wide = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(halves));
    const __m512i upper = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(halves, 1));
    _mm512_storeu_si512(out + d, _mm512_or_si512(wide, _mm512_slli_epi32(upper, 16)));
  }
}

#else
struct Cell {
  static constexpr int kValues = 1;
  Vec v;
  static Cell load(const uint32_t* x) { return {Vec::load(reinterpret_cast<const float*>(x))}; }
  static Cell spread(const uint32_t* x) { return {Vec::set(bits_to_float(*x))}; }
};

inline Vec multiply_cells(Cell a, Cell b, Vec total) { return multiply_add(a.v, b.v, total); }

inline void pack_row(const float* x, int count, int cells, uint32_t* out) {
  std::memcpy(out, x, sizeof(float) * static_cast<size_t>(count));
  std::fill(out + count, out + cells, 0u);
}

inline void pack_keys(const HeadTask& task, int token, int cells, int padded, uint32_t* out) {
  for (int i = 0; i < kLanes; ++i) {
    const float* key = task.key + static_cast<size_t>(token + i) * task.stride;
    const int size = token + i < task.tokens ? task.size : 0;
    for (int c = 0; c < cells; ++c)
      out[static_cast<size_t>(c) * padded + token + i] = c < size ? float_to_bits(key[c]) : 0u;
  }
}

inline void pack_values(const HeadTask& task, int token, int width, uint32_t* out) {
  pack_row(task.value + static_cast<size_t>(token) * task.stride, task.size, width, out);
}
#endif

// R rows of `left` cells times C vectors of `right`, whose rows are `step` cells apart.
template <int R, int C>
inline void tile(const uint32_t* left, int left_step, const uint32_t* right, int step, int cells,
                 Vec (&totals)[R][C]) {
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) totals[r][c] = Vec::zero();
  for (int i = 0; i < cells; ++i, right += step) {
    Cell columns[C];
    for (int c = 0; c < C; ++c) columns[c] = Cell::load(right + c * kLanes);
    for (int r = 0; r < R; ++r) {
      const Cell row = Cell::spread(left + r * left_step + i);
      for (int c = 0; c < C; ++c) totals[r][c] = multiply_cells(row, columns[c], totals[r][c]);
    }
  }
}

// out = left @ right times a factor a row, for R rows and `width` columns.
template <int R, int C>
void product(const uint32_t* left, int left_step, const uint32_t* right, int step, int cells,
             const float* factors, int width, float* out, int out_step) {
  int column = 0;
  const auto finish = [&](auto& totals, int vectors) {
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < vectors; ++c) {
        const Vec value = totals[r][c] * Vec::set(factors[r]);
        float* to = out + static_cast<size_t>(r) * out_step + column + c * kLanes;
        const int lanes = width - column - c * kLanes;
        if (lanes >= kLanes)
          value.store(to);
        else if (lanes > 0)
          value.store(to, lanes);
      }
  };
  for (; column + C * kLanes <= round_up(width, kLanes); column += C * kLanes) {
    Vec totals[R][C];
    tile<R, C>(left, left_step, right + column, step, cells, totals);
    finish(totals, C);
  }
  for (; column < width; column += kLanes) {
    Vec totals[R][1];
    tile<R, 1>(left, left_step, right + column, step, cells, totals);
    finish(totals, 1);
  }
}

template <int C>
void product(int rows, const uint32_t* left, int left_step, const uint32_t* right, int step,
             int cells, const float* factors, int width, float* out, int out_step) {
  const auto run = rows == kQueries ? product<kQueries, C> : product<1, C>;
  const int at_once = rows == kQueries ? kQueries : 1;
  for (int r = 0; r < rows; r += at_once)
    run(left + r * left_step, left_step, right, step, cells, factors + r, width,
        out + static_cast<size_t>(r) * out_step, out_step);
}

// Exponentials of a row of scores over its largest, padding as zeros; returns one over their sum.
inline float soften(float* scores, int count, int padded) {
  std::fill(scores + count, scores + padded, kLowest);
  Vec most = Vec::set(kLowest);
  for (int i = 0; i < padded; i += kLanes) most = maximum(most, Vec::load(scores + i));
  const Vec top = Vec::set(largest(most));
  Vec total = Vec::zero();
  for (int i = 0; i < padded; i += kLanes) {
    const Vec weight = exponential(Vec::load(scores + i) - top);
    weight.store(scores + i);
    total = total + weight;
  }
  return 1.0f / sum(total);
}

inline void attend(const HeadTask& task) {
  const int padded = round_up(task.tokens, 2 * kLanes);
  const int width = round_up(task.size, kLanes);
  const int cells = round_up(task.size, kLanes * Cell::kValues) / Cell::kValues;
  const int weight_cells = padded / Cell::kValues;
  auto* keys = static_cast<uint32_t*>(task.scratch);
  uint32_t* values = keys + static_cast<size_t>(cells) * padded;
  uint32_t* queries = values + static_cast<size_t>(weight_cells) * width;
  uint32_t* weights = queries + kQueries * cells;
  auto* scores = reinterpret_cast<float*>(weights + kQueries * weight_cells);

  for (int token = 0; token < padded; token += kLanes) pack_keys(task, token, cells, padded, keys);
  const int used = (task.tokens + Cell::kValues - 1) / Cell::kValues;
  for (int i = 0; i < used; ++i) pack_values(task, i, width, values + static_cast<size_t>(i) * width);

  for (int first = 0; first < task.tokens; first += kQueries) {
    const int rows = std::min(kQueries, task.tokens - first);
    float factors[kQueries];
    for (int r = 0; r < rows; ++r) {
      pack_row(task.query + static_cast<size_t>(first + r) * task.stride, task.size, cells,
               queries + r * cells);
      factors[r] = task.scale;
    }
    product<kColumns>(rows, queries, cells, keys, padded, cells, factors, padded, scores, padded);
    for (int r = 0; r < rows; ++r) {
      float* row = scores + static_cast<size_t>(r) * padded;
      factors[r] = soften(row, task.tokens, padded);
      pack_row(row, padded, weight_cells, weights + r * weight_cells);
    }
    product<2>(rows, weights, weight_cells, values, width, used, factors, task.size,
               task.out + static_cast<size_t>(first) * task.out_stride, task.out_stride);
  }
}

}  // namespace PN_ISA
}  // namespace ponant
