// W4A8: y = x · Wᵀ or x · W in 8-bit integers or floats, which tensor cores multiply twice as fast as 16 bits.
//
// * W's rows have one scale each, the largest magnitude their codes can stand for: a weight is its codebook's value times
//   (group's scale / row's scale), rounded. A part of W is unpacked so into memory that stays in the second cache, turned
//   where the contraction runs down its columns: these tensor cores want both operands along it.
// * For x · W the scales of W's rows belong to the contraction: they are multiplied into x before it is rounded.
// * Integers are summed exactly; scales and the product of low rank join in float32, and y is rounded once.
#include "outliers.cuh"
#include "tile.cuh"

namespace loralab {

using cuda::Addend;
using cuda::Part;

namespace {

constexpr int UNPACK_THREADS = 256, SQUARE = 64;

struct Rounding {
    float ratio, zero;  // of a group

    DEVICE static Rounding of(const Weight& w, int64_t row, int64_t column, const float* row_scales) {
        const float own = row_scales[row];
        if (w.is_int8()) return {own > 0 ? over(w.row_scales[row], own) : 0, 0};
        return {own > 0 ? over(w.scale(row, column / w.group), own) : 0, w.zero(row, column / w.group)};
    }
};

struct UnpackMemory {
    float table[16];
    uint8_t square[SQUARE][SQUARE + 4];  // odd in words: columns lie in different banks
};

// Eight weights of a row from a multiple of eight on, as bytes; zeros beyond the row's end.
template <Form FORM>
DEVICE uint2 eight(const Weight& w, const float* table, int64_t row, int64_t column, const float* row_scales) {
    if (row >= w.out || column >= w.in) return {0, 0};
    const Rounding round = Rounding::of(w, row, column, row_scales);
    uint32_t words[2] = {0, 0};
    uint32_t codes = 0;
    if (!w.is_int8()) codes = load_once(reinterpret_cast<const uint32_t*>(w.codes + row * w.row_bytes() + column / 2));
#pragma unroll
    for (int i = 0; i < 8; i++) {
        float value = 0;
        if (column + i >= w.in) break;
        if (w.is_int8()) value = reinterpret_cast<const int8_t*>(w.codes)[row * w.in + column + i];
        else value = table[codes >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15] - round.zero;
        words[i / 4] |= uint32_t(Byte<FORM>::of(times(value, round.ratio))) << i % 4 * 8;
    }
    return {words[0], words[1]};
}

DEVICE void read_table(const Weight& w, UnpackMemory& memory) {
    if (thread() < 16 && !w.is_int8()) memory.table[thread()] = w.codebook[thread()];
    wait_for_block();
}

// Rows of the part, one after another.
template <Form FORM>
KERNEL(UNPACK_THREADS, 1) void unpack_rows(Weight w, Part part, const float* row_scales, uint8_t* dense) {
    UnpackMemory& memory = block_memory<UnpackMemory>();
    read_table(w, memory);
    const int64_t eights = cuda::padded8(w.in) / 8, at = block() * UNPACK_THREADS + thread();
    if (at >= part.rows() * eights) return;
    const int64_t row = part.first + at / eights, column = at % eights * 8;
    reinterpret_cast<uint2*>(dense)[at] = eight<FORM>(w, memory.table, row, column, row_scales);
}

// A square of 64 × 64: columns of the part become rows.
template <Form FORM>
KERNEL(UNPACK_THREADS, 1) void unpack_turned(Weight w, Part part, const float* row_scales, uint8_t* dense) {
    UnpackMemory& memory = block_memory<UnpackMemory>();
    read_table(w, memory);
    const int64_t first = block() * SQUARE, start = part.start + block_row() * SQUARE, width = cuda::padded8(w.out);
    for (int i = thread(); i < SQUARE * SQUARE / 8; i += UNPACK_THREADS) {
        const int row = i / 8, column = i % 8 * 8;
        const uint2 bytes = eight<FORM>(w, memory.table, first + row, start + column, row_scales);
        *reinterpret_cast<uint32_t*>(&memory.square[row][column]) = bytes.x;
        *reinterpret_cast<uint32_t*>(&memory.square[row][column + 4]) = bytes.y;
    }
    wait_for_block();
    for (int i = thread(); i < SQUARE * SQUARE / 4; i += UNPACK_THREADS) {
        const int column = i / 16, row = i % 16 * 4;
        if (start + column >= part.end) continue;
        uint32_t word = 0;
#pragma unroll
        for (int b = 0; b < 4; b++) word |= uint32_t(memory.square[row + b][column]) << 8 * b;
        *reinterpret_cast<uint32_t*>(dense + (start + column - part.start) * width + first + row) = word;
    }
}

// sums = integers · scale of x's row · scale of W's row (which x has taken with it where it was transposed). The scales
// come through the block's memory, where they are cheap to address.
DEVICE void scale_tile(float (&sums)[4][4][4], const int (&integers)[4][4][4], TileMemory& memory, const Tile& t,
                       const float* x_scales, const float* w_scales) {
    float *of_x = reinterpret_cast<float*>(memory.x[0]), *of_w = of_x + TILE_ROWS;
    if (thread() < TILE_ROWS) {
        const int row = t.first_row + thread();
        of_x[thread()] = row < t.rows ? x_scales[row] : 0;
    } else {
        const int column = t.first_column + thread() - TILE_ROWS;
        of_w[thread() - TILE_ROWS] = !w_scales ? 1 : column < t.columns ? w_scales[column] : 0;
    }
    wait_for_block();
    of_x += warp_row() + lane() / 4, of_w += warp_column() + 2 * (lane() % 4);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            forget_loads();
#pragma unroll
            for (int e = 0; e < 4; e++)
                sums[i][j][e] = float(integers[i][j][e]) * (of_x[16 * i + e / 2 * 8] * of_w[8 * j + e % 2]);
        }
    wait_for_block();
}

// Columns [0, columns) of y, whose rows are `stride` apart. w_scales: null where x has them.
template <class T>
KERNEL(TILE_THREADS, TILE_BLOCKS)
void integers(const uint8_t* x, const uint8_t* w, int64_t rows, int64_t columns, int64_t inner, const float* x_scales,
              const float* w_scales, Addend addend, T* y, int64_t stride) {
    auto& memory = block_memory<TileMemory>();
    const Tile tile = tile_of(rows, columns, x, inner, inner);
    const Tile other{w, inner, tile.columns, tile.inner, 0, tile.first_column, 0};
    int integers[4][4][4] = {};
    multiply_bytes(integers, memory, tile, other, multiply_int8);
    float sums[4][4][4];
    scale_tile(sums, integers, memory, tile, x_scales, w_scales);
    const T *left = static_cast<const T*>(addend.left), *right = static_cast<const T*>(addend.right);
    add_low_rank(sums, memory, tile, left, right, int(addend.extra));
    store_tile(sums, tile, addend.bias, y, stride);
}

template <class T>
const char* find_and_widen(const Product& p, const Addend& addend, const Rounded& s, Stream stream) {
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
    return error;
}

template <class T, Form FORM>
const char* round_x(const Product& p, const Addend& addend, const Rounded& s, Stream stream) {
    const Grid weights{ceil_div(p.weight.out, ROW_THREADS / 32)};
    const char* error = launch(find_weight_scales<FORM>, weights, ROW_THREADS, 0, stream, p.weight, s.weight_scales);
    if (!error && !p.transposed) error = find_and_widen<T>(p, addend, s, stream);
    const T* x = static_cast<const T*>(p.x);
    auto* kernel = round_rows<T, FORM>;
    return error ? error
                 : launch(kernel, {p.rows}, ROW_THREADS, sizeof(RowMemory), stream, x, p.stride, p.inner(), p.transposed, s);
}

template <class T>
const char* multiply(const Product& p, Addend addend, const Rounded& s, const uint8_t* dense, int64_t first, int64_t last,
                     Stream stream) {
    if (s.left) addend.left = s.left, addend.right = s.right, addend.extra += OUTLIERS;
    addend.right = static_cast<const T*>(addend.right) + first * addend.extra;
    if (addend.bias) addend.bias += first;
    const float* w_scales = p.transposed ? nullptr : s.weight_scales + first;
    return launch(integers<T>, grid_of(p.rows, last - first), TILE_THREADS, sizeof(TileMemory), stream, s.x, dense, p.rows,
                  last - first, cuda::padded8(p.inner()), s.x_scales, w_scales, addend, static_cast<T*>(p.y) + first, p.columns());
}

template <Form FORM>
const char* unpack(const Weight& w, const Part& part, bool turned, const float* scales, uint8_t* dense, Stream stream) {
    const Grid squares{cuda::padded8(w.out) / SQUARE, ceil_div(part.columns(), SQUARE)};
    const Grid rows{ceil_div(part.rows() * (cuda::padded8(w.in) / 8), UNPACK_THREADS)};
    auto* kernel = turned ? unpack_turned<FORM> : unpack_rows<FORM>;
    return launch(kernel, turned ? squares : rows, UNPACK_THREADS, sizeof(UnpackMemory), stream, w, part, scales, dense);
}

}  // namespace

namespace cuda {

Error round8(const Product& p, const Addend& addend, const Rounded& rounded, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    if (p.element == Element::bf16)
        return rounded.form == Form::int8 ? round_x<Bf16, Form::int8>(p, addend, rounded, on)
                                          : round_x<Bf16, Form::fp8>(p, addend, rounded, on);
    return rounded.form == Form::int8 ? round_x<Fp16, Form::int8>(p, addend, rounded, on)
                                      : round_x<Fp16, Form::fp8>(p, addend, rounded, on);
}

Error unpack8(const Weight& weight, const Part& part, bool turned, Form form, const float* weight_scales, uint8_t* dense,
              Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return form == Form::int8 ? unpack<Form::int8>(weight, part, turned, weight_scales, dense, on)
                              : unpack<Form::fp8>(weight, part, turned, weight_scales, dense, on);
}

Error multiply_int8(const Product& p, const Addend& addend, const Rounded& rounded, const uint8_t* dense, int64_t first,
                    int64_t last, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return p.element == Element::bf16 ? multiply<Bf16>(p, addend, rounded, dense, first, last, on)
                                      : multiply<Fp16>(p, addend, rounded, dense, first, last, on);
}

}  // namespace cuda
}  // namespace loralab
