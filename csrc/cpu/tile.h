// What a path of product.h is measured in, and register-blocked products in float32, written once for the instruction sets
// whose vectors are short.
//
// A vector type V of an instruction set has: T, LANES, zero, load, store, fma(x, b, sum) for a number x.
//
// A panel lies in strips: [PANEL / COLUMNS][depth][COLUMNS]. The sums of ROWS × COLUMNS stay in registers, and a strip's
// block of DEEP elements in the first cache, while x, the larger of the two, is read once for a whole panel.
#pragma once
#include "../matrix.h"

namespace loralab {

template <class OfX, class OfPanel, class OfSums, int64_t COLUMNS, int64_t MOST_ROWS, int64_t TOGETHER, int32_t TOO_LARGE = 0>
struct Tiling {
    using A = OfX;
    using B = OfPanel;
    using Sum = OfSums;
    static constexpr int64_t PANEL = COLUMNS, ROWS = MOST_ROWS, STEP = TOGETHER;
    static constexpr bool QUANTISED = Sum(0.5f) == 0;
    static constexpr int32_t OFFSET = TOO_LARGE;
};

constexpr int64_t DEEP = 256;  // elements of the contraction before the next strip

// Elements of the contraction in a strip: unpacking writes whole groups.
LORALAB_INLINE int64_t depth(int64_t count) { return (count + 31) / 32 * 32; }

// sums [ROWS][COLUMNS], rows `width` apart, (+)= a [ROWS][steps], rows `stride` apart, · strip [steps][COLUMNS]
template <class V, int ROWS, int COLUMNS>
LORALAB_INLINE void tile_strip(const float* a, int64_t stride, const float* strip, int64_t steps, float* sums, int64_t width,
                               bool add) {
    constexpr int VECTORS = COLUMNS / V::LANES;
    typename V::T sum[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) sum[i][j] = add ? V::load(sums + i * width + j * V::LANES) : V::zero();
    for (int64_t k = 0; k < steps; k++) {
        typename V::T b[VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) b[j] = V::load(strip + k * COLUMNS + j * V::LANES);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) sum[i][j] = V::fma(a[i * stride + k], b[j], sum[i][j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) V::store(sums + i * width + j * V::LANES, sum[i][j]);
}

// The same for all strips of a panel.
template <class V, int ROWS, int COLUMNS, int PANEL>
LORALAB_INLINE void tile_strips(const float* a, int64_t stride, const float* panel, int64_t steps, float* sums, bool add) {
    for (int64_t k = 0; k < steps; k += DEEP)
        for (int64_t column = 0; column < PANEL; column += COLUMNS)
            tile_strip<V, ROWS, COLUMNS>(a + k, stride, panel + column * depth(steps) + k * COLUMNS,
                                         steps - k < DEEP ? steps - k : DEEP, sums + column, PANEL, add || k > 0);
}

// A path in float32 over strips of COLUMNS; what unpacks them is the instruction set's own.
template <class V, int COLUMNS, int PANEL, int ROWS>
struct InStrips : Tiling<float, float, float, PANEL, ROWS, 1> {
    LORALAB_INLINE static int64_t place(int64_t k, int64_t column, int64_t steps) {
        return column / COLUMNS * COLUMNS * depth(steps) + k * COLUMNS + column % COLUMNS;
    }
    template <int R>
    LORALAB_INLINE static void tile(const float* a, int64_t stride, const float* panel, int64_t steps, float* sums, bool add) {
        tile_strips<V, R, COLUMNS, PANEL>(a, stride, panel, steps, sums, add);
    }
};

}  // namespace loralab
