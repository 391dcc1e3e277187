// A tile of y = x · Wᵀ or x · W, 128 × 128, by tensor cores: x and the unpacked W meet in the block's memory.
//
// * A step takes 64 bytes of every row along the contraction: 32 numbers of 16 bits, 64 of 8. Rows of 64 bytes would
//   fall on the same banks; their 16-byte pieces are exchanged (`place`) so that eight rows fill all banks once.
// * x is copied behind the threads' backs, two steps ahead. The codes of W are read two steps ahead into registers and
//   unpacked one step ahead into the buffer that nobody reads: a step costs one barrier, and unpacking has no wait.
// * Unpacking a weight takes some four instructions and is shared by 128 rows of x; multiplying it with them takes a
//   tensor core longer. Two blocks on a multiprocessor do both at once.
// * What is added (the product of low rank) is a few steps more of the same tile: it joins before y is rounded.
#pragma once
#include "kernels.h"
#include "numbers.cuh"

namespace loralab {

constexpr int TILE_ROWS = 128, TILE_COLUMNS = 128, LINE = 64, TILE_THREADS = 256, STAGES = 3;
constexpr int TILE_BLOCKS = ARCH >= 800 ? 2 : 1;  // on a multiprocessor; sm_75 has too few registers for two

struct TileMemory {
    alignas(128) uint8_t x[STAGES][TILE_ROWS * LINE];
    alignas(128) uint8_t w[STAGES][TILE_COLUMNS * LINE];  // two of them where W is unpacked on its way
    float table[16];
};

// Of a 16-byte piece of a row of 64 bytes.
DEVICE int place(int row, int piece) { return row * LINE + ((piece ^ row >> 1) & 3) * 16; }
// Of a row of 128 numbers of 16 bits: 16 pieces.
DEVICE int place_wide(int row, int piece) { return row * (TILE_COLUMNS * 2) + (piece ^ (row & 7)) * 16; }

// What is multiplied: x [rows, inner] with rows `stride` elements apart; the tile's first row of x and first column of y.
struct Tile {
    const void* x;
    int64_t stride;
    int rows, inner, columns, first_row, first_column;  // registers are scarce here: 32 bits
};

// Numbers of SIZE bytes from column `from` on, into a stage: 16 bytes that are all inside or all outside at a time.
template <int SIZE>
DEVICE void copy_pieces(uint8_t* stage, const Tile& t, int from) {
    using Number = typename Sized<SIZE>::Type;
#pragma unroll
    for (int i = 0; i < TILE_ROWS * 4 / TILE_THREADS; i++) {
        const int at = thread() + i * TILE_THREADS, row = at / 4, piece = at % 4;
        const int own = t.first_row + row, column = from + piece * (16 / SIZE);
        const bool there = own < t.rows && column < t.inner;
        copy_later(stage + place(row, piece), static_cast<const Number*>(t.x) + (there ? int64_t(own) * t.stride + column : 0), there);
    }
}

// The same one by one, for rows that do not begin at multiples of 16 bytes.
template <int SIZE>
DEVICE void copy_numbers(uint8_t* stage, const Tile& t, int from) {
    using Number = typename Sized<SIZE>::Type;
    constexpr int COUNT = LINE / SIZE;
#pragma unroll 1
    for (int at = thread(); at < TILE_ROWS * COUNT; at += TILE_THREADS) {
        const int row = at / COUNT, k = at % COUNT, own = t.first_row + row;
        const bool there = own < t.rows && from + k < t.inner;
        Number* to = reinterpret_cast<Number*>(stage + place(row, k * SIZE / 16)) + k % (16 / SIZE);
        *to = there ? static_cast<const Number*>(t.x)[int64_t(own) * t.stride + from + k] : 0;
    }
}

template <int SIZE>
DEVICE bool in_pieces(const Tile& t) {
    return reinterpret_cast<uintptr_t>(t.x) % 16 == 0 && t.stride * SIZE % 16 == 0 && t.inner * SIZE % 16 == 0;
}

template <int SIZE>
DEVICE void copy_x(uint8_t* stage, const Tile& t, int from, bool pieces) {
    pieces ? copy_pieces<SIZE>(stage, t, from) : copy_numbers<SIZE>(stage, t, from);
}

// Which 64 × 32 of the tile a warp has.
DEVICE int warp_row() { return warp() / 4 * 64; }
DEVICE int warp_column() { return warp() % 4 * 32; }

// One step: x's stage with W's. Multiply: (c, a, b) on fragments; TURNED: W lies as [contraction, columns].
template <bool TURNED, class Sum, class Multiply>
DEVICE void multiply_step(Sum (&sums)[4][4][4], const uint8_t* x, const uint8_t* w, Multiply multiply) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        uint32_t a[4][4], b[2][4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            load_fragments(a[i], x + place(warp_row() + 16 * i + lane() % 16, 2 * half + lane() / 16));
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int column = warp_column() + 16 * j;
            if (TURNED) load_fragments_turned(b[j], w + place_wide(16 * half + lane() % 16, column / 8 + lane() / 16));
            else load_fragments(b[j], w + place(column + lane() / 16 * 8 + lane() % 8, 2 * half + lane() / 8 % 2));
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const uint32_t own[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                multiply(sums[i][j], a[i], own);
            }
    }
}

// All steps. Weights: how W comes into the tile, in numbers of SIZE bytes.
template <class Weights, class Sum, class Multiply>
DEVICE void multiply_all(Sum (&sums)[4][4][4], TileMemory& memory, const Tile& t, const Weights& weights, Multiply multiply) {
    constexpr int SIZE = Weights::SIZE, STEP = LINE / SIZE;
    const int steps = (t.inner + STEP - 1) / STEP;
    const bool pieces = in_pieces<SIZE>(t);
    for (int i = 0; i < STAGES - 1; i++) {
        if (i < steps) copy_x<SIZE>(memory.x[i], t, i * STEP, pieces);
        end_batch();
    }
    typename Weights::Fetched fetched = weights.fetch(0);
    weights.store(fetched, memory.w[0], memory.table);
    if (steps > 1) fetched = weights.fetch(STEP);
    int stage = 0, ahead = STAGES - 1;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        wait_for_batches<STAGES - 2>();
        wait_for_block();
        if (step + STAGES - 1 < steps) copy_x<SIZE>(memory.x[ahead], t, (step + STAGES - 1) * STEP, pieces);
        end_batch();
        multiply_step<Weights::TURNED>(sums, memory.x[stage], memory.w[step % 2], multiply);
        if (step + 1 < steps) weights.store(fetched, memory.w[(step + 1) % 2], memory.table);
        if (step + 2 < steps) fetched = weights.fetch((step + 2) * STEP);
        stage = stage + 1 < STAGES ? stage + 1 : 0, ahead = ahead + 1 < STAGES ? ahead + 1 : 0;
    }
    wait_for_batches<0>();
    wait_for_block();
}

// All steps of two operands of one-byte numbers that both lie in memory, their rows a multiple of LINE long.
template <class Sum, class Multiply>
DEVICE void multiply_bytes(Sum (&sums)[4][4][4], TileMemory& memory, const Tile& x, const Tile& w, Multiply multiply) {
    const int steps = x.inner / LINE;
    auto copy = [&](int stage, int step) {
        if (step < steps) {
            copy_pieces<1>(memory.x[stage], x, step * LINE);
            copy_pieces<1>(memory.w[stage], w, step * LINE);
        }
        end_batch();
    };
    for (int i = 0; i < STAGES - 1; i++) copy(i, i);
    int stage = 0, ahead = STAGES - 1;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        wait_for_batches<STAGES - 2>();
        wait_for_block();
        copy(ahead, step + STAGES - 1);
        multiply_step<false>(sums, memory.x[stage], memory.w[stage], multiply);
        stage = stage + 1 < STAGES ? stage + 1 : 0, ahead = ahead + 1 < STAGES ? ahead + 1 : 0;
    }
    wait_for_batches<0>();
    wait_for_block();
}

// sums += left [rows, extra] · right [columns, extra]ᵀ, in T.
template <class T>
DEVICE void add_low_rank(float (&sums)[4][4][4], TileMemory& memory, const Tile& t, const T* left, const T* right, int extra) {
    const Tile own{left, extra, t.rows, extra, 0, t.first_row, 0}, other{right, extra, t.columns, extra, 0, t.first_column, 0};
    const bool pieces = in_pieces<2>(own) && in_pieces<2>(other);
#pragma unroll 1
    for (int from = 0; from < extra; from += LINE / 2) {
        copy_x<2>(memory.x[0], own, from, pieces);
        copy_x<2>(memory.w[0], other, from, pieces);
        end_batch();
        wait_for_batches<0>();
        wait_for_block();
        multiply_step<false>(sums, memory.x[0], memory.w[0], T::multiply);
        wait_for_block();
    }
}

// y = sums + bias, rounded once; y's rows are `stride` apart.
template <class T>
DEVICE void store_tile(const float (&sums)[4][4][4], const Tile& t, const float* bias, T* y, int64_t stride) {
    const int g = lane() / 4, k = lane() % 4;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = t.first_row + warp_row() + 16 * i + 8 * half + g;
            if (row >= t.rows) continue;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int column = t.first_column + warp_column() + 8 * j + 2 * k;
                const bool both = column + 1 < t.columns;
                if (column >= t.columns) continue;
                const float low = sums[i][j][2 * half] + (bias ? bias[column] : 0);
                const float high = sums[i][j][2 * half + 1] + (bias && both ? bias[column + 1] : 0);
                T* to = y + int64_t(row) * stride + column;
                if (both && stride % 2 == 0) {
                    *reinterpret_cast<uint32_t*>(to) = T::pair(low, high);
                } else {
                    to[0] = T::of(low);
                    if (both) to[1] = T::of(high);
                }
            }
        }
}

// Where a block's tile lies: eight rows of tiles are walked column by column, so that what is read of W and x stays in the
// second cache.
DEVICE Tile tile_of(int64_t rows, int64_t columns, const void* x, int64_t stride, int64_t inner) {
    constexpr int64_t BAND = 8;
    const int64_t down = ceil_div(rows, TILE_ROWS), across = ceil_div(columns, TILE_COLUMNS);
    const int64_t band = block() / (BAND * across), first = band * BAND;
    const int64_t height = down - first < BAND ? down - first : BAND, within = block() - first * across;
    return {x, stride, int(rows), int(inner), int(columns), int(first + within % height) * TILE_ROWS,
            int(within / height) * TILE_COLUMNS};
}

inline Grid grid_of(int64_t rows, int64_t columns) { return {ceil_div(rows, TILE_ROWS) * ceil_div(columns, TILE_COLUMNS)}; }

}  // namespace loralab
