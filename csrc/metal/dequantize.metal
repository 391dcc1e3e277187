// Rows of a quantised matrix made dense. Bound by writing: a thread turns one word, eight codes, into eight elements that
// lie side by side, so that a simdgroup writes 512 bytes of half precision without a gap.
#include "weight.metal"

struct Rows {
    int first, last;
};

template <bool EIGHT, typename T>
inline void dequantize(Weight<EIGHT> w, Rows rows, device T* y, uint2 at) {
    const int row = rows.first + int(at.y), column = int(at.x) * 8;
    if (row >= rows.last || column >= w.in) return;
    float values[8];
    w.template elements<8>(row, column, values);
    device T* to = y + (ulong)at.y * w.in + column;
    if (w.in % 4 == 0 && column + 8 <= w.in) {  // whole vectors, at addresses fit for them
        for (int i = 0; i < 2; i++) {
            vec<T, 4> four;
            for (int j = 0; j < 4; j++) four[j] = T(values[4 * i + j]);
            ((device vec<T, 4>*)to)[i] = four;
        }
        return;
    }
    for (int i = 0; i < 8 && column + i < w.in; i++) to[i] = T(values[i]);
}

// y [last - first, in]; a thread for every eight columns of every row, in groups of any size.
#define DEQUANTIZE(EIGHT, BITS, T)                                                                               \
    kernel void dequantize_##BITS##_##T(WEIGHT_BUFFERS, constant Rows& rows [[buffer(6)]],                       \
                                        device T* y [[buffer(7)]], uint2 at [[thread_position_in_grid]],         \
                                        uint index [[thread_index_in_threadgroup]]) {                            \
        threadgroup float table[16];                                                                             \
        fill_table(table, codebook, index, EIGHT);                                                               \
        dequantize<EIGHT, T>(weight_of<EIGHT>(codes, scales, steps, zeros, table, form), rows, y, at);         \
    }
FOR_WEIGHTS_AND_TYPES(DEQUANTIZE)
