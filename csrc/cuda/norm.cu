// RMSNorm and its gradient, each row read once: as many threads as it takes hold it in registers meanwhile.
//
// A row of a head (64 or 128 numbers) is four threads' or eight', so that a warp has several rows and every thread four
// loads under way; a row of the residual stream is one warp's or several. Sums go over a thread's own pieces, then over
// lanes, then over warps, always in the same order. Rows that are no pieces of 16 bytes, or too long to be held, are
// read number by number and twice.
#include "kernels.h"
#include "pieces.cuh"

namespace loralab {

using cuda::Norm;

namespace {

constexpr int THREADS = 256, MOST = 512;  // in a block: usually, and for one long row
constexpr int HELD = 4;                   // pieces a thread holds

struct Partial {
    float of_warp[MOST / 32];
};

// The sum over `lanes` neighbouring threads, a power of two, known to all of them. All threads of the block come here.
DEVICE float sum_over(float own, int lanes, Partial& partial) {
    for (int mask = (lanes < 32 ? lanes : 32) / 2; mask > 0; mask /= 2) own += from_lane_xor(own, mask);
    if (lanes <= 32) return own;
    if (lane() == 0) partial.of_warp[warp()] = own;
    wait_for_block();
    const int first = thread() / lanes * (lanes / 32);
    float sum = 0;
    for (int i = 0; i < lanes / 32; i++) sum += partial.of_warp[first + i];
    return sum;
}

// What a thread holds of a row: pieces own, own + lanes, …
template <class T>
struct Held {
    uint4 piece[HELD];

    DEVICE void load(const void* data, int64_t place, int own, int lanes, int pieces) {
        const uint4* from = reinterpret_cast<const uint4*>(static_cast<const T*>(data) + place);
#pragma unroll
        for (int i = 0; i < HELD; i++) {
            piece[i] = {};
            if (own + i * lanes < pieces) piece[i] = load_once(from + own + i * lanes);
        }
    }
};

template <class T, class Gain>
KERNEL(MOST, 2) void norm_rows(Norm n, int lanes) {
    const int64_t row = block() * (threads() / lanes) + thread() / lanes;
    const int own = thread() % lanes, pieces = row < n.rows ? int(n.width / PIECE<T>) : 0;
    Held<T> x;
    x.load(n.x.data, pieces ? n.x.place(uint32_t(row)) : 0, own, lanes, pieces);
    float squares = 0, value[PIECE<T>];
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        unpack<T>(x.piece[i], value);
#pragma unroll
        for (int j = 0; j < PIECE<T>; j++) squares += value[j] * value[j];
    }
    const float scale = reciprocal_root(sum_over(squares, lanes, block_memory<Partial>()) / n.width + n.eps);
    if (pieces && own == 0) n.scale[row] = scale;
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        const int at = (own + i * lanes) * PIECE<T>;
        if (own + i * lanes >= pieces) break;
        float gain[PIECE<T>];
        load_shared(static_cast<const Gain*>(n.gain) + at, gain);
        unpack<T>(x.piece[i], value);
#pragma unroll
        for (int j = 0; j < PIECE<T>; j++) value[j] *= scale * (n.offset + gain[j]);
        store(static_cast<T*>(n.to) + row * n.width + at, value);
    }
}

// With u = x · scale and du = dy · (offset + gain): dx = scale · (du − u · mean(du · u)).
template <class T, class Gain>
KERNEL(MOST, 2) void norm_rows_backward(Norm n, int lanes) {
    const int64_t row = block() * (threads() / lanes) + thread() / lanes;
    const int own = thread() % lanes, pieces = row < n.rows ? int(n.width / PIECE<T>) : 0;
    Held<T> x, dy;
    x.load(n.x.data, pieces ? n.x.place(uint32_t(row)) : 0, own, lanes, pieces);
    dy.load(n.dy.data, pieces ? n.dy.place(uint32_t(row)) : 0, own, lanes, pieces);
    const float scale = pieces ? n.scale[row] : 0;
    float products = 0, value[PIECE<T>], slope[PIECE<T>], gain[PIECE<T>];
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        if (own + i * lanes >= pieces) break;
        load_shared(static_cast<const Gain*>(n.gain) + (own + i * lanes) * PIECE<T>, gain);
        unpack<T>(x.piece[i], value), unpack<T>(dy.piece[i], slope);
#pragma unroll
        for (int j = 0; j < PIECE<T>; j++) products += slope[j] * (n.offset + gain[j]) * value[j];
    }
    const float mean = sum_over(products, lanes, block_memory<Partial>()) / n.width * scale * scale;
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        const int at = (own + i * lanes) * PIECE<T>;
        if (own + i * lanes >= pieces) break;
        load_shared(static_cast<const Gain*>(n.gain) + at, gain);
        unpack<T>(x.piece[i], value), unpack<T>(dy.piece[i], slope);
#pragma unroll
        for (int j = 0; j < PIECE<T>; j++) value[j] = scale * (slope[j] * (n.offset + gain[j]) - value[j] * mean);
        store(static_cast<T*>(n.to) + row * n.width + at, value);
    }
}

// Any row: a block's, number by number.
template <class T, class Gain>
KERNEL(THREADS, 1) void norm_any(Norm n, bool backward) {
    const int64_t row = block();
    const T* x = static_cast<const T*>(n.x.data) + n.x.place(uint32_t(row));
    const T* dy = backward ? static_cast<const T*>(n.dy.data) + n.dy.place(uint32_t(row)) : x;
    const Gain* gain = static_cast<const Gain*>(n.gain);
    T* to = static_cast<T*>(n.to) + row * n.width;
    float own = 0;
    for (int64_t i = thread(); i < n.width; i += THREADS)
        own += x[i].value() * dy[i].value() * (backward ? n.offset + gain[i].value() : 1);
    const float mean = sum_over(own, THREADS, block_memory<Partial>()) / n.width;
    const float scale = backward ? n.scale[row] : reciprocal_root(mean + n.eps);
    if (!backward && thread() == 0) n.scale[row] = scale;
    for (int64_t i = thread(); i < n.width; i += THREADS) {
        const float whole = n.offset + gain[i].value(), value = x[i].value();
        to[i] = T::of(backward ? scale * (dy[i].value() * whole - value * (mean * scale * scale)) : value * (scale * whole));
    }
}

template <class T>
bool in_rows(const cuda::Rows& rows) {
    return in_pieces<T>(rows.data, rows.stride) && in_pieces<T>(rows.data, rows.outer_stride);
}

template <class T, class Gain>
const char* start(const Norm& n, bool backward, Stream stream) {
    const int64_t pieces = n.width / PIECE<T>;
    const bool held = n.width % PIECE<T> == 0 && pieces <= MOST * HELD && in_rows<T>(n.x) && in_pieces<T>(n.gain) &&
                      (!backward || in_rows<T>(n.dy));
    if (!held) return launch(norm_any<T, Gain>, {n.rows}, THREADS, sizeof(Partial), stream, n, backward);
    int lanes = 1;
    while (lanes * HELD < pieces) lanes *= 2;
    const int threads = lanes < THREADS ? THREADS : lanes;
    const Grid grid{ceil_div(n.rows, threads / lanes)};
    return launch(backward ? norm_rows_backward<T, Gain> : norm_rows<T, Gain>, grid, threads, sizeof(Partial), stream, n, lanes);
}

const char* with_types(const Norm& n, bool backward, Stream stream) {
    return with_type(n.element, [&](auto type) {
        using T = decltype(type);
        return n.gain_element == n.element ? start<T, T>(n, backward, stream) : start<T, Fp32>(n, backward, stream);
    });
}

}  // namespace

namespace cuda {

Error rms_norm(const Norm& norm, Stream stream) { return with_types(norm, false, static_cast<loralab::Stream>(stream)); }

Error rms_norm_backward(const Norm& norm, Stream stream) {
    return with_types(norm, true, static_cast<loralab::Stream>(stream));
}

}  // namespace cuda
}  // namespace loralab
