// Products of many rows on the processor's matrix tiles (Intel AMX), bit for bit those of
// linear_int.isa.cpp. Built where the compiler knows the instructions (PN_TILES).
#pragma once

#include "linear_isa.hpp"

namespace ponant {

constexpr int kLeastTiledRows = 8;  // fewer wait for weights from memory whatever multiplies them

// Whether this processor has the tiles, the system lends them to this process, and a product of
// every form comes out as without them, and sooner. Takes some milliseconds.
bool tiles_usable();

void multiply_tiled(const Piece& piece);

}  // namespace ponant
