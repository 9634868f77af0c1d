// Products of rows of activations with packed matrices.
//
// An output is one sum in a fixed order (ascending inputs) with a fixed formula for each form, so its
// bits depend neither on the rows beside it nor on threads, tiles or instruction set; where the sets
// differ is said in linear_float.isa.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "forms.hpp"
#include "ponant.h"

namespace ponant {

class Pool;

// Memory that starts at a cache line and is kept from call to call.
class Lines {
 public:
  Lines() = default;
  ~Lines();
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  // At least `bytes`; what was there before is lost where it has to grow.
  void* reserve(size_t bytes);

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// 32 values of a row as integers, and what each form adds to make up for its unsigned codes.
struct alignas(64) RowBlock {
  int8_t codes[kBlock];
  float scale;
  int32_t minus_128;    // -128 * sum of codes
  int32_t minus_16;     // -16 * sum of codes, and so on
  int32_t minus_8;
  int32_t minus_32[2];  // -32 * sum of each half's codes
  float minus_sum;      // -(scale * sum of codes)
  int32_t unused;
};
static_assert(sizeof(RowBlock) == 64, "one cache line a block");

// Rows in the forms that were prepared; `blocks` and `pairs` count per row.
struct RowsView {
  const float* floats;
  int stride;
  const RowBlock* integers;
  int blocks;
  const uint32_t* halves;  // two bf16 values each
  int pairs;
};

// Activations in every form that the products ahead need. Buffers are kept, so keep the object.
class Rows {
 public:
  // x: (count, inputs), leading dimension `stride` floats; it must stay until the products are done
  // where `kinds` has kFloatRows. `kinds` is a set of bits from kind_of(form). `fill(first, last)` is
  // called before for rows that are not written yet, by the thread that converts them, while they are
  // near.
  using Fill = std::function<void(int first, int last)>;
  void prepare(Pool& pool, const float* x, int count, int inputs, int stride, unsigned kinds,
               const Fill& fill = {});

  int count() const { return count_; }
  const RowsView& view() const { return view_; }

 private:
  int count_ = 0;
  RowsView view_{};
  Lines integers_, halves_;
};

// Which activations a form multiplies: one of kFloatRows, kBf16Rows, kInt8Rows.
unsigned kind_of(int form);

struct Product {
  const pn_matrix* matrix;
  float* out;  // (rows, outputs)
  int stride;  // leading dimension of out, in floats
};

// All products of the same rows in one parallel region (query, key, value; gate, up).
void multiply(Pool& pool, const Rows& rows, const Product* products, int count);

// The same for some of the rows (mixture of experts): row i of out belongs to row index[i].
void multiply(Pool& pool, const Rows& rows, const int* index, int n, const Product* products,
              int count);

// Outputs of the panels in [begin, end) for all rows, on the calling thread. `out` has the first of
// them in its first column.
void multiply_panels(const Rows& rows, const pn_matrix& matrix, int begin, int end, float* out,
                     int stride);

}  // namespace ponant
