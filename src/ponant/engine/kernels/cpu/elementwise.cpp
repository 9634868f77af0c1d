// Picks the elementwise functions of the instruction set in use.
#include "elementwise.hpp"

#include "isa.hpp"

namespace ponant {

namespace portable {
extern const Elementwise elementwise_table;
}
#if defined(PN_X86)
namespace avx2 {
extern const Elementwise elementwise_table;
}
namespace avx512 {
extern const Elementwise elementwise_table;
}
namespace avx512bf16 {
extern const Elementwise elementwise_table;
}
#endif

const Elementwise& elementwise() {
  switch (isa()) {
#if defined(PN_X86)
    case Isa::avx2: return avx2::elementwise_table;
    case Isa::avx512: return avx512::elementwise_table;
    case Isa::avx512bf16: return avx512bf16::elementwise_table;
#endif
    default: return portable::elementwise_table;
  }
}

}  // namespace ponant
