// The feed-forward half of a layer: one gated product, or a mixture of experts.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "decoder.hpp"

namespace ponant {
namespace {

class FeedForward {
 public:
  FeedForward(Pool& pool, Workspace& workspace, const pn_model& model, const pn_layer& layer)
      : pool_(pool), w_(workspace), m_(model), layer_(layer), e_(elementwise()) {}

  void run(float* x, int rows) {
    const size_t values = static_cast<size_t>(rows) * m_.width;
    float* const normed = Workspace::of<float>(w_.normed, values);
    float* const out = Workspace::of<float>(w_.projected, values);
    w_.rows.prepare(pool_, normed, rows, m_.width, m_.width, kinds(), [&](int first, int end) {
      const size_t offset = static_cast<size_t>(first) * m_.width;
      e_.norm(x + offset, layer_.feed_forward_norm, m_.epsilon, end - first, m_.width,
              normed + offset);
    });
    if (layer_.experts)
      mix(rows, out);
    else
      one(layer_.parts[0], nullptr, rows, out);
    for_rows(pool_, rows, m_.width, [&](int first, int end) {
      const size_t offset = static_cast<size_t>(first) * m_.width;
      e_.add(x + offset, out + offset, layer_.feed_forward_post_norm, m_.epsilon, end - first,
             m_.width);
    });
  }

 private:
  struct Choice {
    int expert;
    float weight;
  };

  unsigned kinds() const {
    unsigned kinds = layer_.experts ? kind_of(layer_.router.form) : 0;
    for (int i = 0; i < std::max(1, layer_.experts); ++i) {
      const pn_feed_forward& part = layer_.parts[i];
      kinds |= kind_of(part.up.form) | (part.gate.data ? kind_of(part.gate.form) : 0);
    }
    return kinds;
  }

  // One feed-forward over the prepared rows, or those of `index`.
  void one(const pn_feed_forward& part, const int* index, int rows, float* out) {
    const int inner = part.up.outputs;
    const size_t values = static_cast<size_t>(rows) * inner;
    float* const first = Workspace::of<float>(w_.gate, values);
    float* const second = part.gate.data ? Workspace::of<float>(w_.up, values) : nullptr;
    const Product products[] = {{second ? &part.gate : &part.up, first, inner},
                                {&part.up, second, inner}};
    const int count = second ? 2 : 1;
    if (index)
      multiply(pool_, w_.rows, index, rows, products, count);
    else
      multiply(pool_, w_.rows, products, count);
    const auto activate = [&](int from, int to) {
      const size_t offset = static_cast<size_t>(from) * inner;
      e_.activate(layer_.activation, layer_.xielu, first + offset,
                  second ? second + offset : nullptr, (to - from) * inner);
    };
    w_.inner.prepare(pool_, first, rows, inner, inner, kind_of(part.down.form), activate);
    const Product down{&part.down, out, m_.width};
    multiply(pool_, w_.inner, &down, 1);
  }

  // Each expert takes its rows together; a row then adds what its experts gave by rank.
  void mix(int rows, float* out) {
    const int ranks = layer_.experts_chosen;
    const std::vector<Choice> choices = choose(rows);
    std::vector<int> place(choices.size()), members;
    float* const given = Workspace::of<float>(w_.expert_out, choices.size() * m_.width);
    int filled = 0;
    for (int expert = 0; expert < layer_.experts; ++expert) {
      members.clear();
      for (int i = 0; i < static_cast<int>(choices.size()); ++i) {
        if (choices[i].expert != expert) continue;
        place[i] = filled + static_cast<int>(members.size());
        members.push_back(i / ranks);
      }
      if (members.empty()) continue;
      one(layer_.parts[expert], members.data(), static_cast<int>(members.size()),
          given + static_cast<size_t>(filled) * m_.width);
      filled += static_cast<int>(members.size());
    }
    for_rows(pool_, rows, m_.width, [&](int first, int end) {
      for (int row = first; row < end; ++row) {
        float* const sum = out + static_cast<size_t>(row) * m_.width;
        std::fill_n(sum, m_.width, 0.0f);
        for (int i = row * ranks; i < (row + 1) * ranks; ++i)
          e_.accumulate(sum, given + static_cast<size_t>(place[i]) * m_.width, choices[i].weight,
                        m_.width);
      }
    });
  }

  // The experts of each row by falling score, weighed by a softmax over the chosen ones.
  std::vector<Choice> choose(int rows) {
    const int experts = layer_.experts, ranks = layer_.experts_chosen;
    std::vector<float> scores(static_cast<size_t>(rows) * experts);
    const Product router{&layer_.router, scores.data(), experts};
    multiply(pool_, w_.rows, &router, 1);
    std::vector<Choice> choices(static_cast<size_t>(rows) * ranks);
    std::vector<int> order(experts);
    for (int row = 0; row < rows; ++row) {
      const float* const score = scores.data() + static_cast<size_t>(row) * experts;
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + ranks, order.end(), [&](int a, int b) {
        return score[a] > score[b] || (score[a] == score[b] && a < b);
      });
      float total = 0.0f;
      Choice* const chosen = choices.data() + static_cast<size_t>(row) * ranks;
      for (int i = 0; i < ranks; ++i) {
        chosen[i] = {order[i], std::exp(score[order[i]] - score[order[0]])};
        total += chosen[i].weight;
      }
      for (int i = 0; i < ranks; ++i) chosen[i].weight /= total;
    }
    return choices;
  }

  Pool& pool_;
  Workspace& w_;
  const pn_model& m_;
  const pn_layer& layer_;
  const Elementwise& e_;
};

}  // namespace

void feed_forward(Pool& pool, Workspace& workspace, const pn_model& model, const pn_layer& layer,
                  float* x, int rows) {
  FeedForward(pool, workspace, model, layer).run(x, rows);
}

}  // namespace ponant
