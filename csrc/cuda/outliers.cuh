// x as 8-bit integers for W4A8, and its columns that stay out of them (csrc/cpu/outliers.h has the reason).
//
// Nobody asks the device what it found: there is always room for as many outliers as there may be, unused ones are zeros.
// The median of the columns' sizes comes from a histogram of their bits, sixteen bins an octave: what is "four times the
// median" need not be exact. Where more columns than there is room for are larger, the limit rises.
#pragma once
#include "kernels.h"
#include "numbers.cuh"

namespace loralab {

using cuda::OUTLIERS;
using cuda::Form;
using cuda::Rounded;

template <Form FORM>
struct Byte {  // int8
    static constexpr float LARGEST = 127;
    static DEVICE uint8_t of(float value) { return uint8_t(nearest_int(value)); }
};
template <>
struct Byte<Form::fp8> {
    static constexpr float LARGEST = 448;
    static DEVICE uint8_t of(float value) { return float_to_fp8(value); }
};

constexpr int ROW_THREADS = 256, SEARCH_THREADS = 512, BINS = 4096, BIN_SHIFT = 19;
constexpr uint32_t FAR = 2 << 23;  // four times: two octaves, in the bits of a float

// sizes [columns] = the largest magnitude of each column, as bits. A block: 256 columns, some rows.
template <class T>
KERNEL(ROW_THREADS, 1) void column_sizes(const T* x, int64_t rows, int64_t stride, int64_t columns, uint32_t* sizes) {
    constexpr int64_t EACH = 64;
    const int64_t column = block() * ROW_THREADS + thread(), first = block_row() * EACH;
    if (column >= columns) return;
    float largest = 0;
    for (int64_t row = first; row < first + EACH && row < rows; row++)
        largest = fmaxf(largest, fabsf(x[row * stride + column].value()));
    atomic_max(sizes + column, float_to_bits(largest));
}

struct Search {
    uint32_t bins[BINS];
    uint32_t sums[SEARCH_THREADS];
    uint32_t limit;
};

// Every thread gets the sum of what those before it gave.
DEVICE uint32_t sum_before(Search& memory, uint32_t own) {
    memory.sums[thread()] = own;
    for (int distance = 1; distance < SEARCH_THREADS; distance *= 2) {
        wait_for_block();
        const uint32_t other = thread() >= distance ? memory.sums[thread() - distance] : 0;
        wait_for_block();
        memory.sums[thread()] += other;
    }
    wait_for_block();
    const uint32_t found = memory.sums[thread()] - own;
    wait_for_block();
    return found;
}

// The first outliers' columns, rising; -1 behind them. One block.
KERNEL(SEARCH_THREADS, 1) void find_outliers(const uint32_t* sizes, int64_t columns, int32_t* outliers) {
    constexpr int EACH = BINS / SEARCH_THREADS;
    Search& memory = block_memory<Search>();
    for (int i = thread(); i < BINS; i += SEARCH_THREADS) memory.bins[i] = 0;
    if (thread() == 0) memory.limit = 0;
    if (thread() < OUTLIERS) outliers[thread()] = -1;
    wait_for_block();
    for (int64_t k = thread(); k < columns; k += SEARCH_THREADS) atomic_add(memory.bins + (sizes[k] >> BIN_SHIFT), 1);
    wait_for_block();
    uint32_t own = 0;
    for (int i = 0; i < EACH; i++) own += memory.bins[thread() * EACH + i];
    uint32_t below = sum_before(memory, own);
    for (int i = 0; i < EACH; i++) {
        const uint32_t bin = thread() * EACH + i, upper = (bin + 1) << BIN_SHIFT, above = below + memory.bins[bin];
        if (below <= columns / 2 && columns / 2 < above) atomic_max(&memory.limit, upper + FAR);
        if (columns - below > OUTLIERS) atomic_max(&memory.limit, upper);  // too many from here on
        below = above;
    }
    wait_for_block();
    const uint32_t limit = memory.limit;
    const int64_t part = ceil_div(columns, SEARCH_THREADS), first = thread() * part;
    own = 0;
    for (int64_t k = first; k < first + part && k < columns; k++) own += sizes[k] >= limit;
    uint32_t at = sum_before(memory, own);
    for (int64_t k = first; k < first + part && k < columns; k++)
        if (sizes[k] >= limit) outliers[at++] = int32_t(k);
}

DEVICE bool is_outlier(const int32_t* outliers, int64_t column) {
    for (int i = 0; i < OUTLIERS; i++)
        if (outliers[i] == column) return true;
    return false;
}

struct RowMemory {
    float largest[ROW_THREADS / 32];
    int32_t outliers[OUTLIERS];
};

// fmaxf would lose what is no number: an integer cannot say it, so the row's scale has to.
DEVICE float larger(float a, float b) { return b > a || b != b ? b : a; }

DEVICE float largest_of_block(RowMemory& memory, float own) {
    for (int mask = 16; mask; mask /= 2) own = larger(own, from_lane_xor(own, mask));
    if (lane() == 0) memory.largest[warp()] = own;
    wait_for_block();
    for (int i = 0; i < ROW_THREADS / 32; i++) own = larger(own, memory.largest[i]);
    return own;
}

// A row of x a block → 8 bits, and what they are multiplied by.
template <class T, Form FORM>
KERNEL(ROW_THREADS, 1) void round_rows(const T* x, int64_t stride, int64_t columns, bool transposed, Rounded s) {
    RowMemory& memory = block_memory<RowMemory>();
    if (thread() < OUTLIERS) memory.outliers[thread()] = transposed ? -1 : s.outliers[thread()];
    wait_for_block();
    const T* row = x + block() * stride;
    const bool any = memory.outliers[0] >= 0;
    auto value = [&](int64_t k) {
        if (any && is_outlier(memory.outliers, k)) return 0.0f;
        return transposed ? times(row[k].value(), s.weight_scales[k]) : row[k].value();
    };
    float largest = 0;
    for (int64_t k = thread(); k < columns; k += ROW_THREADS) largest = larger(largest, fabsf(value(k)));
    largest = largest_of_block(memory, largest);
    const float inverse = largest > 0 ? Byte<FORM>::LARGEST / largest : 0;
    const int64_t width = cuda::padded8(columns);
    for (int64_t k = thread(); k < width; k += ROW_THREADS)
        s.x[block() * width + k] = k < columns ? Byte<FORM>::of(times(value(k), inverse)) : 0;
    if (thread() == 0) s.x_scales[block()] = largest / Byte<FORM>::LARGEST;
}

// The largest magnitude that a row's codes can stand for, by what stands for it in 8 bits. A warp a row.
template <Form FORM>
KERNEL(ROW_THREADS, 1) void find_weight_scales(Weight w, float* scales) {
    const int64_t row = block() * (ROW_THREADS / 32) + warp();
    if (row >= w.out) return;
    if (w.is_int8()) {
        if (lane() == 0) scales[row] = w.row_scales[row] * (127 / Byte<FORM>::LARGEST);
        return;
    }
    float largest = 0;
    for (int64_t g = lane(); g < w.groups(); g += 32) {
        const float zero = w.zero(row, g);
        largest = fmaxf(largest, fabsf(w.scale(row, g)) * fmaxf(zero - w.codebook[0], w.codebook[15] - zero));
    }
    for (int mask = 16; mask; mask /= 2) largest = fmaxf(largest, from_lane_xor(largest, mask));
    if (lane() == 0) scales[row] = largest / Byte<FORM>::LARGEST;
}

// given [rows, extra] with the outliers' values beside it; value(row, column) of what they are taken from.
template <class T, class Value>
DEVICE void widen(const T* given, int64_t rows, int64_t extra, const int32_t* outliers, T* wide, Value value) {
    const int64_t width = extra + OUTLIERS, at = block() * ROW_THREADS + thread(), row = at / width, i = at % width;
    if (row >= rows) return;
    if (i < extra) {
        wide[at] = given[row * extra + i];
    } else {
        const int32_t column = outliers[i - extra];
        wide[at] = T::of(column < 0 ? 0.0f : value(row, column));
    }
}

template <class T>
KERNEL(ROW_THREADS, 1) void widen_left(Product p, const T* left, int64_t extra, const int32_t* outliers, T* wide) {
    widen(left, p.rows, extra, outliers, wide,
          [&](int64_t row, int64_t column) { return static_cast<const T*>(p.x)[row * p.stride + column].value(); });
}

template <class T>
KERNEL(ROW_THREADS, 1) void widen_right(Weight w, const T* right, int64_t extra, const int32_t* outliers, T* wide) {
    widen(right, w.out, extra, outliers, wide, [&](int64_t row, int64_t column) { return w.at(row, column); });
}

}  // namespace loralab
