// Threads that share the tasks of one call.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace ponant {

// Tasks are handed out one by one, so a thread that another process delays takes fewer. `run` serves
// one caller at a time and is not called from within a task.
class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Call f(task, thread) for every task below `tasks`; returns when all are done. The caller is
  // thread 0.
  template <class F>
  void run(int tasks, F&& f) {
    if (tasks > 1 && !workers_.empty()) {
      using Function = std::remove_reference_t<F>;
      share(tasks, [](void* context, int task, int thread) {
        (*static_cast<Function*>(context))(task, thread);
      }, const_cast<void*>(static_cast<const void*>(&f)));
      return;
    }
    for (int task = 0; task < tasks; ++task) f(task, 0);
  }

 private:
  using Call = void (*)(void* context, int task, int thread);

  void share(int tasks, Call call, void* context);
  void work(int thread);
  bool take(int thread);
  uint64_t wait_for_work(uint64_t seen);
  void wait_for_done(int tasks);

  // The call's number in the high half, tasks not yet handed out in the low half. A task is claimed
  // by counting down, so a late thread can never claim one of a call that has ended.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int> done_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> closing_{false};
  Call call_ = nullptr;
  void* context_ = nullptr;
  int tasks_ = 0;
  std::mutex mutex_;
  std::condition_variable work_, finished_;
  std::vector<std::thread> workers_;
};

// Rows of `width` values that a task takes: about 16,000 values, or fewer so that every thread has some
// where all together are worth sharing.
inline int rows_per_task(int rows, int width, int threads) {
  constexpr int kValues = 16384, kLeastShared = 4096;
  const int most = width < kValues ? kValues / width : 1;
  if (static_cast<int64_t>(rows) * width < kLeastShared) return rows < 1 ? 1 : rows;
  const int fair = (rows + threads - 1) / threads;
  return fair < most ? fair : most;
}

}  // namespace ponant
