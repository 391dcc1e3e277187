// W4A8: y = x · Wᵀ or x · W by tensor cores for 8-bit integers, twice as fast as those for 16 bits.
//
// W's rows have one scale each, the largest magnitude their codes can stand for, so that a weight is its codebook's value
// times (group's scale / row's scale), rounded: one fused multiplication and addition of 1.5 · 2²³, whose lowest byte is
// the integer. For x · W the rows' scales belong to the contraction: they are multiplied into x before it is rounded.
#include "outliers.cuh"
#include "tile.cuh"

namespace loralab {

using cuda::Addend;

namespace {

constexpr float MAGIC = 12582912;

// Bytes of four integers, the first lowest.
DEVICE uint32_t four_bytes(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return (a & 255) | (b & 255) << 8 | (c & 255) << 16 | d << 24;
}

struct Rounding {
    float ratio, zero;  // of a group

    DEVICE static Rounding of(const Weight& w, int64_t row, int64_t g, const float* row_scales) {
        const float own = row_scales[row];
        return {own > 0 ? over(w.scale(row, g), own) : 0, w.zero(row, g)};
    }
    // The integer of the code in the lowest byte.
    DEVICE uint32_t operator()(uint32_t code, const float* table) const {
        return float_to_bits(fused(table[code & 15] - zero, ratio, MAGIC));
    }
};

// For x · Wᵀ: 32 weights of a row a thread.
struct Rows8 {
    static constexpr int SIZE = 1;
    static constexpr bool TURNED = false;
    struct Fetched {
        uint4 codes;
        Rounding round;
    };
    const Weight& w;
    int first;
    const float* scales;

    DEVICE Fetched fetch(int from) const {
        const int row = first + thread() / 2, column = from + thread() % 2 * 32;
        if (row >= w.out || column >= w.groups() * w.group) return {{0, 0, 0, 0}, {0, 0}};
        const uint4 codes = load(reinterpret_cast<const uint4*>(w.codes + row * w.row_bytes() + column / 2));
        return {codes, Rounding::of(w, row, column / w.group, scales)};
    }
    DEVICE static uint32_t four(uint32_t codes, const Rounding& round, const float* table) {
        return four_bytes(round(codes >> 4, table), round(codes, table), round(codes >> 12, table), round(codes >> 8, table));
    }
    DEVICE static uint4 sixteen(uint32_t low, uint32_t high, const Rounding& round, const float* table) {
        return {four(low, round, table), four(low >> 16, round, table), four(high, round, table), four(high >> 16, round, table)};
    }
    DEVICE void store(const Fetched& f, uint8_t* to, const float* table) const {
        const int row = thread() / 2, piece = thread() % 2 * 2;
        *reinterpret_cast<uint4*>(to + place(row, piece)) = sixteen(f.codes.x, f.codes.y, f.round, table);
        *reinterpret_cast<uint4*>(to + place(row, piece + 1)) = sixteen(f.codes.z, f.codes.w, f.round, table);
    }
};

// Eight words that lie side by side in different banks for the threads of a warp: word i of `words` goes to row 8 · part + i.
// Written in this order all threads would want the same bank at a time; each begins with another word. Registers cannot
// be indexed, so the words are turned in three steps.
DEVICE void store_turned(uint32_t (&words)[8], int part, int quad, uint8_t* to) {
#pragma unroll
    for (int by = 1; by < 8; by *= 2) {
        uint32_t turned[8];
#pragma unroll
        for (int i = 0; i < 8; i++) turned[i] = part & by ? words[(i + by) % 8] : words[i];
#pragma unroll
        for (int i = 0; i < 8; i++) words[i] = turned[i];
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = 8 * part + (i + part) % 8;
        *reinterpret_cast<uint32_t*>(to + place(row, quad / 4) + quad % 4 * 4) = words[i];
    }
}

// For x · W: four rows of W by eight columns a thread, turned on their way into the tile.
struct Columns8 {
    static constexpr int SIZE = 1;
    static constexpr bool TURNED = false;
    struct Fetched {
        uint32_t codes[4];
        Rounding round[4];
    };
    const Weight& w;
    int first;
    const float* scales;

    DEVICE Fetched fetch(int from) const {
        Fetched f;
        const int column = first + thread() % 16 * 8;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int row = from + thread() / 16 * 4 + i;
            f.codes[i] = 0, f.round[i] = {0, 0};
            if (row >= w.out || column >= w.groups() * w.group) continue;
            f.codes[i] = load(reinterpret_cast<const uint32_t*>(w.codes + row * w.row_bytes() + column / 2));
            f.round[i] = Rounding::of(w, row, column / w.group, scales);
        }
        return f;
    }
    DEVICE void store(const Fetched& f, uint8_t* to, const float* table) const {
        uint32_t words[8];
#pragma unroll
        for (int c = 0; c < 8; c++) {
            const int shift = c / 2 * 8 + (c % 2 ? 0 : 4);
            words[c] = four_bytes(f.round[0](f.codes[0] >> shift, table), f.round[1](f.codes[1] >> shift, table),
                                  f.round[2](f.codes[2] >> shift, table), f.round[3](f.codes[3] >> shift, table));
        }
        store_turned(words, thread() % 16, thread() / 16, to);
    }
};

// The same two of a weight that is 8-bit integers already.
struct RowsOfInt8 {
    static constexpr int SIZE = 1;
    static constexpr bool TURNED = false;
    struct Fetched {
        uint32_t words[8];
    };
    const Weight& w;
    int first;
    const float* scales;

    DEVICE Fetched fetch(int from) const {
        Fetched f;
        const int row = first + thread() / 2, column = from + thread() % 2 * 32;
        const uint8_t* codes = w.codes + int64_t(row) * w.in + column;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t byte[4];
#pragma unroll
            for (int b = 0; b < 4; b++) byte[b] = row < w.out && column + 4 * i + b < w.in ? codes[4 * i + b] : 0;
            f.words[i] = four_bytes(byte[0], byte[1], byte[2], byte[3]);
        }
        return f;
    }
    DEVICE void store(const Fetched& f, uint8_t* to, const float*) const {
        const int row = thread() / 2, piece = thread() % 2 * 2;
        *reinterpret_cast<uint4*>(to + place(row, piece)) = {f.words[0], f.words[1], f.words[2], f.words[3]};
        *reinterpret_cast<uint4*>(to + place(row, piece + 1)) = {f.words[4], f.words[5], f.words[6], f.words[7]};
    }
};

struct ColumnsOfInt8 {
    static constexpr int SIZE = 1;
    static constexpr bool TURNED = false;
    using Fetched = RowsOfInt8::Fetched;
    const Weight& w;
    int first;
    const float* scales;

    DEVICE Fetched fetch(int from) const {
        Fetched f;
        const int column = first + thread() % 16 * 8, row = from + thread() / 16 * 4;
#pragma unroll
        for (int c = 0; c < 8; c++) {
            uint32_t byte[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                byte[i] = row + i < w.out && column + c < w.in ? w.codes[int64_t(row + i) * w.in + column + c] : 0;
            f.words[c] = four_bytes(byte[0], byte[1], byte[2], byte[3]);
        }
        return f;
    }
    DEVICE void store(Fetched f, uint8_t* to, const float*) const { store_turned(f.words, thread() % 16, thread() / 16, to); }
};

// sums = integers · scale of x's row · scale of W's row (the latter is in x already where it was transposed)
DEVICE void scale_tile(float (&sums)[4][4][4], const int (&integers)[4][4][4], const Tile& t, const Product& p, const Scratch8& s) {
    const int g = lane() / 4, k = lane() % 4;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int row = t.first_row + warp_row() + 16 * i + e / 2 * 8 + g;
                const int column = t.first_column + warp_column() + 8 * j + 2 * k + e % 2;
                const float of_x = row < t.rows ? s.x_scales[row] : 0;
                const float of_w = p.transposed ? 1 : column < t.columns ? s.weight_scales[column] : 0;
                sums[i][j][e] = float(integers[i][j][e]) * (of_x * of_w);
            }
}

template <class T, class Weights>
KERNEL(TILE_THREADS, TILE_BLOCKS) void tiles8(Product p, Addend addend, Scratch8 s) {
    auto& memory = block_memory<TileMemory>();
    if (thread() < 16 && !p.weight.is_int8()) memory.table[thread()] = p.weight.codebook[thread()];
    wait_for_block();
    const Tile tile = tile_of(p, s.x, s.stride, s.stride);
    int integers[4][4][4] = {};
    multiply_all(integers, memory, tile, Weights{p.weight, tile.first_column, s.weight_scales}, multiply_int8);
    float sums[4][4][4];
    scale_tile(sums, integers, tile, p, s);
    const T *left = static_cast<const T*>(addend.left), *right = static_cast<const T*>(addend.right);
    add_low_rank(sums, memory, tile, left, right, int(addend.extra));
    store_tile(sums, tile, addend.bias, static_cast<T*>(p.y));
}

template <class T>
const char* find_and_widen(const Product& p, Addend& addend, const Scratch8& s, Stream stream) {
    const T* x = static_cast<const T*>(p.x);
    const Grid columns{ceil_div(p.inner(), ROW_THREADS), ceil_div(p.rows, 64)};
    T *left = static_cast<T*>(s.left), *right = static_cast<T*>(s.right);
    const T *given_left = static_cast<const T*>(addend.left), *given_right = static_cast<const T*>(addend.right);
    const int64_t extra = addend.extra, width = extra + OUTLIERS;
    const Grid lefts{ceil_div(p.rows * width, ROW_THREADS)}, rights{ceil_div(p.weight.out * width, ROW_THREADS)};
    const char* error = launch(column_sizes<T>, columns, ROW_THREADS, 0, stream, x, p.rows, p.stride, p.inner(), s.sizes);
    if (!error) error = launch(find_outliers, {1}, SEARCH_THREADS, sizeof(Search), stream, s.sizes, p.inner(), s.outliers);
    if (!error) error = launch(widen_left<T>, lefts, ROW_THREADS, 0, stream, p, given_left, extra, s.outliers, left);
    if (!error) error = launch(widen_right<T>, rights, ROW_THREADS, 0, stream, p.weight, given_right, extra, s.outliers, right);
    addend.left = left, addend.right = right, addend.extra = width;
    return error;
}

template <class T>
const char* start(const Product& p, Addend addend, const Scratch8& s, Stream stream) {
    const Grid weights{ceil_div(p.weight.out, ROW_THREADS / 32)};
    const char* error = launch(find_weight_scales, weights, ROW_THREADS, 0, stream, p.weight, s.weight_scales);
    if (!error && !p.transposed) error = find_and_widen<T>(p, addend, s, stream);
    const T* x = static_cast<const T*>(p.x);
    if (!error)
        error = launch(round_rows<T>, {p.rows}, ROW_THREADS, sizeof(RowMemory), stream, x, p.stride, p.inner(), p.transposed, s);
    if (error) return error;
    auto* kernel = p.weight.is_int8() ? (p.transposed ? tiles8<T, ColumnsOfInt8> : tiles8<T, RowsOfInt8>)
                                      : (p.transposed ? tiles8<T, Columns8> : tiles8<T, Rows8>);
    return launch(kernel, grid_of(p), TILE_THREADS, sizeof(TileMemory), stream, p, addend, s);
}

}  // namespace

namespace cuda {

Error multiply_int8(const Product& product, const Addend& addend, const Scratch8& scratch, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return product.element == Element::bf16 ? start<Bf16>(product, addend, scratch, on)
                                            : start<Fp16>(product, addend, scratch, on);
}

}  // namespace cuda
}  // namespace loralab
