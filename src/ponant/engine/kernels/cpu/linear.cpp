// Prepares rows and shares products among threads.
#include "linear.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "isa.hpp"
#include "linear_isa.hpp"
#include "pool.hpp"
#include "shares.hpp"
#include "tiled.hpp"

namespace ponant {
namespace {

constexpr LinearSet kSets[] = {
    {portable::quantise, portable::halve, portable::multiply_integers, portable::multiply_floats, portable::screen},
#if defined(PN_X86)
    {avx2::quantise, avx2::halve, avx2::multiply_integers, avx2::multiply_floats, avx2::screen},
    {avx512::quantise, avx512::halve, avx512::multiply_integers, avx512::multiply_floats, avx512::screen},
    {avx512bf16::quantise, avx512bf16::halve, avx512bf16::multiply_integers,
     avx512bf16::multiply_floats, avx512bf16::screen},
#endif
};

constexpr int kFewRows = 24;             // up to here weights are read once, by one task
constexpr int kRowBlocks = 12288;        // blocks of rows that stay in the second cache: 768 KB
constexpr int kLeastRows = 192;          // that share weights taken apart once
constexpr size_t kTaskBytes = 64 << 10;  // least weights for a task, so that handing out is cheap
constexpr int kTasksPerThread = 6;       // enough to even out what other processes take
constexpr size_t kHugePage = 2 << 20;    // one of them spares 512 faults and as many looks at tables

const LinearSet& set() { return linear_set(); }

int ceiling(int a, int b) { return (a + b - 1) / b; }

// One product cut into row blocks and groups of panels.
struct Cut {
  const Product* product;
  int panels, group, row_blocks, tasks;
};

// Panels that one task takes: an even number, for tiles of two.
int panels_per_task(const pn_matrix& matrix, int panels, int row_blocks, int threads) {
  const size_t bytes = panel_layout(matrix.form, matrix.inputs).size * row_blocks;
  const int least = static_cast<int>(std::min<size_t>(kTaskBytes / std::max<size_t>(bytes, 1), 4096));
  const int fair = panels * row_blocks / (threads * kTasksPerThread);
  return std::max(2, std::max(fair, least) / 2 * 2);
}

Cut cut_product(const Product& product, int rows, int threads) {
  Cut cut{&product, panel_count(product.matrix->outputs), 0, 1, 0};
  if (rows > kFewRows) {
    const int near = std::max(kLeastRows, kRowBlocks / block_count(product.matrix->inputs));
    cut.row_blocks = ceiling(rows, near);
  }
  cut.group = panels_per_task(*product.matrix, cut.panels, cut.row_blocks, threads);
  cut.tasks = cut.row_blocks * ceiling(cut.panels, cut.group);
  return cut;
}

void run_piece(const Piece& piece) {
  if (!is_integer(piece.matrix->form)) return set().multiply_floats(piece);
#if defined(PN_TILES)
  if (piece.row_end - piece.row_begin >= kLeastTiledRows && tiles()) return multiply_tiled(piece);
#endif
  set().multiply_integers(piece);
}

void run_task(const Cut& cut, int task, const RowsView& view, const int* index, int rows) {
  const int groups = cut.tasks / cut.row_blocks;
  const int block = task / groups, panel = task % groups * cut.group;
  const int row_begin = static_cast<int>(static_cast<int64_t>(rows) * block / cut.row_blocks);
  const int row_end = static_cast<int>(static_cast<int64_t>(rows) * (block + 1) / cut.row_blocks);
  const Product& product = *cut.product;
  run_piece({product.matrix,
             &view,
             index,
             row_begin,
             row_end,
             panel,
             std::min(panel + cut.group, cut.panels),
             product.out,
             product.stride});
}

}  // namespace

const LinearSet& linear_set() { return kSets[static_cast<int>(isa())]; }

Lines::~Lines() { std::free(data_); }

void* Lines::reserve(size_t bytes) {
  if (bytes <= bytes_) return data_;
  std::free(data_);
  bytes_ = 0;
  const size_t page = bytes < kHugePage ? 64 : kHugePage;
  const size_t whole = (bytes + page - 1) / page * page;
  data_ = std::aligned_alloc(page, whole);
  if (!data_) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (page == kHugePage) madvise(data_, whole, MADV_HUGEPAGE);
#endif
  bytes_ = whole;
  return data_;
}

void Rows::prepare(Pool& pool, const float* x, int count, int inputs, int stride, unsigned kinds,
                   const Fill& fill) {
  count_ = count;
  view_ = {};
  view_.floats = x;
  view_.stride = stride;
  RowBlock* integers = nullptr;
  uint32_t* halves = nullptr;
  const size_t rows = static_cast<size_t>(count);
  if (kinds & kInt8Rows) {
    view_.blocks = block_count(inputs);
    integers = static_cast<RowBlock*>(integers_.reserve(rows * view_.blocks * sizeof(RowBlock)));
  }
  if (kinds & kBf16Rows) {
    view_.pairs = (inputs + 1) / 2;
    halves = static_cast<uint32_t*>(halves_.reserve(rows * view_.pairs * sizeof(uint32_t)));
  }
  view_.integers = integers;
  view_.halves = halves;
  if (!integers && !halves && !fill) return;
  const size_t grain = rows_per_task(count, inputs, pool.threads());
  pool.run(static_cast<int>((rows + grain - 1) / grain), [&](int task, int) {
    const size_t first = task * grain, last = std::min(rows, first + grain);
    if (fill) fill(static_cast<int>(first), static_cast<int>(last));
    for (size_t row = first; row < last; ++row) {
      if (integers) set().quantise(x + row * stride, inputs, integers + row * view_.blocks);
      if (halves) set().halve(x + row * stride, inputs, halves + row * view_.pairs);
    }
  });
}

unsigned kind_of(int form) {
  if (is_integer(form)) return kInt8Rows;
  return form == PN_BF16 ? kBf16Rows : kFloatRows;
}

void multiply(Pool& pool, const Rows& rows, const Product* products, int count) {
  multiply(pool, rows, nullptr, rows.count(), products, count);
}

void multiply(Pool& pool, const Rows& rows, const int* index, int n, const Product* products,
              int count) {
  if (n <= 0) return;
  constexpr int kMost = 16;
  Cut cuts[kMost];
  for (; count > kMost; count -= kMost, products += kMost)
    multiply(pool, rows, index, n, products, kMost);
  int tasks = 0;
  for (int i = 0; i < count; ++i) {
    cuts[i] = cut_product(products[i], n, pool.threads());
    tasks += cuts[i].tasks;
  }
  Shares shares(tasks, pool.threads());
  pool.run(tasks, [&](int, int thread) {
    const Cut* cut = cuts;
    int task = shares.next(thread);
    for (; task >= cut->tasks; ++cut) task -= cut->tasks;
    run_task(*cut, task, rows.view(), index, n);
  });
}

void multiply_panels(const Rows& rows, const pn_matrix& matrix, int begin, int end, float* out,
                     int stride) {
  pn_matrix part = matrix;  // panels stand by themselves, so some of them are a matrix, too
  part.data = static_cast<const char*>(matrix.data) +
              panel_layout(matrix.form, matrix.inputs).size * static_cast<size_t>(begin);
  part.outputs = std::min(matrix.outputs, end * kLanes) - begin * kLanes;
  if (matrix.bias) part.bias = matrix.bias + begin * kLanes;
  run_piece({&part, &rows.view(), nullptr, 0, rows.count(), 0, end - begin, out, stride});
}

}  // namespace ponant

extern "C" void pn_linear(pn_pool* pool, const pn_matrix* matrix, const float* x, int rows,
                          float* out) {
  auto& threads = *reinterpret_cast<ponant::Pool*>(pool);
  thread_local ponant::Rows prepared;
  const unsigned kind = ponant::kind_of(matrix->form);
  prepared.prepare(threads, x, rows, matrix->inputs, matrix->inputs, kind);
  const ponant::Product product{matrix, out, matrix->outputs};
  ponant::multiply(threads, prepared, &product, 1);
}
