// The tile registers (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1,
// chapter 18), or in builds with PN_EMULATED_TILES the same in memory, for tests.
#pragma once

#include <cstdint>
#include <cstring>

#if !defined(PN_EMULATED_TILES)
#include <immintrin.h>
#endif

namespace ponant {

// The registers in use: `tile_multiply` adds kRowCodes * kWeightCodes to kSums, each signed bytes.
constexpr int kSums = 0, kRowCodes = 1, kWeightCodes = 2;

// What `tile_configure` takes: rows and bytes a row of each register.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64, "as the processor reads it");

#if defined(PN_EMULATED_TILES)

struct Tile {
  uint8_t bytes[16][64];
};
inline thread_local Tile tile_registers[8];
inline thread_local TileConfig tile_config;

inline void tile_configure(const TileConfig& config) { tile_config = config; }
inline void tile_release() { tile_config = {}; }

template <int t>
void tile_zero() {
  std::memset(&tile_registers[t], 0, sizeof(Tile));
}

template <int t>
void tile_load(const void* from, int stride) {
  tile_zero<t>();
  for (int row = 0; row < tile_config.rows[t]; ++row)
    std::memcpy(tile_registers[t].bytes[row], static_cast<const char*>(from) + row * stride,
                tile_config.row_bytes[t]);
}

template <int t>
void tile_store(void* to, int stride) {
  for (int row = 0; row < tile_config.rows[t]; ++row)
    std::memcpy(static_cast<char*>(to) + row * stride, tile_registers[t].bytes[row],
                tile_config.row_bytes[t]);
}

// TDPBSSD.
inline void tile_multiply() {
  constexpr int c = 0, a = 1, b = 2;
  for (int row = 0; row < tile_config.rows[c]; ++row)
    for (int four = 0; four < tile_config.row_bytes[a] / 4; ++four)
      for (int column = 0; column < tile_config.row_bytes[c] / 4; ++column) {
        int32_t sum;
        std::memcpy(&sum, &tile_registers[c].bytes[row][4 * column], 4);
        for (int i = 0; i < 4; ++i)
          sum += static_cast<int8_t>(tile_registers[a].bytes[row][4 * four + i]) *
                 static_cast<int8_t>(tile_registers[b].bytes[four][4 * column + i]);
        std::memcpy(&tile_registers[c].bytes[row][4 * column], &sum, 4);
      }
}

#else

// The compiler wants a register's number as a literal.
#define PN_TILE(t, use) \
  if constexpr (t == 0) use(0) else if constexpr (t == 1) use(1) else use(2)

inline void tile_configure(const TileConfig& config) { _tile_loadconfig(&config); }
inline void tile_release() { _tile_release(); }

template <int t>
void tile_zero() {
#define PN_USE(number) { _tile_zero(number); }
  PN_TILE(t, PN_USE)
#undef PN_USE
}

template <int t>
void tile_load(const void* from, int stride) {
#define PN_USE(number) { _tile_loadd(number, from, stride); }
  PN_TILE(t, PN_USE)
#undef PN_USE
}

template <int t>
void tile_store(void* to, int stride) {
#define PN_USE(number) { _tile_stored(number, to, stride); }
  PN_TILE(t, PN_USE)
#undef PN_USE
}

inline void tile_multiply() { _tile_dpbssd(0, 1, 2); }

#endif

}  // namespace ponant
