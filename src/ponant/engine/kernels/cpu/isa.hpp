// Which instruction set the kernels use: found once at start, lowered by tests.
#pragma once

namespace ponant {

enum class Isa : int { portable = 0, avx2 = 1, avx512 = 2, avx512bf16 = 3, amx = 4 };

// The best set of vector instructions that this processor and this build have, or the lower one
// that was asked for: at most avx512bf16.
Isa isa();

// Whether products of many rows go through the processor's matrix tiles (Isa::amx).
bool tiles();

// Use no more than `limit` from now on; not while kernels run.
void limit_isa(Isa limit);

}  // namespace ponant
