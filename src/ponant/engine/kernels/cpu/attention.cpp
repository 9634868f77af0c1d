// Picks the attention of the instruction set in use, and says which blocks a tile needs.
#include "attention.hpp"

#include <algorithm>

#include "isa.hpp"

namespace ponant {

namespace portable {
extern const AttentionKernels attention_table;
}
#if defined(PN_X86)
namespace avx2 {
extern const AttentionKernels attention_table;
}
namespace avx512 {
extern const AttentionKernels attention_table;
}
namespace avx512bf16 {
extern const AttentionKernels attention_table;
}
#endif

const AttentionKernels& attention_kernels() {
  switch (isa()) {
#if defined(PN_X86)
    case Isa::avx2: return avx2::attention_table;
    case Isa::avx512: return avx512::attention_table;
    case Isa::avx512bf16: return avx512bf16::attention_table;
#endif
    default: return portable::attention_table;
  }
}

BlockRange blocks_of(const Attention& attention, const AttentionTile& tile) {
  const int last = tile.positions[tile.count - 1];
  const int first = attention.window ? tile.positions[0] - attention.window + 1 : 0;
  return {std::max(0, first) / kBlockTokens, last / kBlockTokens + 1};
}

}  // namespace ponant
