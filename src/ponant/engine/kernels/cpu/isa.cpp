// Asks the processor what it has.
#include "isa.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "ponant.h"
#include "tiled.hpp"

namespace ponant {
namespace {

Isa detect() {
#if defined(PN_X86)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx512) return __builtin_cpu_supports("avx512bf16") ? Isa::avx512bf16 : Isa::avx512;
  return avx2 ? Isa::avx2 : Isa::portable;
#else
  return Isa::portable;
#endif
}

Isa wanted() {
  const char* names[] = {"portable", "avx2", "avx512", "avx512bf16", "amx"};
  const char* value = std::getenv("PONANT_KERNELS");
  for (int i = 0; value && i < 5; ++i)
    if (std::strcmp(value, names[i]) == 0) return static_cast<Isa>(i);
  return Isa::amx;
}

const Isa best = detect();
std::atomic<Isa> limit{wanted()};

}  // namespace

Isa isa() { return std::min(best, limit.load(std::memory_order_relaxed)); }

bool tiles() {
#if defined(PN_TILES)
  if (limit.load(std::memory_order_relaxed) < Isa::amx || best < Isa::avx512bf16) return false;
  static const bool usable = tiles_usable();
  return usable;
#else
  return false;
#endif
}

void limit_isa(Isa most) { limit.store(most); }

}  // namespace ponant

extern "C" int pn_isa(void) {
  return static_cast<int>(ponant::tiles() ? ponant::Isa::amx : ponant::isa());
}

extern "C" void pn_set_isa(int limit) { ponant::limit_isa(static_cast<ponant::Isa>(limit)); }
