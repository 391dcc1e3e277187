// x as a path multiplies it: as it lies in memory where that is possible, converted or quantised a chunk at a time.
#pragma once
#include "outliers.h"
#include "reader.h"
#include "scratch.h"

namespace loralab {

// Elements of the contraction in a panel, 8 KiB a column. What is longer is unpacked in pieces, by every task anew.
template <class P>
constexpr int64_t INNER = 8192 / (int64_t)sizeof(typename P::B);

template <class P>
struct Prepared {
    using A = typename P::A;
    const Product& product;
    const A* a = nullptr;  // [rows of a chunk][stride]
    int64_t stride = 0;
    const float *left, *right;
    int64_t extra;
    const float* scales = nullptr;          // of quantised rows of the chunk
    const float* weight_scales = nullptr;   // of the weight's rows, where it is quantised to 8 bits
    const A* ones = nullptr;                // [INNER + 64]
    Outliers outliers;
    int64_t first = 0;

    Prepared(const Product& product, ParallelFor parallel)
        : product(product), left(product.left), right(product.right), extra(product.left ? product.extra : 0) {
        if constexpr (P::QUANTISED) {
            // of dy they hardly matter: gradients are 2 % off with them and without
            if (!product.transposed && product.rows) outliers.find(product, parallel);
            if (outliers.too_many) return;
            if (outliers.count) outliers.widen(product, parallel, &left, &right, &extra);
            find_weight_scales(parallel);
        }
        if constexpr (P::OFFSET != 0) {
            static thread_local Scratch all_ones;
            A* one = all_ones.get<A>(INNER<P> + 64);
            for (int64_t k = 0; k < INNER<P> + 64; k++) one[k] = 1;
            ones = one;
        }
    }

    // Rows [first, first + rows).
    LORALAB_INLINE void take(int64_t start, int64_t rows, ParallelFor parallel) {
        const int64_t inner = product.inner();
        first = start;
        if constexpr (!P::QUANTISED) {
            constexpr Element same = sizeof(A) == 2 ? Element::bf16 : Element::float32;
            if (product.element == same && inner % P::STEP == 0) {
                a = (const A*)product.x + start * product.stride;
                stride = product.stride;
                return;
            }
        }
        static thread_local Scratch rows_of_x, scales_of_rows;
        stride = (inner + 63) / 64 * 64;
        a = rows_of_x.get<A>(rows * stride);
        if constexpr (P::QUANTISED) scales = scales_of_rows.get<float>(rows);
        parallel(rows, 16, convert, this);
    }

   private:
    static void convert(void* context, int64_t from, int64_t to) {
        const Prepared& self = *(const Prepared*)context;
        static thread_local Scratch values;
        const int64_t inner = self.product.inner();
        float* x = values.get<float>(inner);
        for (int64_t row = from; row < to; row++) {
            A* out = (A*)self.a + row * self.stride;
            Reader{self.product}.read(self.first + row, 0, inner, x);
            if constexpr (P::QUANTISED) {
                ((float*)self.scales)[row] = self.quantise(x, inner, out);
            } else {
                for (int64_t k = 0; k < inner; k++) {
                    if constexpr (sizeof(A) == 2) out[k] = to_bf16(x[k]);
                    else out[k] = x[k];
                }
            }
            const A zero = (A)(P::QUANTISED ? P::OFFSET : 0);
            for (int64_t k = inner; k < self.stride; k++) out[k] = zero;
        }
    }

    // x [inner] → integers around OFFSET; returns what they are multiplied by. Of dy·W, dy takes the scales of W's rows.
    LORALAB_INLINE float quantise(float* x, int64_t inner, A* out) const {
        if (product.transposed)
            for (int64_t k = 0; k < inner; k++) x[k] *= weight_scales[k];
        for (int64_t e = 0; e < outliers.count; e++) x[outliers.columns[e]] = 0;
        int32_t most = 0;  // sizes are ordered as their bits are, and what is no number comes after infinity
#pragma omp simd reduction(max : most)
        for (int64_t k = 0; k < inner; k++) {
            int32_t size;
            __builtin_memcpy(&size, x + k, 4);
            size &= 0x7fffffff;
            most = size > most ? size : most;
        }
        float largest;  // an integer cannot say that it is no number, so the row's scale does
        __builtin_memcpy(&largest, &most, 4);
        const float inverse = largest > 0 ? 127 / largest : 0;
        constexpr float MAGIC = 12582912;  // 1.5 · 2^23: adding it rounds to a whole number, ties to even
        for (int64_t k = 0; k < inner; k++) out[k] = (A)((int32_t)((x[k] * inverse + MAGIC) - MAGIC) + P::OFFSET);
        return largest / 127;
    }

    LORALAB_INLINE void find_weight_scales(ParallelFor parallel) {
        static thread_local Scratch scales_of_weight;
        weight_scales = scales_of_weight.get<float>(product.weight.out);
        parallel(product.weight.out, 64, row_scales, this);
    }

    // The largest magnitude that a row's codes can stand for, as 127ths.
    static void row_scales(void* context, int64_t from, int64_t to) {
        const Prepared& self = *(const Prepared*)context;
        const Weight& w = self.product.weight;
        float* out = (float*)self.weight_scales;
        if (w.is_int8()) {
            for (int64_t row = from; row < to; row++) out[row] = w.row_scales[row];
            return;
        }
        for (int64_t row = from; row < to; row++) {
            float largest = 0;
            for (int64_t g = 0; g < w.groups(); g++) {
                const float zero = w.zero(row, g), low = zero - w.codebook[0], high = w.codebook[15] - zero;
                const float size = __builtin_fabsf(w.scale(row, g)) * (low > high ? low : high);
                largest = size > largest ? size : largest;
            }
            out[row] = largest / 127;
        }
    }
};

}  // namespace loralab
