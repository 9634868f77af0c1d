// Waiting threads spin for a moment, since a decode step makes a hundred short calls, then sleep.
#include "pool.hpp"

#include <algorithm>
#include <chrono>

#include "ponant.h"

namespace ponant {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);
constexpr int kLooks = 64;  // between two glances at the clock

void relax() {
#if defined(PN_X86)
  __builtin_ia32_pause();
#endif
}

template <class Ready>
bool spin(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int look = 0; look < kLooks; ++look) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

uint64_t call_number(uint64_t ticket) { return ticket >> 32; }

}  // namespace

Pool::Pool(int threads) {
  for (int thread = 1; thread < threads; ++thread)
    workers_.emplace_back([this, thread] { work(thread); });
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  work_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::share(int tasks, Call call, void* context) {
  call_ = call;
  context_ = context;
  tasks_ = tasks;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t number = call_number(ticket_.load(std::memory_order_relaxed)) + 1;
  ticket_.store(number << 32 | static_cast<uint32_t>(tasks));
  if (sleepers_.load() > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    work_.notify_all();
  }
  while (take(0)) {
  }
  wait_for_done(tasks);
}

bool Pool::take(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  do {
    if (static_cast<uint32_t>(ticket) == 0) return false;
  } while (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel));
  // The call cannot end before this task is done, so its fields stand still from here on.
  const int tasks = tasks_;
  call_(context_, tasks - static_cast<int>(static_cast<uint32_t>(ticket)), thread);
  if (done_.fetch_add(1) + 1 == tasks && caller_sleeps_.load()) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    finished_.notify_one();
  }
  return true;
}

void Pool::wait_for_done(int tasks) {
  const auto ready = [&] { return done_.load(std::memory_order_acquire) == tasks; };
  if (spin(ready)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  caller_sleeps_ = true;
  finished_.wait(lock, [&] { return done_.load() == tasks; });
  caller_sleeps_ = false;
}

uint64_t Pool::wait_for_work(uint64_t seen) {
  const auto ready = [&] {
    return call_number(ticket_.load(std::memory_order_acquire)) != seen ||
           closing_.load(std::memory_order_relaxed);
  };
  if (!spin(ready)) {
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    work_.wait(lock, [&] { return call_number(ticket_.load()) != seen || closing_.load(); });
    sleepers_.fetch_sub(1);
  }
  return call_number(ticket_.load(std::memory_order_acquire));
}

void Pool::work(int thread) {
  uint64_t seen = 0;
  while (!closing_.load(std::memory_order_relaxed)) {
    seen = wait_for_work(seen);
    while (take(thread)) {
    }
  }
}

}  // namespace ponant

extern "C" pn_pool* pn_pool_create(int threads) {
  return reinterpret_cast<pn_pool*>(new ponant::Pool(std::max(1, threads)));
}

extern "C" void pn_pool_destroy(pn_pool* pool) { delete reinterpret_cast<ponant::Pool*>(pool); }
