// One batch through all layers of a decoder.
#pragma once

#include <vector>

#include "attention.hpp"
#include "elementwise.hpp"
#include "linear.hpp"
#include "pool.hpp"

namespace ponant {

// Rows of one sequence that lie in one page.
struct PageRows {
  int first, count;
  int page, slot;
};

// Memory of a batch, kept from call to call.
struct Workspace {
  Lines residual, normed, query, key, value, attended, projected, gate, up, expert_out;
  Lines cosines, sines, scratch, partials, scores, uppers;
  Rows rows, inner;
  std::vector<int> positions, sequences, asked_positions;
  std::vector<PageRows> page_rows;
  std::vector<AttentionTile> tiles, asked_tiles;

  template <class T>
  static T* of(Lines& lines, size_t count) {
    return static_cast<T*>(lines.reserve(count * sizeof(T)));
  }
};

// f(first, last) over `rows` of `width` values, in parallel where there is work enough.
template <class F>
void for_rows(Pool& pool, int rows, int width, F&& f) {
  const int grain = rows_per_task(rows, width, pool.threads());
  const int tasks = (rows + grain - 1) / grain;
  pool.run(tasks, [&](int task, int) {
    const int first = task * grain;
    f(first, first + grain < rows ? first + grain : rows);
  });
}

// Attention of all tiles, shared among the threads: attention_share.cpp.
void share_attention(Pool& pool, Workspace& workspace, const Attention& attention,
                     const std::vector<AttentionTile>& tiles);

// The attention half of a layer and what it needs to know of the batch: decoder_attention.cpp.
class AttentionPart {
 public:
  AttentionPart(Pool& pool, Workspace& workspace, const pn_model& model, const pn_cache& cache,
                const pn_batch& batch);

  // x += attention(norm(x)). With `last`, only wanted rows go on, and x shrinks to them; returns
  // how many rows x has.
  int run(int layer, float* x, bool last);

 private:
  void place_rows();
  void fill_tables();
  void project(const pn_layer& layer, bool last);
  void turn_and_write(const pn_layer& layer, const LayerCache& cache);
  void turn_queries(const pn_layer& layer, bool last);
  LayerCache cache_of(int layer) const;
  int tile_rows() const;

  Pool& pool_;
  Workspace& w_;
  const pn_model& m_;
  const pn_cache& cache_;
  const pn_batch& b_;
  const Elementwise& e_;
  int query_width_, key_width_;
  int rope_pairs_ = 0;
  float *query_, *key_, *value_, *attended_;
  float *cosines_, *sines_;
};

// The feed-forward half of a layer: x += feed_forward(norm(x)).
void feed_forward(Pool& pool, Workspace& workspace, const pn_model& model, const pn_layer& layer,
                  float* x, int rows);

}  // namespace ponant
