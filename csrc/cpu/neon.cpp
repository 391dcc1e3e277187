// The table of NEON, which every AArch64 has; dot products of int8 (Armv8.2) are used where the processor has them.
#include "dense.h"
#include "neon_int8.h"
#include "neon_rows.h"
#include "neon_unpack.h"
#include "product.h"
#include "states.h"

namespace loralab {
namespace neon {
namespace {

struct InFloat : InStrips<Floats, COLUMNS, PANEL, 6> {
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float*, B* panel) {
        neon::unpack(w, transposed, column, from, to, panel);
    }
};

template <bool DOTPROD>
struct InInt8 : Tiling<int8_t, int8_t, int32_t, PANEL, 6, 4> {
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float* scales, B* panel) {
        unpack_int8(w, transposed, column, from, to, scales, panel);
    }
    template <int R>
    LORALAB_INLINE static void tile(const A* a, int64_t stride, const B* panel, int64_t steps, Sum* sums, bool add) {
        tile_int8<R, DOTPROD>(a, stride, panel, steps, sums, add);
    }
};

bool has(Path path) { return path != Path::bf16; }

void multiply_few(const Product& product, ParallelFor parallel) {
    if (product.weight.is_int8()) multiply_rows<Int8Rows>(product, parallel);
    else if (product.element == Element::bf16) multiply_rows<CodeRows<2>>(product, parallel);
    else multiply_rows<CodeRows<4>>(product, parallel);
}

bool multiply_int8(const Product& product, ParallelFor parallel) {
    return has_dotprod() ? multiply_panels<InInt8<true>>(product, parallel)
                         : multiply_panels<InInt8<false>>(product, parallel);
}

void multiply(const Product& product, Path path, ParallelFor parallel) {
    if (path == Path::rows && !product.transposed) multiply_few(product, parallel);
    else if (path != Path::int8 || !multiply_int8(product, parallel)) multiply_panels<InFloat>(product, parallel);
}

}  // namespace
}  // namespace neon

extern const Kernels neon_kernels = {"neon", neon::has, neon::multiply, dequantize_rows<neon::Read>,
                                     quantize, step_adam, decode<neon::CodeRows<4>, neon::CodeRows<2>, neon::Int8Rows>};

}  // namespace loralab
