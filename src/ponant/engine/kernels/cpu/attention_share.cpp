// Shares attention among threads: whole tiles where there are many, blocks of positions where one
// tile alone would keep a thread busy while the others wait.
#include <algorithm>

#include "decoder.hpp"

namespace ponant {
namespace {

constexpr size_t kMostPartials = 2 << 20;  // floats: 8 MiB
constexpr int kWhole = -1;

// One task: a tile and key-value head, whole or one block of it.
struct Unit {
  int tile, head, block;
  int64_t cost;
  size_t partial;  // where its block's result goes
};

// A tile and head whose blocks are merged after all have run.
struct Split {
  int tile, head, blocks;
  size_t partial;
};

struct Plan {
  std::vector<Unit> units;
  std::vector<Split> splits;
  size_t partials = 0;
};

int64_t cost_of(const Attention& attention, const AttentionTile& tile) {
  const BlockRange range = blocks_of(attention, tile);
  return static_cast<int64_t>(range.last - range.first) * tile.count;
}

Plan plan_units(const Attention& attention, const std::vector<AttentionTile>& tiles, int threads) {
  const int heads = attention.cache.key_value_heads;
  int64_t total = 0;
  for (const AttentionTile& tile : tiles) total += cost_of(attention, tile) * heads;
  Plan plan;
  for (int i = 0; i < static_cast<int>(tiles.size()); ++i) {
    const BlockRange range = blocks_of(attention, tiles[i]);
    const int blocks = range.last - range.first;
    const int64_t cost = cost_of(attention, tiles[i]);
    const size_t floats = attention_kernels().partial_floats(tiles[i].count * attention.group,
                                                             attention.cache.head_size);
    for (int head = 0; head < heads; ++head) {
      const bool alone = threads > 1 && blocks > 1 && cost * 4 * threads > total;
      if (!alone || plan.partials + floats * blocks > kMostPartials) {
        plan.units.push_back({i, head, kWhole, cost, 0});
        continue;
      }
      plan.splits.push_back({i, head, blocks, plan.partials});
      for (int block = range.first; block < range.last; ++block, plan.partials += floats)
        plan.units.push_back({i, head, block, cost / blocks, plan.partials});
    }
  }
  std::stable_sort(plan.units.begin(), plan.units.end(),
                   [](const Unit& a, const Unit& b) { return a.cost > b.cost; });
  return plan;
}

int most_rows(const Attention& attention, const std::vector<AttentionTile>& tiles) {
  int most = 0;
  for (const AttentionTile& tile : tiles) most = std::max(most, tile.count * attention.group);
  return most;
}

}  // namespace

void share_attention(Pool& pool, Workspace& workspace, const Attention& attention,
                     const std::vector<AttentionTile>& tiles) {
  const AttentionKernels& kernels = attention_kernels();
  const Plan plan = plan_units(attention, tiles, pool.threads());
  const size_t bytes =
      kernels.scratch_bytes(most_rows(attention, tiles), attention.cache.head_size);
  char* const scratch = Workspace::of<char>(workspace.scratch, bytes * pool.threads());
  float* const partials = Workspace::of<float>(workspace.partials, plan.partials);
  pool.run(static_cast<int>(plan.units.size()), [&](int task, int thread) {
    const Unit& unit = plan.units[task];
    char* const memory = scratch + bytes * thread;
    if (unit.block == kWhole)
      kernels.attend(attention, tiles[unit.tile], unit.head, memory);
    else
      kernels.attend_block(attention, tiles[unit.tile], unit.head, unit.block,
                           partials + unit.partial, memory);
  });
  for (const Split& split : plan.splits)
    kernels.merge(attention, tiles[split.tile], split.head, partials + split.partial, split.blocks,
                  scratch);
}

}  // namespace ponant
