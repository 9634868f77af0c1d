// Runs a batch: embedding, layers, last norm.
#include "decoder.hpp"

#include <algorithm>
#include <new>

namespace ponant {
namespace {

class Forward {
 public:
  Forward(Pool& pool, Workspace& workspace, const pn_model& model, const pn_cache& cache,
          const pn_batch& batch)
      : pool_(pool),
        w_(workspace),
        m_(model),
        b_(batch),
        attention_(pool, workspace, model, cache, batch) {}

  int run(float* hidden) {
    float* const x = Workspace::of<float>(w_.residual, static_cast<size_t>(b_.rows) * m_.width);
    embed(x);
    for (int layer = 0; layer < m_.layer_count; ++layer) {
      const int rows = attention_.run(layer, x, layer + 1 == m_.layer_count);
      if (rows) feed_forward(pool_, w_, m_, m_.layers[layer], x, rows);
    }
    return finish(x, hidden);
  }

 private:
  void embed(float* x) {
    for_rows(pool_, b_.rows, m_.width, [&](int first, int last) {
      float* const out = x + static_cast<size_t>(first) * m_.width;
      pn_rows(&m_.embedding, b_.tokens + first, last - first, out);
      if (m_.embedding_scale != 1.0f)
        elementwise().scale(out, m_.embedding_scale, (last - first) * m_.width);
    });
  }

  int finish(const float* x, float* hidden) {
    const Elementwise& e = elementwise();
    for_rows(pool_, b_.wanted_count, m_.width, [&](int first, int last) {
      const size_t offset = static_cast<size_t>(first) * m_.width;
      e.norm(x + offset, m_.norm, m_.epsilon, last - first, m_.width, hidden + offset);
    });
    return e.finite(hidden, b_.wanted_count * m_.width) ? 0 : -2;
  }

  Pool& pool_;
  Workspace& w_;
  const pn_model& m_;
  const pn_batch& b_;
  AttentionPart attention_;
};

bool within(const int32_t* values, int count, int limit) {
  return std::all_of(values, values + count, [=](int32_t x) { return x >= 0 && x < limit; });
}

// Whether nothing in the batch reaches outside the model, the cache or its own arrays.
bool fits(const pn_model& model, const pn_cache& cache, const pn_batch& batch) {
  if (batch.rows < 1 || batch.starts[0] != 0 || batch.starts[batch.sequences] != batch.rows)
    return false;
  for (int i = 0; i < batch.sequences; ++i) {
    const int64_t end = static_cast<int64_t>(batch.positions[i]) + batch.starts[i + 1] -
                        batch.starts[i];
    const int64_t room = batch.page_starts[i + 1] - batch.page_starts[i];
    if (batch.starts[i] >= batch.starts[i + 1] || batch.positions[i] < 0) return false;
    if (batch.page_starts[i] < 0 || end > room * kPageTokens) return false;
  }
  for (int i = 1; i < batch.wanted_count; ++i)
    if (batch.wanted[i - 1] >= batch.wanted[i]) return false;
  return within(batch.tokens, batch.rows, model.vocabulary) &&
         within(batch.pages, batch.page_starts[batch.sequences], cache.pages) &&
         within(batch.wanted, batch.wanted_count, batch.rows);
}

}  // namespace
}  // namespace ponant

extern "C" pn_workspace* pn_workspace_create(void) {
  return reinterpret_cast<pn_workspace*>(new (std::nothrow) ponant::Workspace);
}

extern "C" void pn_workspace_destroy(pn_workspace* workspace) {
  delete reinterpret_cast<ponant::Workspace*>(workspace);
}

extern "C" size_t pn_page_size(const pn_model* model, int form) {
  const size_t values = 2 * static_cast<size_t>(model->layer_count) * model->key_value_heads *
                        model->head_size * ponant::kPageTokens;
  return values * (form == PN_F32 ? 4 : 2);
}

extern "C" int pn_forward(pn_pool* pool, pn_workspace* workspace, const pn_model* model,
                          pn_cache* cache, const pn_batch* batch, float* hidden) try {
  if (!ponant::fits(*model, *cache, *batch)) return -3;
  ponant::Forward forward(*reinterpret_cast<ponant::Pool*>(pool),
                          *reinterpret_cast<ponant::Workspace*>(workspace), *model, *cache, *batch);
  return forward.run(hidden);
} catch (const std::bad_alloc&) {
  return -1;
}
