// Which of a call's tasks a thread takes next.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace ponant {

// Hands each thread tasks that follow one another, since what one fetches ahead are the weights of the
// next; a thread that is done takes from the ends of the others' shares.
class Shares {
 public:
  Shares(int tasks, int threads) : count_(std::min(threads, kMost)) {
    for (int i = 0; i < count_; ++i)
      shares_[i].left.store(range(part(tasks, i), part(tasks, i + 1)), std::memory_order_relaxed);
  }

  // A task that nobody has taken; asked for as many times as there are tasks.
  int next(int thread) {
    for (int i = 0;; ++i) {
      const int share = (thread + i) % count_;
      const int task = take(shares_[share].left, share == thread);
      if (task >= 0) return task;
    }
  }

 private:
  static constexpr int kMost = 64;
  struct alignas(64) Share {
    std::atomic<uint64_t> left;  // first and end
  };

  int part(int tasks, int share) const {
    return static_cast<int>(static_cast<int64_t>(tasks) * share / count_);
  }

  static uint64_t range(int first, int end) {
    return static_cast<uint64_t>(first) << 32 | static_cast<uint32_t>(end);
  }

  static int take(std::atomic<uint64_t>& left, bool from_front) {
    uint64_t now = left.load(std::memory_order_relaxed), then;
    int first, end;
    do {
      first = static_cast<int>(now >> 32);
      end = static_cast<int>(static_cast<uint32_t>(now));
      if (first == end) return -1;
      then = from_front ? range(first + 1, end) : range(first, end - 1);
    } while (!left.compare_exchange_weak(now, then, std::memory_order_relaxed));
    return from_front ? first : end - 1;
  }

  int count_;
  Share shares_[kMost];
};

}  // namespace ponant
