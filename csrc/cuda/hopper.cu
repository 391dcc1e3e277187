// y = x · Wᵀ or x · W on Hopper: 256 × 128 of y a block, W unpacked by four warps while eight others multiply.
//
// * Only products that a warpgroup starts and later waits for (wgmma) reach the chip's rate; both operands lie in the
//   block's memory, rows of 128 bytes along the contraction.
// * x comes as boxes by the copy unit (TMA), which also fills in the zeros beyond its edges. One thread asks for them.
// * The unpackers write W's tile themselves: 64 weights a thread and step, some five instructions each, shared by 256 rows
//   of x: a third of the time that the tensor cores take. Of x · W a thread takes eight rows of W by eight columns and
//   writes every column's eight numbers as one piece: turned for nothing.
// * Four stages between them, each with two barriers: full (x's bytes have come and every unpacker is done) and empty (both
//   groups of multipliers are done with it). Nobody waits for the whole block.
// * What is added of low rank is a few steps more of the same pipeline.
#include "hopper.cuh"
#include "kernels.h"
#include "numbers.cuh"

namespace loralab {

using cuda::Addend;

namespace {

constexpr int ROWS = 256, COLUMNS = 128, DEPTH = 64, STAGES = 4, GROUP = 128, THREADS = 3 * GROUP;
constexpr int X_BYTES = ROWS * DEPTH * 2, W_BYTES = COLUMNS * DEPTH * 2;

struct Memory {
    alignas(1024) uint8_t x[STAGES][X_BYTES];
    alignas(1024) uint8_t w[STAGES][W_BYTES];
    Barrier full[STAGES], empty[STAGES];
    float table[16];
};

// Of a 16-byte piece of a row of 128 bytes, as copy_box and matrix_at have them.
DEVICE int place(int row, int piece) { return row * 128 + (piece ^ (row & 7)) * 16; }

struct Position {
    int first_row, first_column, steps, all_steps;  // along the contraction; with those of what is added
};

DEVICE Position position_of(const Product& p, int64_t extra) {
    constexpr int64_t BAND = 8;
    const int64_t down = ceil_div(p.rows, ROWS), across = ceil_div(p.columns(), COLUMNS);
    const int64_t first = block() / (BAND * across) * BAND, within = block() - first * across;
    const int64_t height = down - first < BAND ? down - first : BAND;
    const int steps = int(ceil_div(p.inner(), DEPTH));
    return {int(first + within % height) * ROWS, int(within / height) * COLUMNS, steps, steps + int(ceil_div(extra, DEPTH))};
}

// Which stage, and how often all of them have been used.
struct Turn {
    int stage = 0, parity = 0;
    DEVICE void next() {
        if (++stage == STAGES) stage = 0, parity ^= 1;
    }
};

template <class T>
DEVICE uint4 four_pairs(const float (&v)[8]) {
    return {T::pair(v[0], v[1]), T::pair(v[2], v[3]), T::pair(v[4], v[5]), T::pair(v[6], v[7])};
}

DEVICE int nibble(uint32_t codes, int i) { return codes >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15; }

// A row of W a thread: 64 of its weights.
template <class T>
DEVICE void unpack_row(const Weight& w, const float* table, int first, int from, uint8_t* to) {
    const int own = thread(), row = first + own;
    uint32_t codes[8] = {};
    float scale[2] = {0, 0}, zero[2] = {0, 0};
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int column = from + 32 * half;
        if (row >= w.out || column >= w.groups() * w.group) continue;
        const uint4 four = load(reinterpret_cast<const uint4*>(w.codes + row * w.row_bytes() + column / 2));
        codes[4 * half] = four.x, codes[4 * half + 1] = four.y, codes[4 * half + 2] = four.z, codes[4 * half + 3] = four.w;
        scale[half] = w.scale(row, column / w.group), zero[half] = w.zero(row, column / w.group);
    }
#pragma unroll
    for (int piece = 0; piece < 8; piece++) {
        float v[8];
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] = times(table[nibble(codes[piece], i)] - zero[piece / 4], scale[piece / 4]);
        *reinterpret_cast<uint4*>(to + place(own, piece)) = four_pairs<T>(v);
    }
}

// Eight rows of W by eight columns a thread; lanes next to one another have other rows, so that they write whole lines.
template <class T>
DEVICE void unpack_turned(const Weight& w, const float* table, int first, int from, uint8_t* to) {
    const int piece = thread() % 8, part = thread() / 8, column = first + 8 * part;
    uint32_t codes[8];
    float scale[8], zero[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = from + 8 * piece + i;
        codes[i] = 0, scale[i] = 0, zero[i] = 0;
        if (row >= w.out || column >= w.groups() * w.group) continue;
        codes[i] = load(reinterpret_cast<const uint32_t*>(w.codes + row * w.row_bytes() + column / 2));
        scale[i] = w.scale(row, column / w.group), zero[i] = w.zero(row, column / w.group);
    }
#pragma unroll
    for (int c = 0; c < 8; c++) {
        float v[8];
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] = times(table[nibble(codes[i], c)] - zero[i], scale[i]);
        *reinterpret_cast<uint4*>(to + place(8 * part + c, piece)) = four_pairs<T>(v);
    }
}

// 64 columns of right [columns, extra], a row a thread.
DEVICE void copy_right(const Addend& addend, int64_t columns, int first, int from, uint8_t* to) {
    const int own = thread();
    const uint16_t* row = static_cast<const uint16_t*>(addend.right) + int64_t(first + own) * addend.extra;
#pragma unroll 1
    for (int k = 0; k < DEPTH; k++) {
        const bool there = first + own < columns && from + k < addend.extra;
        reinterpret_cast<uint16_t*>(to + place(own, k / 8))[k % 8] = there ? row[from + k] : 0;
    }
}

// Four warps fill the stages.
template <class T, bool TURNED>
DEVICE void fill(Memory& m, const Product& p, const Addend& addend, const Position& at, const TensorMap& x, const TensorMap& left) {
    Turn turn;
    for (int step = 0; step < at.all_steps; step++, turn.next()) {
        const bool added = step >= at.steps;
        const int from = (added ? step - at.steps : step) * DEPTH;
        wait_for_phase(m.empty[turn.stage], turn.parity ^ 1);
        if (thread() == 0) {
            expect_bytes(m.full[turn.stage], X_BYTES);
            copy_box(m.x[turn.stage], added ? left : x, from, at.first_row, m.full[turn.stage]);
        }
        if (added) copy_right(addend, p.columns(), at.first_column, from, m.w[turn.stage]);
        else if (TURNED) unpack_turned<T>(p.weight, m.table, at.first_column, from, m.w[turn.stage]);
        else unpack_row<T>(p.weight, m.table, at.first_column, from, m.w[turn.stage]);
        fence_async();
        arrive(m.full[turn.stage]);
    }
}

// y's rows of a product [64, 128], rounded once.
template <class T>
DEVICE void store_rows(const float (&c)[64], const Product& p, const Addend& addend, int first_row, int first_column) {
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t row = first_row + warp() % 4 * 16 + 8 * half + g;
        if (row >= p.rows) continue;
#pragma unroll
        for (int j = 0; j < 16; j++) {
            const int64_t column = first_column + 8 * j + 2 * t;
            const bool both = column + 1 < p.columns();
            if (column >= p.columns()) continue;
            const float low = c[4 * j + 2 * half] + (addend.bias ? addend.bias[column] : 0);
            const float high = c[4 * j + 2 * half + 1] + (addend.bias && both ? addend.bias[column + 1] : 0);
            T* to = static_cast<T*>(p.y) + row * p.columns() + column;
            if (both && p.columns() % 2 == 0) {
                *reinterpret_cast<uint32_t*>(to) = T::pair(low, high);
            } else {
                to[0] = T::of(low);
                if (both) to[1] = T::of(high);
            }
        }
    }
}

template <class T>
DEVICE void start_product(float (&c)[64], uint64_t a, uint64_t b) {
    if (T::element == Element::bf16) start_product_bf16(c, a, b);
    else start_product_fp16(c, a, b);
}

// Two groups of four warps have 128 rows of y each.
template <class T>
DEVICE void multiply(Memory& m, const Product& p, const Addend& addend, const Position& at) {
    const int half = (thread() - GROUP) / GROUP, row = half * 128;
    float upper[64] = {}, lower[64] = {};
    Turn turn;
    int before = 0;
    for (int step = 0; step < at.all_steps; step++, turn.next()) {
        wait_for_phase(m.full[turn.stage], turn.parity);
        begin_products();
#pragma unroll
        for (int k = 0; k < DEPTH / 16; k++) {
            const uint64_t w = matrix_at(m.w[turn.stage] + 32 * k);
            start_product<T>(upper, matrix_at(m.x[turn.stage] + row * 128 + 32 * k), w);
            start_product<T>(lower, matrix_at(m.x[turn.stage] + (row + 64) * 128 + 32 * k), w);
        }
        end_products();
        wait_for_products<1>();  // those of the step before are done: its stage can be filled again
        if (step > 0 && thread() % GROUP == 0) arrive(m.empty[before]);
        before = turn.stage;
    }
    wait_for_products<0>();
    store_rows<T>(upper, p, addend, at.first_row + row, at.first_column);
    store_rows<T>(lower, p, addend, at.first_row + row + 64, at.first_column);
}

template <class T, bool TURNED>
KERNEL(THREADS, 1)
void hopper_tiles(Product p, Addend addend, GRID_CONSTANT TensorMap x, GRID_CONSTANT TensorMap left) {
    if constexpr (!HOPPER) return;
    Memory& m = block_memory<Memory>();
    if (thread() < 16) m.table[thread()] = p.weight.codebook[thread()];
    if (thread() == 0) {
        for (int i = 0; i < STAGES; i++) init_barrier(m.full[i], GROUP), init_barrier(m.empty[i], 2);
        fence_barriers();
    }
    wait_for_block();
    const Position at = position_of(p, addend.extra);
    if (thread() < GROUP) {
        give_registers<88>();
        fill<T, TURNED>(m, p, addend, at, x, left);
    } else {
        take_registers<208>();
        multiply<T>(m, p, addend, at);
    }
}

template <class T>
const char* start(const Product& p, const Addend& addend, Stream stream) {
    TensorMap x, left;
    const char* error = make_map(x, p.x, p.rows, p.inner(), p.stride, ROWS);
    if (!error && addend.extra) error = make_map(left, addend.left, p.rows, addend.extra, addend.extra, ROWS);
    if (!error && !addend.extra) left = x;  // never read
    if (error) return error;
    const Grid grid{ceil_div(p.rows, ROWS) * ceil_div(p.columns(), COLUMNS)};
    auto* kernel = p.transposed ? hopper_tiles<T, true> : hopper_tiles<T, false>;
    return launch(kernel, grid, THREADS, sizeof(Memory) + 1024, stream, p, addend, x, left);
}

}  // namespace

namespace cuda {

Error multiply_hopper(const Product& product, const Addend& addend, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return product.element == Element::bf16 ? start<Bf16>(product, addend, on) : start<Fp16>(product, addend, on);
}

}  // namespace cuda
}  // namespace loralab
