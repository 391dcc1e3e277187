// y = x · Wᵀ or x · W for many rows of x in 16 bits: W is unpacked on its way into the tile (tile.cuh) and is nowhere
// dense. Weights are what dequantising gives, rounded once.
#include "tile.cuh"

namespace loralab {

using cuda::Addend;

namespace {

// Eight codes as numbers of 16 bits.
template <class T>
DEVICE uint4 unpacked(uint32_t codes, const float* table, float scale, float zero) {
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; i++) values[i] = times(table[codes >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15] - zero, scale);
    return {T::pair(values[0], values[1]), T::pair(values[2], values[3]), T::pair(values[4], values[5]),
            T::pair(values[6], values[7])};
}

// Sixteen weights of a row a thread, of one group.
struct Sixteen {
    uint2 codes;
    float scale, zero;
};

DEVICE Sixteen sixteen(const Weight& w, int row, int column) {
    Sixteen found{{0, 0}, 0, 0};
    if (column < w.groups() * w.group && row < w.out) {
        found.codes = load(reinterpret_cast<const uint2*>(w.codes + row * w.row_bytes() + column / 2));
        found.scale = w.scale(row, column / w.group), found.zero = w.zero(row, column / w.group);
    }
    return found;
}

// For x · Wᵀ: a row of the tile is a row of W.
template <class T>
struct Rows {
    static constexpr int SIZE = 2;
    static constexpr bool TURNED = false;
    using Fetched = Sixteen;
    const Weight& w;
    int first;

    DEVICE Fetched fetch(int from) const { return sixteen(w, first + thread() / 2, from + thread() % 2 * 16); }
    DEVICE void store(const Fetched& f, uint8_t* to, const float* table) const {
        const int row = thread() / 2, piece = thread() % 2 * 2;
        *reinterpret_cast<uint4*>(to + place(row, piece)) = unpacked<T>(f.codes.x, table, f.scale, f.zero);
        *reinterpret_cast<uint4*>(to + place(row, piece + 1)) = unpacked<T>(f.codes.y, table, f.scale, f.zero);
    }
};

// For x · W: a row of the tile is a part of a row of W, and is turned as it is loaded.
template <class T>
struct Columns {
    static constexpr int SIZE = 2;
    static constexpr bool TURNED = true;
    using Fetched = Sixteen;
    const Weight& w;
    int first;

    DEVICE Fetched fetch(int from) const { return sixteen(w, from + thread() / 8, first + thread() % 8 * 16); }
    DEVICE void store(const Fetched& f, uint8_t* to, const float* table) const {
        const int row = thread() / 8, piece = thread() % 8 * 2;
        *reinterpret_cast<uint4*>(to + place_wide(row, piece)) = unpacked<T>(f.codes.x, table, f.scale, f.zero);
        *reinterpret_cast<uint4*>(to + place_wide(row, piece + 1)) = unpacked<T>(f.codes.y, table, f.scale, f.zero);
    }
};

template <class T, template <class> class Weights>
KERNEL(TILE_THREADS, TILE_BLOCKS) void tiles(Product p, Addend addend) {
    auto& memory = block_memory<TileMemory>();
    if (thread() < 16) memory.table[thread()] = p.weight.codebook[thread()];
    wait_for_block();
    const Tile tile = tile_of(p.rows, p.columns(), p.x, p.stride, p.inner());
    float sums[4][4][4] = {};
    multiply_all(sums, memory, tile, Weights<T>{p.weight, tile.first_column}, T::multiply);
    const T *left = static_cast<const T*>(addend.left), *right = static_cast<const T*>(addend.right);
    add_low_rank(sums, memory, tile, left, right, int(addend.extra));
    store_tile(sums, tile, addend.bias, static_cast<T*>(p.y), p.columns());
}

template <class T>
const char* start(const Product& p, const Addend& addend, Stream stream) {
    return p.transposed ? launch(tiles<T, Columns>, grid_of(p.rows, p.columns()), TILE_THREADS, sizeof(TileMemory), stream, p, addend)
                        : launch(tiles<T, Rows>, grid_of(p.rows, p.columns()), TILE_THREADS, sizeof(TileMemory), stream, p, addend);
}

}  // namespace

namespace cuda {

Error multiply_tiles(const Product& product, const Addend& addend, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return product.element == Element::bf16 ? start<Bf16>(product, addend, on) : start<Fp16>(product, addend, on);
}

}  // namespace cuda
}  // namespace loralab
