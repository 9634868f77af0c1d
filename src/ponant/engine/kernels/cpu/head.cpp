// The output head: all scores, or the likeliest token alone.
//
// A vocabulary of 262,144 is most of a small model, and greedy decoding wants one token of it. A head
// in PN_I8P is screened by the upper four bits of its codes, half of its memory; scores are then
// computed, by the same formula as all others, for every panel that could hold a larger one than the
// best found so far. The bound holds always (screen.isa.cpp): the choice is that of all scores.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <numeric>
#include <vector>

#include "decoder.hpp"
#include "isa.hpp"
#include "linear_isa.hpp"

namespace ponant {
namespace {

constexpr float kHalfRange = 7.5f;  // of the lower four bits
constexpr int kPanelsPerTask = 256;
constexpr int kMostChosen = 8;    // an eighth of the panels costs as much as the rest in order
constexpr int kWholeShare = 10;   // of the blocks, a tenth is screened by all bits
constexpr int kScreenedRows = 2;  // with more, the whole head is read in less time
constexpr int kNearPanels = 64;   // whose scores stay in the second cache until they are looked at

void prepare(Pool& pool, Workspace& w, const pn_model& model, const float* hidden, int rows) {
  w.rows.prepare(pool, hidden, rows, model.width, model.width, kind_of(model.head.form));
}

// The largest of scores `first` to `last`, the lowest token where several are; -2: not a number.
struct Best {
  int32_t token = -1;
  float score = -std::numeric_limits<float>::infinity();

  // At `count` scores, of which the first is that of token `first`.
  void look(const float* scores, int count, int first) {
    if (nothing_larger(scores, count)) return;
    for (int i = 0; i < count; ++i) {
      if (std::isnan(scores[i])) token = -2;
      if (token == -2) return;
      if (token < 0 || scores[i] > score) {
        token = first + i;
        score = scores[i];
      }
    }
  }

  // A plain loop without branches, which the compiler turns into vectors; what is not a number counts
  // as larger.
  bool nothing_larger(const float* scores, int count) const {
    int others = 0;
    for (int i = 0; i < count; ++i) others |= !(scores[i] <= score);
    return token >= 0 && !others;
  }

  // At the best of other tokens.
  void join(const Best& other) {
    if (token == -2 || other.token == -1) return;
    const bool lower = other.score == score && other.token < token;
    if (other.token == -2 || token < 0 || other.score > score || lower) *this = other;
  }
};

class Screen {
 public:
  Screen(Pool& pool, Workspace& w, const pn_matrix& head)
      : pool_(pool),
        w_(w),
        head_(head),
        panels_(panel_count(head.outputs)),
        scores_(Workspace::of<float>(w.scores, static_cast<size_t>(panels_) * kLanes)),
        uppers_(Workspace::of<float>(w.uppers, panels_)) {}

  int32_t best(int row) {
    measure(row);
    look_over(row);
    int likely = 0;
    for (int panel = 1; panel < panels_; ++panel)
      if (uppers_[panel] > uppers_[likely]) likely = panel;
    Best found;
    score(row, likely, found);
    chosen_.clear();
    for (int panel = 0; panel < panels_; ++panel)
      if (!(uppers_[panel] < found.score)) chosen_.push_back(panel);
    if (static_cast<int>(chosen_.size()) > panels_ / kMostChosen) return best_of_all(row);
    pool_.run(static_cast<int>(chosen_.size()), [&](int task, int) { multiply(row, chosen_[task]); });
    Best all;
    for (const int panel : chosen_) look(panel, all);
    return all.token;
  }

 private:
  // How far each block's term can be off, and which blocks are read whole for making most of it.
  void measure(int row) {
    const int blocks = w_.rows.view().blocks;
    const RowBlock* const values = row_of(row);
    reaches_.resize(blocks);
    for (int block = 0; block < blocks; ++block) {
      int sum = 0;
      for (const int8_t code : values[block].codes) sum += std::abs(code);
      reaches_[block] = values[block].scale * static_cast<float>(sum);
    }
    whole_.resize(blocks);
    std::iota(whole_.begin(), whole_.end(), 0);
    const int count = (blocks + kWholeShare - 1) / kWholeShare;
    std::partial_sort(whole_.begin(), whole_.begin() + count, whole_.end(),
                      [&](int a, int b) { return reaches_[a] > reaches_[b]; });
    whole_.resize(count);
    // The score and its bound are sums of at most 4 * blocks + 8 rounded terms of together at most
    // 512 * |scale| * sum, each rounded by a part in 2^24.
    const float rounding = static_cast<float>(blocks + 2) / 8192.0f;
    std::vector<float> factors(blocks, kHalfRange + rounding);
    for (const int block : whole_) factors[block] = rounding;
    for (int block = 0; block < blocks; ++block) reaches_[block] *= factors[block];
  }

  void look_over(int row) {
    const int tasks = (panels_ + kPanelsPerTask - 1) / kPanelsPerTask;
    const int whole = static_cast<int>(whole_.size());
    pool_.run(tasks, [&](int task, int) {
      const int first = task * kPanelsPerTask;
      const int last = std::min(first + kPanelsPerTask, panels_);
      linear_set().screen(
          {&head_, row_of(row), reaches_.data(), whole_.data(), whole, first, last, uppers_});
    });
  }

  const RowBlock* row_of(int row) const {
    return w_.rows.view().integers + static_cast<size_t>(row) * w_.rows.view().blocks;
  }

  void multiply(int row, int panel) {
    linear_set().multiply_integers({&head_, &w_.rows.view(), &row, 0, 1, panel, panel + 1, scores_,
                                    panels_ * kLanes});
  }

  void look(int panel, Best& best) const {
    const int first = panel * kLanes;
    best.look(scores_ + first, std::min(kLanes, head_.outputs - first), first);
  }

  // Where scores lie close together, all of them in one go.
  int32_t best_of_all(int row) {
    const Product product{&head_, scores_, panels_ * kLanes};
    ponant::multiply(pool_, w_.rows, &row, 1, &product, 1);
    Best all;
    all.look(scores_, head_.outputs, 0);
    return all.token;
  }

  void score(int row, int panel, Best& best) {
    multiply(row, panel);
    look(panel, best);
  }

  Pool& pool_;
  Workspace& w_;
  const pn_matrix& head_;
  const int panels_;
  float* const scores_;
  float* const uppers_;
  std::vector<float> reaches_;
  std::vector<int> whole_, chosen_;
};

void logits(Pool& pool, Workspace& w, const pn_model& model, const float* hidden, int rows,
            float* out) {
  prepare(pool, w, model, hidden, rows);
  const Product head{&model.head, out, model.vocabulary};
  multiply(pool, w.rows, &head, 1);
}

// Scores are looked at while they are near, and never stand in memory all at once.
void best_of_all(Pool& pool, Workspace& w, const pn_matrix& head, int rows, int32_t* tokens) {
  constexpr int kScores = kNearPanels * kLanes;
  const int panels = panel_count(head.outputs);
  const size_t room = static_cast<size_t>(rows) * kScores;
  float* const near = Workspace::of<float>(w.scores, room * pool.threads());
  std::vector<Best> found(static_cast<size_t>(rows) * pool.threads());
  pool.run((panels + kNearPanels - 1) / kNearPanels, [&](int task, int thread) {
    const int first = task * kNearPanels, last = std::min(first + kNearPanels, panels);
    const int count = std::min(head.outputs, last * kLanes) - first * kLanes;
    float* const scores = near + room * thread;
    multiply_panels(w.rows, head, first, last, scores, kScores);
    for (int row = 0; row < rows; ++row)
      found[static_cast<size_t>(row) * pool.threads() + thread].look(
          scores + static_cast<size_t>(row) * kScores, count, first * kLanes);
  });
  for (int row = 0; row < rows; ++row) {
    Best all;
    for (int thread = 0; thread < pool.threads(); ++thread)
      all.join(found[static_cast<size_t>(row) * pool.threads() + thread]);
    tokens[row] = all.token;
  }
}

void best(Pool& pool, Workspace& w, const pn_model& model, const float* hidden, int rows,
          int32_t* tokens) {
  if (model.head.form == PN_I8P && isa() >= Isa::avx512 && rows <= kScreenedRows) {
    prepare(pool, w, model, hidden, rows);
    Screen screen(pool, w, model.head);
    for (int row = 0; row < rows; ++row) tokens[row] = screen.best(row);
    return;
  }
  prepare(pool, w, model, hidden, rows);
  best_of_all(pool, w, model.head, rows, tokens);
}

}  // namespace
}  // namespace ponant

extern "C" int pn_logits(pn_pool* pool, pn_workspace* workspace, const pn_model* model,
                         const float* hidden, int rows, float* out) try {
  ponant::logits(*reinterpret_cast<ponant::Pool*>(pool),
                 *reinterpret_cast<ponant::Workspace*>(workspace), *model, hidden, rows, out);
  return 0;
} catch (const std::bad_alloc&) {
  return -1;
}

extern "C" int pn_best(pn_pool* pool, pn_workspace* workspace, const pn_model* model,
                       const float* hidden, int rows, int32_t* tokens) try {
  ponant::best(*reinterpret_cast<ponant::Pool*>(pool),
               *reinterpret_cast<ponant::Workspace*>(workspace), *model, hidden, rows, tokens);
  return 0;
} catch (const std::bad_alloc&) {
  return -1;
}
