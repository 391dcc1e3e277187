// y = x * W^T + left * right^T + bias for a few rows of x, as in answering token by token: bound by reading W.
//
// A simdgroup makes W_ROWS columns of y for all X_ROWS rows of x. Its lanes lie side by side along a row of W, LANE codes
// each, so that what it loads at once is 32 * LANE / 2 bytes without a gap; every code is looked up once and used X_ROWS
// times, what a lane holds of x is used W_ROWS times. Nothing waits for anything but one sum over the lanes at the end.
#include "weight.metal"
#include "addend.metal"

constant constexpr int SIMDGROUPS = 2;  // of a threadgroup: small ones fill the GPU evenly where y is short

template <bool EIGHT, typename T, int X_ROWS, int W_ROWS, int LANE>
inline void few_rows(Weight<EIGHT> w, device const T* x, device const float* left, device const float* right,
                     device const float* bias, Product product, device T* y, uint2 group, uint simd, uint lane) {
    const int first = (int(group.x) * SIMDGROUPS + int(simd)) * W_ROWS, first_x = int(group.y) * X_ROWS;
    const int rows = min(product.rows - first_x, X_ROWS);
    if (first >= w.out) return;
    float sums[X_ROWS][W_ROWS] = {};
    for (int column = int(lane) * LANE; column < w.width; column += 32 * LANE) {
        float part[X_ROWS][LANE], total[X_ROWS] = {};  // of x; totals are what a zero-point is multiplied by
        UNROLL for (int m = 0; m < X_ROWS; m++) {
            device const T* from = x + (ulong)(first_x + min(m, rows - 1)) * w.in + column;
            UNROLL for (int i = 0; i < LANE; i++) {
                part[m][i] = column + i < w.in ? float(from[i]) : 0.0f;
                total[m] += part[m][i];
            }
        }
        UNROLL for (int r = 0; r < W_ROWS; r++) {
            const int row = min(first + r, w.out - 1);
            float values[LANE];
            w.template values<LANE>(row, column, values);
            const float scale = w.scale(row, column), zero = w.zero(row, column);
            UNROLL for (int m = 0; m < X_ROWS; m++) {
                float dot = 0.0f;
                UNROLL for (int i = 0; i < LANE; i++) dot += values[i] * part[m][i];
                sums[m][r] += scale * (dot - zero * total[m]);
            }
        }
    }
    UNROLL for (int m = 0; m < X_ROWS; m++)
        UNROLL for (int r = 0; r < W_ROWS; r++) {
            const int row = min(first + r, w.out - 1), of_x = first_x + min(m, rows - 1);
            for (int e = int(lane); e < product.extra; e += 32)
                sums[m][r] += left[(ulong)of_x * product.extra + e] * right[(ulong)row * product.extra + e];
            const float sum = simd_sum(sums[m][r]);
            if (int(lane) == m * W_ROWS + r && m < rows && first + r < w.out)
                y[(ulong)of_x * w.out + row] = T(product.has_bias ? sum + bias[row] : sum);
        }
}

#define ROWS(EIGHT, BITS, T, X_ROWS, W_ROWS, LANE)                                                                 \
    kernel void rows_##BITS##_##T##_##X_ROWS(                                                                      \
        WEIGHT_BUFFERS, PRODUCT_BUFFERS(T), uint2 group [[threadgroup_position_in_grid]],                          \
        uint index [[thread_index_in_threadgroup]], uint simd [[simdgroup_index_in_threadgroup]],             \
        uint lane [[thread_index_in_simdgroup]]) {                                                                 \
        threadgroup float table[16];                                                                               \
        fill_table(table, codebook, index, EIGHT);                                                                 \
        few_rows<EIGHT, T, X_ROWS, W_ROWS, LANE>(weight_of<EIGHT>(codes, scales, steps, zeros, table, form), x,  \
                                                 left, right, bias, product, y, group, simd, lane);           \
    }

// More rows of x leave fewer registers for rows and codes of W.
#define ALL_ROWS(EIGHT, BITS, T) \
    ROWS(EIGHT, BITS, T, 1, 4, 16) ROWS(EIGHT, BITS, T, 4, 4, 8) ROWS(EIGHT, BITS, T, 8, 2, 8)
FOR_WEIGHTS_AND_TYPES(ALL_ROWS)
