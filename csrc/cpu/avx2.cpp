// The table of AVX2 with FMA (Haswell, Zen and later). No bf16: there is no instruction for it.
#include "avx2_int8.h"
#include "avx2_rows.h"
#include "avx2_unpack.h"
#include "dense.h"
#include "product.h"
#include "states.h"

namespace loralab {
namespace avx2 {
namespace {

struct InFloat : InStrips<Floats, COLUMNS, PANEL, 6> {
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float*, B* panel) {
        avx2::unpack(w, transposed, column, from, to, panel);
    }
};

struct InInt8 : Tiling<int16_t, int16_t, int32_t, PANEL, 6, 2> {
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float* scales, B* panel) {
        unpack_int8(w, transposed, column, from, to, scales, panel);
    }
    template <int R>
    LORALAB_INLINE static void tile(const A* a, int64_t stride, const B* panel, int64_t steps, Sum* sums, bool add) {
        tile_int8<R>(a, stride, panel, steps, sums, add);
    }
};

bool has(Path path) { return path != Path::bf16; }

void multiply_few(const Product& product, ParallelFor parallel) {
    if (product.weight.is_int8()) multiply_rows<Int8Rows>(product, parallel);
    else if (product.element == Element::bf16) multiply_rows<Bf16Rows>(product, parallel);
    else multiply_rows<FloatRows>(product, parallel);
}

void multiply(const Product& product, Path path, ParallelFor parallel) {
    if (path == Path::rows && !product.transposed) multiply_few(product, parallel);
    else if (path != Path::int8 || !multiply_panels<InInt8>(product, parallel)) multiply_panels<InFloat>(product, parallel);
}

}  // namespace
}  // namespace avx2

extern const Kernels avx2_kernels = {"avx2", avx2::has, avx2::multiply, dequantize_rows<avx2::Read>,
                                     quantize, step_adam, decode<avx2::FloatRows, avx2::Bf16Rows, avx2::Int8Rows>};

}  // namespace loralab
