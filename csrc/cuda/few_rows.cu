// y = x · Wᵀ for few rows of x: as fast as the codes can be read (decoding, small batches).
//
// * Tensor cores multiply even for one row: a warp takes 16 rows of W as the left matrix and up to 8 rows of x as the
//   right one. Unpacking, not multiplying, is what costs: on an H200 there are some three instructions for each weight.
// * A byte of codes is looked up whole: 256 pairs of values, and every lane has a copy of the table in a bank of its
//   own, so that 32 different bytes take one turn.
// * Which columns make up a step of the product is free, as long as W and x agree. Four lanes share a group of a row,
//   and each reads the next eighth of its bytes in one load; what they hold is a fragment as it is.
// * A group's scale is multiplied with its sums, 16 × 8 of them, not with its weights. Zero-points too: the sums of x
//   over a group are one more product, with a matrix of ones.
// * Warps share a row's groups and add their sums in a fixed order.
#include "kernels.h"
#include "numbers.cuh"

namespace loralab {
namespace {

constexpr int WARPS = 8, TILE = 16, COPIES = 32;
constexpr int AHEAD = 256;  // columns of W a warp reads before it needs them

template <int COLUMNS>
struct Memory {
    uint32_t pairs[256 * COPIES];
    float sums[WARPS][TILE][COLUMNS];
};

// How W is read, a part of two rows at a time: its GROUP columns are shared by four lanes, COUNT consecutive ones each.
// Codes of 4 bits: a part is a group, with its scale.
template <class T, int GROUP_>
struct Nibbles {
    static constexpr int GROUP = GROUP_, COUNT = GROUP / 4;
    union Held {
        typename Sized<GROUP / 8>::Type loaded;
        uint32_t word[GROUP / 32];
    };
    const Weight& w;
    const uint32_t* pairs;  // the lane's own column of the table

    DEVICE int64_t parts() const { return w.groups(); }
    DEVICE Held load(int64_t row, int64_t part) const {
        const auto* from = reinterpret_cast<const typename Sized<GROUP / 8>::Type*>(w.codes + row * w.row_bytes());
        Held held;
        held.loaded = load_once(from + part * 4 + lane() % 4);
        return held;
    }
    // Weights 2i and 2i + 1.
    DEVICE uint32_t pair(const Held& held, int i) const { return pairs[(held.word[i / 4] >> i % 4 * 8 & 255) * COPIES]; }
    DEVICE float scale(int64_t row, int64_t part) const { return w.scale(row, part); }
    DEVICE float zero(int64_t row, int64_t part) const { return w.zero(row, part); }
    DEVICE bool zeros() const { return w.zeros; }
};

// Integers of 8 bits, which 16 bits hold exactly; a row has one scale.
template <class T>
struct Bytes {
    static constexpr int GROUP = 64, COUNT = 16;
    struct Held {
        uint32_t word[4];
    };
    const Weight& w;
    const uint32_t* unused;

    DEVICE int64_t parts() const { return ceil_div(w.in, GROUP); }
    DEVICE Held load(int64_t row, int64_t part) const {
        const int64_t column = part * GROUP + lane() % 4 * COUNT;
        const uint8_t* from = w.codes + row * w.in + column;
        if (w.in % 16 == 0 && column < w.in) {
            const uint4 four = load_once(reinterpret_cast<const uint4*>(from));
            return {{four.x, four.y, four.z, four.w}};
        }
        Held held{};
        for (int i = 0; i < COUNT && column + i < w.in; i++) held.word[i / 4] |= uint32_t(from[i]) << i % 4 * 8;
        return held;
    }
    DEVICE uint32_t pair(const Held& held, int i) const {
        const uint32_t both = held.word[i / 2] >> i % 2 * 16;
        return T::pair(int8_t(both), int8_t(both >> 8));
    }
    DEVICE float scale(int64_t row, int64_t) const { return w.row_scales[row]; }
    DEVICE float zero(int64_t, int64_t) const { return 0; }
    DEVICE bool zeros() const { return false; }
};

// COUNT columns of a row of x, in pairs; `whole`: all of them are there, and 16 bytes can be read at a time.
template <int COUNT>
DEVICE void load_x(uint32_t (&pairs)[COUNT / 2], const Product& p, int64_t row, int64_t column, bool whole) {
    const uint16_t* x = static_cast<const uint16_t*>(p.x) + row * p.stride + column;
    if (row >= p.rows) {
#pragma unroll
        for (int i = 0; i < COUNT / 2; i++) pairs[i] = 0;
    } else if (whole) {
#pragma unroll
        for (int i = 0; i < COUNT / 8; i++) {
            const uint4 four = load(reinterpret_cast<const uint4*>(x) + i);
            pairs[4 * i] = four.x, pairs[4 * i + 1] = four.y, pairs[4 * i + 2] = four.z, pairs[4 * i + 3] = four.w;
        }
    } else {
#pragma unroll
        for (int i = 0; i < COUNT / 2; i++) {
            const uint32_t low = column + 2 * i < p.weight.in ? x[2 * i] : 0;
            const uint32_t high = column + 2 * i + 1 < p.weight.in ? x[2 * i + 1] : 0;
            pairs[i] = high << 16 | low;
        }
    }
}

// total += scale · (codes · x), for one part.
template <class T, class Codes>
DEVICE void add_part(float (&total)[4], const Codes& codes, const typename Codes::Held (&held)[2],
                     const uint32_t (&x)[Codes::COUNT / 2], const float (&scale)[2], const float (&zero)[2]) {
    float c[4] = {}, sum[4] = {};
    const uint32_t one = T::pair(1, 1), ones[4] = {one, one, one, one};
#pragma unroll
    for (int step = 0; step < Codes::GROUP / 16; step++) {
        uint32_t a[4];
#pragma unroll
        for (int i = 0; i < 4; i++) a[i] = codes.pair(held[i % 2], 2 * step + i / 2);
        const uint32_t b[2] = {x[2 * step], x[2 * step + 1]};
        T::multiply(c, a, b);
        if (codes.zeros()) T::multiply(sum, ones, b);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) total[i] += scale[i / 2] * (c[i] - zero[i / 2] * sum[i]);
}

template <class T, class Codes, int TILES>
DEVICE void multiply_tile(const Product& p, const Codes& codes, int64_t first, int64_t first_x, float (&total)[TILES][4]) {
    constexpr int PARTS = AHEAD / Codes::GROUP;
    const Weight& w = p.weight;
    const int g = lane() / 4, t = lane() % 4;
    const int64_t parts = codes.parts(), last = w.out - 1;
    const int64_t rows[2] = {first + g < last ? first + g : last, first + g + 8 < last ? first + g + 8 : last};
    const bool aligned = p.stride % 8 == 0 && reinterpret_cast<uintptr_t>(p.x) % 16 == 0;
    for (int64_t at = warp() * PARTS; at < parts; at += WARPS * PARTS) {
        typename Codes::Held held[PARTS][2];
#pragma unroll
        for (int u = 0; u < PARTS; u++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                if (at + u < parts) held[u][i] = codes.load(rows[i], at + u);
#pragma unroll
        for (int u = 0; u < PARTS; u++) {
            if (at + u >= parts) break;
            const float scale[2] = {codes.scale(rows[0], at + u), codes.scale(rows[1], at + u)};
            const float zero[2] = {codes.zero(rows[0], at + u), codes.zero(rows[1], at + u)};
            const int64_t column = (at + u) * Codes::GROUP + t * Codes::COUNT;
            const bool whole = aligned && (at + u + 1) * Codes::GROUP <= w.in;
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) {
                uint32_t x[Codes::COUNT / 2];
                load_x<Codes::COUNT>(x, p, first_x + 8 * tile + g, column, whole);
                add_part<T>(total[tile], codes, held[u], x, scale, zero);
            }
        }
    }
}

// The low-rank product and the bias of one element of y.
DEVICE float addend(const Product& p, int64_t row, int64_t column) {
    float sum = p.bias ? p.bias[column] : 0;
    for (int64_t r = 0; r < p.extra; r++) sum += p.left[row * p.extra + r] * p.right[column * p.extra + r];
    return sum;
}

// A block: 16 rows of W, 8 · TILES rows of x.
template <class T, class Codes, int TILES>
KERNEL(WARPS * 32, Codes::GROUP * TILES > 128 ? 1 : 2) void few_rows(Product p) {
    auto& memory = block_memory<Memory<8 * TILES>>();
    for (int i = thread(); i < (p.weight.is_int8() ? 0 : 256 * COPIES); i += WARPS * 32) {
        const int byte = i / COPIES;
        memory.pairs[i] = T::pair(p.weight.codebook[byte >> 4], p.weight.codebook[byte & 15]);
    }
    wait_for_block();
    const int64_t first = block() * TILE, first_x = block_row() * (8 * TILES);
    float total[TILES][4] = {};
    multiply_tile<T>(p, Codes{p.weight, memory.pairs + lane() % COPIES}, first, first_x, total);
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
        for (int i = 0; i < 4; i++) memory.sums[warp()][g + i / 2 * 8][8 * tile + 2 * t + i % 2] = total[tile][i];
    wait_for_block();
    for (int i = thread(); i < TILE * 8 * TILES; i += WARPS * 32) {
        const int64_t row = first_x + i / TILE, column = first + i % TILE;
        if (row >= p.rows || column >= p.weight.out) continue;
        float sum = 0;
#pragma unroll
        for (int each = 0; each < WARPS; each++) sum += memory.sums[each][i % TILE][i / TILE];
        static_cast<T*>(p.y)[row * p.weight.out + column] = T::of(sum + addend(p, row, column));
    }
}

template <class T, class Codes, int TILES>
const char* start(const Product& p, Stream stream) {
    const Grid grid{ceil_div(p.weight.out, TILE), ceil_div(p.rows, 8 * TILES)};
    return launch(few_rows<T, Codes, TILES>, grid, WARPS * 32, sizeof(Memory<8 * TILES>), stream, p);
}

// Groups of 64 are what a model is quantised in unless someone asks; the others compute 16 rows of x even for one.
template <class T>
const char* of_type(const Product& p, Stream stream) {
    const bool few = p.rows <= 8;
    if (p.weight.is_int8()) return few ? start<T, Bytes<T>, 1>(p, stream) : start<T, Bytes<T>, 2>(p, stream);
    switch (p.weight.group) {
        case 32: return start<T, Nibbles<T, 32>, 2>(p, stream);
        case 64: return few ? start<T, Nibbles<T, 64>, 1>(p, stream) : start<T, Nibbles<T, 64>, 2>(p, stream);
        default: return start<T, Nibbles<T, 128>, 2>(p, stream);
    }
}

}  // namespace

namespace cuda {

Error multiply_few(const Product& product, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return product.element == Element::bf16 ? of_type<Bf16>(product, on) : of_type<Fp16>(product, on);
}

}  // namespace cuda
}  // namespace loralab
