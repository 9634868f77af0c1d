// Attention over pages: scores, softmax and weighted values, a block of positions at a time.
#include "attention.hpp"

#include <algorithm>

#include "attention_forms.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

// Rows that one pass over the lines of a page serves, and pages or chunks of sixteen dimensions that R
// rows take at once: as many rows as can be, since lines come from the second cache, and sums stay in
// registers.
constexpr int kMostRows = PN_LEVEL >= 2 ? 8 : 4;
template <int R>
constexpr int kWide = PN_LEVEL < 2 ? 1 : R > 4 ? 2 : 4;

// Scores of R rows against P pages: scores[row][page * 16 + token].
template <class C, int R, int P>
void score(const char* queries, size_t query_bytes, const char* const* keys, int steps,
           float* scores) {
  Vec sums[R][P];
  for (auto& row : sums)
    for (Vec& one : row) one = Vec::zero();
  for (int i = 0; i < steps; ++i) {
    typename C::Line lines[P];
    for (int p = 0; p < P; ++p) lines[p] = C::line(keys[p] + static_cast<size_t>(i) * kLine);
    for (int r = 0; r < R; ++r) {
      const auto factor = C::spread(queries + r * query_bytes + i * C::kFactorBytes);
      for (int p = 0; p < P; ++p) sums[r][p] = C::step(sums[r][p], factor, lines[p]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p) sums[r][p].store(scores + r * kBlockTokens + p * kPageTokens);
}

template <class C, int R>
void score_rows(const char* queries, size_t query_bytes, const char* const* keys, int pages,
                int steps, float* scores) {
  int p = 0;
  for (; p + kWide<R> <= pages; p += kWide<R>)
    score<C, R, kWide<R>>(queries, query_bytes, keys + p, steps, scores + p * kPageTokens);
  if constexpr (kWide<R> > 2)
    for (; p + 2 <= pages; p += 2)
      score<C, R, 2>(queries, query_bytes, keys + p, steps, scores + p * kPageTokens);
  for (; p < pages; ++p)
    score<C, R, 1>(queries, query_bytes, keys + p, steps, scores + p * kPageTokens);
}

// How a block's part joins what the blocks before it gave: old * before + part * now.
struct Join {
  float before, now;
};

// Weighted values of R rows, C chunks of sixteen dimensions: out[row] = out[row] * join.before +
// sum * join.now, or the bare sum where `joins` is null.
template <class C, int R, int N>
void weigh(const char* weights, size_t weight_bytes, const char* const* values, int pages,
           int head_size, int offset, int lanes, const Join* joins, float* const* out) {
  constexpr int kSteps = kPageTokens / C::kPair;
  Vec sums[R][N];
  for (auto& row : sums)
    for (Vec& one : row) one = Vec::zero();
  const size_t step_bytes = static_cast<size_t>(head_size) * 4;
  for (int p = 0; p < pages; ++p) {
    const char* line = values[p] + static_cast<size_t>(offset) * 4;
    const char* weight = weights + p * kSteps * C::kFactorBytes;
    for (int t = 0; t < kSteps; ++t, line += step_bytes, weight += C::kFactorBytes) {
      typename C::Line lines[N];
      for (int n = 0; n < N; ++n)
        lines[n] = lanes == kLanes ? C::line(line + n * kLine) : C::part(line + n * kLine, lanes);
      for (int r = 0; r < R; ++r) {
        const auto factor = C::spread(weight + r * weight_bytes);
        for (int n = 0; n < N; ++n) sums[r][n] = C::step(sums[r][n], factor, lines[n]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) {
      float* place = out[r] + offset + n * kLanes;
      Vec result = sums[r][n];
      if (joins)
        result = multiply_add(result, Vec::set(joins[r].now),
                              Vec::load(place, lanes) * Vec::set(joins[r].before));
      result.store(place, lanes);
    }
}

template <class C, int R>
void weigh_rows(const char* weights, size_t weight_bytes, const char* const* values, int pages,
                int head_size, const Join* joins, float* const* out) {
  int offset = 0;
  for (; offset + kWide<R> * kLanes <= head_size; offset += kWide<R> * kLanes)
    weigh<C, R, kWide<R>>(weights, weight_bytes, values, pages, head_size, offset, kLanes, joins, out);
  for (; offset < head_size; offset += kLanes)
    weigh<C, R, 1>(weights, weight_bytes, values, pages, head_size, offset,
                   std::min(kLanes, head_size - offset), joins, out);
}

// A row's largest score and the sum of its weights, of one block or of all so far.
struct State {
  float largest, total;
};

// Joins a block's state to `state`. A block that a row does not see changes nothing.
Join join(State& state, State block) {
  if (block.largest == kLowest) return {1.0f, 0.0f};
  const float largest = std::max(state.largest, block.largest);
  alignas(64) float powers[kLanes] = {state.largest - largest, block.largest - largest};
  exponential(Vec::load(powers)).store(powers);
  state.total = state.total * powers[0] + block.total * powers[1];
  state.largest = largest;
  return {powers[0], powers[1]};
}

// One thread's working memory for a tile.
template <class C>
struct Scratch {
  size_t query_bytes, weight_bytes;
  char* queries;
  char* weights;
  float* scores;
  State* states;
  State* blocks;
  Join* joins;
  float** out;

  static size_t bytes_of_queries(int head_size) {
    const int padded = (head_size + kLanes - 1) / kLanes * kLanes;
    return static_cast<size_t>(padded / C::kPair) * C::kFactorBytes;
  }

  // Lays the arrays out one after the other; without memory, only counts `used`.
  Scratch(char* memory, int rows, int head_size)
      : query_bytes(bytes_of_queries(head_size)),
        weight_bytes(static_cast<size_t>(kBlockTokens / C::kPair) * C::kFactorBytes) {
    take(memory, queries, query_bytes * rows);
    take(memory, weights, weight_bytes * rows);
    take(memory, scores, sizeof(float) * kBlockTokens * rows);
    take(memory, states, sizeof(State) * rows);
    take(memory, blocks, sizeof(State) * rows);
    take(memory, joins, sizeof(Join) * rows);
    take(memory, out, sizeof(float*) * rows);
  }

  template <class T>
  void take(char* memory, T*& array, size_t bytes) {
    array = memory ? reinterpret_cast<T*>(memory + used) : nullptr;
    used += (bytes + kLine - 1) / kLine * kLine;
  }

  size_t used = 0;
};

// Attention of one tile and key-value head. Row r is query head r % group of the tile's row
// r / group.
template <class C>
class Tile {
 public:
  Tile(const Attention& attention, const AttentionTile& tile, int head, void* memory)
      : a_(attention),
        t_(tile),
        head_(head),
        rows_(tile.count * attention.group),
        size_(attention.cache.head_size),
        s_(static_cast<char*>(memory), rows_, size_) {
    for (int r = 0; r < rows_; ++r) {
      s_.states[r] = {kLowest, 0.0f};
      s_.out[r] = a_.out + offset_of(r);
    }
  }

  void attend() {
    load_queries();
    clear();
    const BlockRange range = blocks_of(a_, t_);
    for (int block = range.first; block < range.last; ++block) {
      weigh_block(block);
      for (int r = 0; r < rows_; ++r) s_.joins[r] = join(s_.states[r], s_.blocks[r]);
      add_values(s_.joins);
    }
    normalise();
  }

  // Partial: the block's states, then the weighted values, row after row.
  void attend_block(int block, float* partial) {
    load_queries();
    weigh_block(block);
    std::memcpy(partial, s_.blocks, sizeof(State) * rows_);
    float* const values = partial + 2 * rows_;
    for (int r = 0; r < rows_; ++r) s_.out[r] = values + static_cast<size_t>(r) * size_;
    add_values(nullptr);
  }

  void merge(const float* partials, int blocks) {
    clear();
    const size_t stride = static_cast<size_t>(rows_) * (2 + size_);
    for (int block = 0; block < blocks; ++block, partials += stride)
      for (int r = 0; r < rows_; ++r) {
        State state;
        std::memcpy(&state, partials + 2 * r, sizeof state);
        merge_row(s_.out[r], join(s_.states[r], state), partials + 2 * rows_ + r * size_);
      }
    normalise();
  }

 private:
  size_t offset_of(int r) const {
    const size_t heads = static_cast<size_t>(a_.cache.key_value_heads) * a_.group;
    const size_t row = static_cast<size_t>(t_.first + r / a_.group);
    return (row * heads + head_ * a_.group + r % a_.group) * size_;
  }

  void load_queries() {
    for (int r = 0; r < rows_; ++r) {
      const float* query = a_.queries + offset_of(r);
      char* out = s_.queries + r * s_.query_bytes;
      constexpr int kStep = kLanes / C::kPair * C::kFactorBytes;
      for (int i = 0; i < size_; i += kLanes, out += kStep)
        C::as_factors(Vec::load(query + i, std::min(kLanes, size_ - i)), out);
    }
  }

  void clear() {
    for (int r = 0; r < rows_; ++r) std::fill_n(s_.out[r], size_, 0.0f);
  }

  // Scores and weights of a block, into s_.weights and s_.blocks.
  void weigh_block(int block) {
    const int first = seen_from(t_.positions[0]), last = t_.positions[t_.count - 1];
    first_page_ = std::max(block * kBlockPages, first / kPageTokens);
    pages_ = std::min((block + 1) * kBlockPages, last / kPageTokens + 1) - first_page_;
    const char* keys[kBlockPages];
    for (int p = 0; p < pages_; ++p) {
      keys[p] = a_.cache.keys(t_.pages[first_page_ + p], head_);
      values_[p] = a_.cache.values(t_.pages[first_page_ + p], head_);
    }
    const int steps = size_ / C::kPair;
    in_groups([&](auto count, int r) {
      score_rows<C, decltype(count)::value>(s_.queries + r * s_.query_bytes, s_.query_bytes, keys,
                                            pages_, steps, s_.scores + r * kBlockTokens);
    });
    for (int r = 0; r < rows_; ++r) s_.blocks[r] = soften(r);
  }

  int seen_from(int position) const {
    return a_.window ? std::max(0, position - a_.window + 1) : 0;
  }

  // Softmax of one row's scores without its division; what the row does not see weighs 0.
  State soften(int r) {
    const int position = t_.positions[r / a_.group];
    const int from = seen_from(position) - first_page_ * kPageTokens;
    const int to = position + 1 - first_page_ * kPageTokens;
    float* scores = s_.scores + r * kBlockTokens;
    Vec most = Vec::set(kLowest);
    for (int p = 0; p < pages_; ++p) {
      Vec a = Vec::load(scores + p * kPageTokens);
      const int low = from - p * kPageTokens, high = to - p * kPageTokens;
      if (low > 0 || high < kPageTokens) {
        const int first = std::clamp(low, 0, kPageTokens), last = std::clamp(high, 0, kPageTokens);
        a = select(between(first, last), a, Vec::set(kLowest));
        a.store(scores + p * kPageTokens);
      }
      most = maximum(most, a);
    }
    const float top = largest(most);
    const Vec base = Vec::set(top == kLowest ? 0.0f : top);
    char* out = s_.weights + r * s_.weight_bytes;
    constexpr int kStep = kLanes / C::kPair * C::kFactorBytes;
    Vec total = Vec::zero();
    for (int p = 0; p < pages_; ++p, out += kStep)
      total = total + C::as_factors(exponential(Vec::load(scores + p * kPageTokens) - base), out);
    return {top, sum(total)};
  }

  void add_values(const Join* joins) {
    in_groups([&](auto count, int r) {
      weigh_rows<C, decltype(count)::value>(s_.weights + r * s_.weight_bytes, s_.weight_bytes,
                                            values_, pages_, size_, joins ? joins + r : nullptr,
                                            s_.out + r);
    });
  }

  void merge_row(float* out, Join join, const float* part) {
    for (int i = 0; i < size_; i += kLanes) {
      const int n = std::min(kLanes, size_ - i);
      const Vec old = Vec::load(out + i, n) * Vec::set(join.before);
      multiply_add(Vec::load(part + i, n), Vec::set(join.now), old).store(out + i, n);
    }
  }

  void normalise() {
    for (int r = 0; r < rows_; ++r) {
      const Vec inverse = Vec::set(1.0f / s_.states[r].total);
      for (int i = 0; i < size_; i += kLanes) {
        const int n = std::min(kLanes, size_ - i);
        (Vec::load(s_.out[r] + i, n) * inverse).store(s_.out[r] + i, n);
      }
    }
  }

  template <int N>
  struct Count {
    static constexpr int value = N;
  };

  // f(count, first row) over all rows, as many at a time as may be.
  template <class F>
  void in_groups(F&& f) {
    int r = 0;
    for (; r + kMostRows <= rows_; r += kMostRows) f(Count<kMostRows>{}, r);
    for (; r + 4 <= rows_; r += 4) f(Count<4>{}, r);
    switch (rows_ - r) {
      case 3: return f(Count<3>{}, r);
      case 2: return f(Count<2>{}, r);
      case 1: return f(Count<1>{}, r);
      default: return;
    }
  }

  const Attention& a_;
  const AttentionTile& t_;
  int head_, rows_, size_;
  Scratch<C> s_;
  int first_page_ = 0, pages_ = 0;
  const char* values_[kBlockPages];
};

template <class F>
void with_tile(const Attention& a, const AttentionTile& t, int head, void* scratch, F&& f) {
  if (a.cache.form == PN_F32)
    f(Tile<Float32>(a, t, head, scratch));
  else
    f(Tile<Bf16>(a, t, head, scratch));
}

size_t scratch_bytes(int rows, int head_size) {
  return std::max(Scratch<Float32>(nullptr, rows, head_size).used,
                  Scratch<Bf16>(nullptr, rows, head_size).used);
}

size_t partial_floats(int rows, int head_size) {
  return static_cast<size_t>(rows) * (2 + head_size);
}

void attend(const Attention& a, const AttentionTile& t, int head, void* scratch) {
  with_tile(a, t, head, scratch, [](auto tile) { tile.attend(); });
}

void attend_block(const Attention& a, const AttentionTile& t, int head, int block, float* partial,
                  void* scratch) {
  with_tile(a, t, head, scratch, [&](auto tile) { tile.attend_block(block, partial); });
}

void merge(const Attention& a, const AttentionTile& t, int head, const float* partials, int blocks,
           void* scratch) {
  with_tile(a, t, head, scratch, [&](auto tile) { tile.merge(partials, blocks); });
}

}  // namespace

extern const AttentionKernels attention_table{scratch_bytes, partial_floats, attend,
                                              attend_block,  merge,          write_page};

}  // namespace PN_ISA
}  // namespace ponant
