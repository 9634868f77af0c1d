// The attention half of a layer: projections, rotation, cache, attention, output.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "decoder.hpp"

namespace ponant {
namespace {

constexpr int kTileRows = 32;  // query heads times rows that share a pass over the pages

void add_tiles(const pn_batch& batch, const std::vector<int>& sequences,
               const std::vector<int>& positions, int most, std::vector<AttentionTile>& tiles) {
  tiles.clear();
  const int rows = static_cast<int>(positions.size());
  for (int first = 0; first < rows;) {
    int last = first + 1;
    while (last < rows && last - first < most && sequences[last] == sequences[first]) ++last;
    const int32_t* pages = batch.pages + batch.page_starts[sequences[first]];
    tiles.push_back({pages, positions.data() + first, first, last - first});
    first = last;
  }
}

float temperature(const pn_layer& layer, int position) {
  if (layer.temperature_beta == 0.0f) return 1.0f;
  const double steps = position / layer.temperature_length;
  return static_cast<float>(1.0 + layer.temperature_beta * std::log1p(steps));
}

}  // namespace

AttentionPart::AttentionPart(Pool& pool, Workspace& workspace, const pn_model& model,
                             const pn_cache& cache, const pn_batch& batch)
    : pool_(pool),
      w_(workspace),
      m_(model),
      cache_(cache),
      b_(batch),
      e_(elementwise()),
      query_width_(model.heads * model.head_size),
      key_width_(model.key_value_heads * model.head_size) {
  const size_t rows = batch.rows;
  query_ = Workspace::of<float>(w_.query, rows * query_width_);
  key_ = Workspace::of<float>(w_.key, rows * key_width_);
  value_ = Workspace::of<float>(w_.value, rows * key_width_);
  attended_ = Workspace::of<float>(w_.attended, rows * query_width_);
  place_rows();
  fill_tables();
}

int AttentionPart::tile_rows() const {
  return std::max(1, kTileRows / (m_.heads / m_.key_value_heads));
}

// Where each row stands: its position, its sequence, its page; and which rows attend together.
void AttentionPart::place_rows() {
  w_.positions.resize(b_.rows);
  w_.sequences.resize(b_.rows);
  w_.page_rows.clear();
  for (int sequence = 0; sequence < b_.sequences; ++sequence) {
    const int32_t* pages = b_.pages + b_.page_starts[sequence];
    for (int row = b_.starts[sequence]; row < b_.starts[sequence + 1]; ++row) {
      const int position = b_.positions[sequence] + row - b_.starts[sequence];
      const int slot = position % kPageTokens;
      w_.positions[row] = position;
      w_.sequences[row] = sequence;
      if (slot == 0 || row == b_.starts[sequence])
        w_.page_rows.push_back({row, 0, pages[position / kPageTokens], slot});
      ++w_.page_rows.back().count;
    }
  }
  add_tiles(b_, w_.sequences, w_.positions, tile_rows(), w_.tiles);
  w_.asked_positions.clear();
  std::vector<int> sequences;
  for (int i = 0; i < b_.wanted_count; ++i) {
    w_.asked_positions.push_back(w_.positions[b_.wanted[i]]);
    sequences.push_back(w_.sequences[b_.wanted[i]]);
  }
  add_tiles(b_, sequences, w_.asked_positions, tile_rows(), w_.asked_tiles);
}

// Cosines and sines of every row, rope after rope. Angles are float32, as the models were trained.
void AttentionPart::fill_tables() {
  for (int rope = 0; rope < m_.rope_count; ++rope)
    rope_pairs_ = std::max(rope_pairs_, m_.ropes[rope].pairs);
  const size_t row_values = static_cast<size_t>(m_.rope_count) * rope_pairs_;
  cosines_ = Workspace::of<float>(w_.cosines, b_.rows * row_values);
  sines_ = Workspace::of<float>(w_.sines, b_.rows * row_values);
  constexpr int kCost = 16;  // a sine costs what sixteen plain values do
  for_rows(pool_, b_.rows, static_cast<int>(row_values) * kCost + 1, [&](int first, int last) {
    for (int row = first; row < last; ++row)
      for (int r = 0; r < m_.rope_count; ++r) {
        const pn_rope& rope = m_.ropes[r];
        const size_t offset = row * row_values + static_cast<size_t>(r) * rope_pairs_;
        for (int i = 0; i < rope.pairs; ++i) {
          const float angle = static_cast<float>(w_.positions[row]) * rope.frequencies[i];
          cosines_[offset + i] = std::cos(angle) * rope.factor;
          sines_[offset + i] = std::sin(angle) * rope.factor;
        }
      }
  });
}

LayerCache AttentionPart::cache_of(int layer) const {
  const size_t page = pn_page_size(&m_, cache_.form);
  char* const data = static_cast<char*>(cache_.data) + page / m_.layer_count * layer;
  return {cache_.form, m_.key_value_heads, m_.head_size, page, data};
}

int AttentionPart::run(int index, float* x, bool last) {
  const pn_layer& layer = m_.layers[index];
  const LayerCache cache = cache_of(index);
  float* const normed = Workspace::of<float>(w_.normed, static_cast<size_t>(b_.rows) * m_.width);
  const unsigned kinds =
      kind_of(layer.query.form) | kind_of(layer.key.form) | kind_of(layer.value.form);
  w_.rows.prepare(pool_, normed, b_.rows, m_.width, m_.width, kinds, [&](int first, int end) {
    const size_t offset = static_cast<size_t>(first) * m_.width;
    e_.norm(x + offset, layer.attention_norm, m_.epsilon, end - first, m_.width, normed + offset);
  });
  project(layer, last);
  turn_and_write(layer, cache);
  const int rows = last ? b_.wanted_count : b_.rows;
  if (rows == 0) return 0;
  turn_queries(layer, last);
  share_attention(pool_, w_,
                  {cache, m_.heads / m_.key_value_heads, layer.window, query_, attended_},
                  last ? w_.asked_tiles : w_.tiles);
  if (last)
    for (int i = 0; i < rows; ++i)
      std::memmove(x + static_cast<size_t>(i) * m_.width,
                   x + static_cast<size_t>(b_.wanted[i]) * m_.width, sizeof(float) * m_.width);
  float* const out = Workspace::of<float>(w_.projected, static_cast<size_t>(rows) * m_.width);
  w_.rows.prepare(pool_, attended_, rows, query_width_, query_width_, kind_of(layer.output.form));
  const Product product{&layer.output, out, m_.width};
  multiply(pool_, w_.rows, &product, 1);
  for_rows(pool_, rows, m_.width, [&](int first, int end) {
    const size_t offset = static_cast<size_t>(first) * m_.width;
    e_.add(x + offset, out + offset, layer.attention_post_norm, m_.epsilon, end - first, m_.width);
  });
  return rows;
}

void AttentionPart::project(const pn_layer& layer, bool last) {
  const Product products[] = {{&layer.key, key_, key_width_},
                              {&layer.value, value_, key_width_},
                              {&layer.query, query_, query_width_}};
  if (!last || b_.wanted_count == b_.rows) return multiply(pool_, w_.rows, products, 3);
  multiply(pool_, w_.rows, products, 2);
  if (b_.wanted_count)
    multiply(pool_, w_.rows, b_.wanted, b_.wanted_count, products + 2, 1);
}

// Keys: norm and rotation; then keys and values go to their pages.
void AttentionPart::turn_and_write(const pn_layer& layer, const LayerCache& cache) {
  const AttentionKernels& kernels = attention_kernels();
  const size_t table = static_cast<size_t>(m_.rope_count) * rope_pairs_;
  const auto place = [&](const PageRows& part) {
    for (int row = part.first; row < part.first + part.count; ++row) {
      const size_t angles = row * table + static_cast<size_t>(layer.rope) * rope_pairs_;
      float* const key = key_ + static_cast<size_t>(row) * key_width_;
      if (layer.key_norm)
        e_.norm(key, layer.key_norm, m_.epsilon, m_.key_value_heads, m_.head_size, key);
      for (int head = 0; head < m_.key_value_heads; ++head)
        e_.rotate(key + head * m_.head_size, m_.head_size, m_.ropes + layer.rope, cosines_ + angles,
                  sines_ + angles, 1.0f);
    }
    for (int head = 0; head < m_.key_value_heads; ++head) {
      const size_t offset = static_cast<size_t>(part.first) * key_width_ + head * m_.head_size;
      kernels.write(cache, part.page, head, part.slot, part.count, key_ + offset, value_ + offset,
                    key_width_);
    }
  };
  constexpr int kRowCost = 4;  // scattered stores
  const int parts = static_cast<int>(w_.page_rows.size());
  const int rows_a_part = (b_.rows + parts - 1) / parts;
  for_rows(pool_, parts, rows_a_part * key_width_ * kRowCost, [&](int first, int end) {
    for (int part = first; part < end; ++part) place(w_.page_rows[part]);
  });
}

void AttentionPart::turn_queries(const pn_layer& layer, bool last) {
  const int rows = last ? b_.wanted_count : b_.rows;
  const size_t table = static_cast<size_t>(m_.rope_count) * rope_pairs_;
  for_rows(pool_, rows, query_width_, [&](int first, int end) {
    for (int i = first; i < end; ++i) {
      const int row = last ? b_.wanted[i] : i;
      const size_t angles = row * table + static_cast<size_t>(layer.rope) * rope_pairs_;
      float* const query = query_ + static_cast<size_t>(i) * query_width_;
      const float factor = layer.query_scale * temperature(layer, w_.positions[row]);
      if (layer.query_norm)
        e_.norm(query, layer.query_norm, m_.epsilon, m_.heads, m_.head_size, query);
      for (int head = 0; head < m_.heads; ++head)
        e_.rotate(query + head * m_.head_size, m_.head_size, m_.ropes + layer.rope,
                  cosines_ + angles, sines_ + angles, factor);
    }
  });
}

}  // namespace ponant
