// Parts words into the likeliest pieces of a unigram vocabulary (Kudo, arXiv 1804.10959).
//
// Pieces stay where they are, in the model's mapped file; beside them stand their order by bytes and
// where each first pair of bytes begins in it. That takes two megabytes for a quarter of a million
// pieces, where a trie of nodes takes a hundred times as much.
#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "ponant.h"

namespace ponant {
namespace {

constexpr int kPairs = 1 << 16;
constexpr double kUnknownPenalty = 10.0;  // below the least likely piece, as SentencePiece has it

int bytes_of_character(uint8_t first) {
  if (first < 0x80) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

}  // namespace

class Unigram {
 public:
  Unigram(const pn_unigram_pieces& pieces) : pieces_(pieces) {
    double least = 0.0;
    for (int id = 0; id < pieces.count; ++id) {
      least = std::min(least, static_cast<double>(pieces.scores[id]));
      if (!pieces.hidden[id] && size(id) > 0) order_.push_back(id);
    }
    unknown_score_ = least - kUnknownPenalty;
    std::sort(order_.begin(), order_.end(), [&](int a, int b) {
      const int order = std::memcmp(text(a), text(b), std::min(size(a), size(b)));
      return order != 0 ? order < 0 : size(a) < size(b);
    });
    starts_.assign(kPairs + 1, static_cast<int>(order_.size()));
    for (int place = static_cast<int>(order_.size()) - 1; place >= 0; --place)
      starts_[pair_at(order_[place])] = place;
    for (int pair = kPairs - 1; pair >= 0; --pair)
      starts_[pair] = std::min(starts_[pair], starts_[pair + 1]);
  }

  // Ids of a text's likeliest parts; every character without a piece is one unknown token.
  int encode(const uint8_t* text, int bytes, int32_t* ids) const {
    std::vector<Step> best(bytes + 1);
    best[0].score = 0.0;
    for (int at = 0; at < bytes;) {
      const int character = std::min(bytes_of_character(text[at]), bytes - at);
      if (!try_pieces(text, bytes, at, character, best))
        offer(best[at + character], best[at].score + unknown_score_, at, pieces_.unknown);
      at += character;
    }
    int count = 0;
    for (int at = bytes; at > 0; at = best[at].from) ids[count++] = best[at].id;
    std::reverse(ids, ids + count);
    return count;
  }

 private:
  struct Step {
    double score = 0.0;
    int from = -1;  // nothing ends here yet
    int32_t id = 0;
  };

  static void offer(Step& step, double score, int from, int32_t id) {
    if (step.from < 0 || score > step.score) step = {score, from, id};
  }

  const uint8_t* text(int id) const { return pieces_.text + pieces_.offsets[id]; }
  size_t size(int id) const { return pieces_.offsets[id + 1] - pieces_.offsets[id]; }
  int pair_at(int id) const { return text(id)[0] << 8 | (size(id) > 1 ? text(id)[1] : 0); }

  // Offers every piece that stands at `at`; whether one is exactly the character there.
  bool try_pieces(const uint8_t* whole, int bytes, int at, int character,
                  std::vector<Step>& best) const {
    const uint8_t* rest = whole + at;
    const int left = bytes - at;
    bool single = false;
    const auto take = [&](int id) {
      const int length = static_cast<int>(size(id));
      offer(best[at + length], best[at].score + pieces_.scores[id], at, id);
      single = single || length == character;
    };
    // Pieces of one byte come first among those that begin with it.
    const int first = rest[0] << 8;
    for (int i = starts_[first]; i < starts_[first + 1] && size(order_[i]) == 1; ++i)
      take(order_[i]);
    if (left < 2) return single;
    const int pair = first | rest[1];
    auto low = order_.begin() + starts_[pair], high = order_.begin() + starts_[pair + 1];
    while (low != high && size(*low) == 1) ++low;
    for (size_t depth = 2; low != high; ++depth) {
      for (; low != high && size(*low) == depth; ++low) take(*low);
      if (depth >= static_cast<size_t>(left)) break;
      const uint8_t next = rest[depth];
      low = std::partition_point(low, high, [&](int id) { return text(id)[depth] < next; });
      high = std::partition_point(low, high, [&](int id) { return text(id)[depth] == next; });
    }
    return single;
  }

  pn_unigram_pieces pieces_;
  double unknown_score_ = 0.0;
  std::vector<int> order_;   // ids by their bytes
  std::vector<int> starts_;  // where pieces with each first pair of bytes begin in `order_`
};

}  // namespace ponant

extern "C" pn_unigram* pn_unigram_create(const pn_unigram_pieces* pieces) {
  try {
    return reinterpret_cast<pn_unigram*>(new ponant::Unigram(*pieces));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

extern "C" void pn_unigram_destroy(pn_unigram* unigram) {
  delete reinterpret_cast<ponant::Unigram*>(unigram);
}

extern "C" int pn_unigram_encode(const pn_unigram* unigram, const uint8_t* text, int bytes,
                                 int32_t* ids) {
  try {
    return reinterpret_cast<const ponant::Unigram*>(unigram)->encode(text, bytes, ids);
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
