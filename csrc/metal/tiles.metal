// y = x * W^T (or dy * W where TRANSPOSED) + left * right^T + bias for many rows of x, on the matrix units.
//
// A threadgroup makes a tile of y: ROWS_ rows by COLUMNS, in float32 accumulators that never leave the registers. Along
// the contraction it goes STEP elements at a time: a piece of x and a piece of W, made dense, lie in the group's memory,
// where its four simdgroups (two by two) read them as 8x8 matrices. W is never dense anywhere else, and each element is
// looked up once for ROWS_ rows of x. The addend is more of the same contraction, always in float32: in half precision
// the first updates of an adapter would vanish.
//
// Half-precision x meets weights in half precision. bfloat x is widened (exactly) and meets float32 ones: the matrix units
// of these GPUs have the same rate for both, and bfloat ones are missing or emulated on some.
#include "weight.metal"
#include "addend.metal"

constant constexpr int COLUMNS = 64, STEP = 32, THREADS = 128;

// Rows of a piece begin this many elements apart: a multiple of 8 and 16 bytes of padding, against bank conflicts.
template <typename S>
constexpr int padded(int elements) { return elements + 16 / int(sizeof(S)); }

template <typename S>
struct Piece {
    threadgroup S* memory;
    int stride;
};

// x [rows, inner], rows from `first` on, columns from `column` on: [ROWS_, STEP_], zero outside.
template <int ROWS_, int STEP_, typename S, typename T>
inline void load_x(Piece<S> to, device const T* x, int first, int rows, int column, int inner, int thread_) {
    for (int at = thread_; at < ROWS_ * STEP_; at += THREADS) {
        const int row = at / STEP_, i = at % STEP_;
        const bool inside = first + row < rows && column + i < inner;
        to.memory[row * to.stride + i] = inside ? S(x[(ulong)(first + row) * inner + column + i]) : S(0);
    }
}

// W dense, HEIGHT rows from `row` on by WIDTH columns from `column` on; sixteen elements a thread.
template <int HEIGHT, int WIDTH, typename S, bool EIGHT>
inline void load_w(Piece<S> to, Weight<EIGHT> w, int row, int column, int thread_) {
    const int line = thread_ * 16 / WIDTH, at = thread_ * 16 % WIDTH;
    float values[16];
    w.template elements<16>(row + line, column + at, values);
    for (int i = 0; i < 16; i++) to.memory[line * to.stride + at + i] = S(values[i]);
}

// sums += a * b^T (or a * b where TRANSPOSED) over one step: a [.., STEP_], b [COLUMNS, STEP_] or [STEP_, COLUMNS].
template <int FRAGMENTS, int STEP_, bool TRANSPOSED, typename S>
inline void multiply(thread simdgroup_float8x8 (&sums)[FRAGMENTS][4], Piece<S> a, Piece<S> b, int row, int column) {
    UNROLL for (int k = 0; k < STEP_; k += 8) {
        simdgroup_matrix<S, 8, 8> of_a[FRAGMENTS], of_b[4];
        UNROLL for (int m = 0; m < FRAGMENTS; m++) simdgroup_load(of_a[m], a.memory + (row + 8 * m) * a.stride + k, a.stride);
        UNROLL for (int n = 0; n < 4; n++) {
            const int at = column + 8 * n;
            if (TRANSPOSED) simdgroup_load(of_b[n], b.memory + k * b.stride + at, b.stride);
            else simdgroup_load(of_b[n], b.memory + at * b.stride + k, b.stride, ulong2(0, 0), true);
        }
        UNROLL for (int m = 0; m < FRAGMENTS; m++)
            UNROLL for (int n = 0; n < 4; n++) simdgroup_multiply_accumulate(sums[m][n], of_a[m], of_b[n], sums[m][n]);
    }
}

template <int ROWS_, bool TRANSPOSED, typename S, bool EIGHT, typename T>
inline void make_tile(Weight<EIGHT> w, device const T* x, device const float* left, device const float* right,
                 device const float* bias, Product product, device T* y, threadgroup float* memory, uint2 group,
                 uint index, uint simd, uint lane) {
    constexpr int FRAGMENTS = ROWS_ / 16, PIECE = STEP * int(sizeof(S)) / 4;  // of the addend: as many bytes in float32
    const int inner = TRANSPOSED ? w.out : w.in, columns = TRANSPOSED ? w.in : w.out;
    const int first = int(group.y) * ROWS_, start = int(group.x) * COLUMNS, self = int(index);
    const int row = int(simd) / 2 * (ROWS_ / 2), column = int(simd) % 2 * (COLUMNS / 2);  // its quarter
    simdgroup_float8x8 sums[FRAGMENTS][4];
    UNROLL for (int m = 0; m < FRAGMENTS; m++)
        UNROLL for (int n = 0; n < 4; n++) sums[m][n] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

    const Piece<S> a = {(threadgroup S*)memory, padded<S>(STEP)};
    const Piece<S> b = {a.memory + ROWS_ * a.stride, padded<S>(TRANSPOSED ? COLUMNS : STEP)};
    for (int k = 0; k < inner; k += STEP) {
        load_x<ROWS_, STEP>(a, x, first, product.rows, k, inner, self);
        if (TRANSPOSED) load_w<STEP, COLUMNS>(b, w, k, start, self);
        else load_w<COLUMNS, STEP>(b, w, start, k, self);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        multiply<FRAGMENTS, STEP, TRANSPOSED>(sums, a, b, row, column);
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    const Piece<float> of_left = {memory, padded<float>(PIECE)};
    const Piece<float> of_right = {memory + ROWS_ * of_left.stride, of_left.stride};
    for (int k = 0; k < product.extra; k += PIECE) {
        load_x<ROWS_, PIECE>(of_left, left, first, product.rows, k, product.extra, self);
        load_x<COLUMNS, PIECE>(of_right, right, start, columns, k, product.extra, self);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        multiply<FRAGMENTS, PIECE, false>(sums, of_left, of_right, row, column);
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }

    // Eight rows of the quarter at a time go through the simdgroup's own part of the memory, to be written in lines.
    threadgroup float* lines = memory + int(simd) * 8 * (COLUMNS / 2);
    const int at = start + column + int(lane);
    UNROLL for (int m = 0; m < FRAGMENTS; m++) {
        UNROLL for (int n = 0; n < 4; n++) simdgroup_store(sums[m][n], lines + 8 * n, COLUMNS / 2);
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (int i = 0; i < 8; i++) {
            const int to = first + row + 8 * m + i;
            if (to < product.rows && at < columns) {
                const float sum = lines[i * (COLUMNS / 2) + int(lane)];
                y[(ulong)to * columns + at] = T(product.has_bias ? sum + bias[at] : sum);
            }
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
    }
}

// Floats that hold two pieces of either form.
template <typename S>
constexpr int room(int rows) {
    return (rows + COLUMNS) * padded<S>(STEP) * int(sizeof(S)) / 4;  // a transposed piece of W takes less
}

#define TILES(EIGHT, BITS, T, S, ROWS_, TRANSPOSED, NAME)                                                          \
    kernel void NAME##_##BITS##_##T##_##ROWS_(                                                                     \
        WEIGHT_BUFFERS, PRODUCT_BUFFERS(T), uint2 group [[threadgroup_position_in_grid]],                          \
        uint index [[thread_index_in_threadgroup]], uint simd [[simdgroup_index_in_threadgroup]],             \
        uint lane [[thread_index_in_simdgroup]]) {                                                                 \
        threadgroup float table[16];                                                                               \
        threadgroup float memory[room<S>(ROWS_)];                                                                  \
        fill_table(table, codebook, index, EIGHT);                                                                 \
        make_tile<ROWS_, TRANSPOSED, S>(weight_of<EIGHT>(codes, scales, steps, zeros, table, form), x, left, right,   \
                                   bias, product, y, memory, group, index, simd, lane);                       \
    }

#define BOTH_WAYS(EIGHT, BITS, T, S)                                                                 \
    TILES(EIGHT, BITS, T, S, 32, false, forward) TILES(EIGHT, BITS, T, S, 64, false, forward)        \
    TILES(EIGHT, BITS, T, S, 32, true, transposed) TILES(EIGHT, BITS, T, S, 64, true, transposed)
BOTH_WAYS(false, 4bit, float, float)
BOTH_WAYS(false, 4bit, half, half)
BOTH_WAYS(false, 4bit, bfloat, float)
BOTH_WAYS(true, 8bit, float, float)
BOTH_WAYS(true, 8bit, half, half)
BOTH_WAYS(true, 8bit, bfloat, float)
