// Softmax cross-entropy of rows of logits, which become their gradient: a block a row.
//
// Largest logit and sum of exponentials are found together, in one walk (Milakov & Gimelshein, arXiv:1805.02867). A
// thread holds its first pieces in registers: up to 32,768 logits in 16 bits are read once, what is beyond a second time,
// from the second cache. A vocabulary that is no multiple of 16 bytes leaves a few numbers before the first and behind the
// last whole piece of a row; each is one thread's.
#include "kernels.h"
#include "pieces.cuh"

namespace loralab {

using cuda::SoftmaxLoss;

namespace {

constexpr int MOST = 1024, LEAST = 128;  // threads of a block
constexpr int HELD = 4;                  // pieces a thread holds, and has under way
constexpr float LOWEST = -3.402823466e38f;
constexpr int64_t IGNORED = -100;  // the label of a row that has no part in the loss

// total · exp(top) of what was seen.
struct Sum {
    float top = LOWEST, total = 0;

    DEVICE void raise(float to) {
        if (to > top) total *= exponential(top - to), top = to;
    }
    DEVICE void add(float value) {
        raise(value);
        total += exponential(value - top);
    }
    template <int N>
    DEVICE void add(const float (&value)[N]) {
        float largest = value[0];
#pragma unroll
        for (int i = 1; i < N; i++) largest = value[i] > largest ? value[i] : largest;
        raise(largest);
#pragma unroll
        for (int i = 0; i < N; i++) total += exponential(value[i] - top);
    }
    DEVICE void join(const Sum& other) {
        const float largest = other.top > top ? other.top : top;
        total = total * exponential(top - largest) + other.total * exponential(other.top - largest);
        top = largest;
    }
};

struct Sums {
    Sum of_warp[MOST / 32];
};

// Over the whole block, the same bits in every thread.
DEVICE Sum of_block(Sum own, Sums& sums) {
    for (int mask = 16; mask > 0; mask /= 2) own.join({from_lane_xor(own.top, mask), from_lane_xor(own.total, mask)});
    if (lane() == 0) sums.of_warp[warp()] = own;
    wait_for_block();
    own = lane() < threads() / 32 ? sums.of_warp[lane()] : Sum();
    for (int mask = 16; mask > 0; mask /= 2) own.join({from_lane_xor(own.top, mask), from_lane_xor(own.total, mask)});
    return own;
}

// A row: its pieces, and the numbers before and behind them.
template <class T>
struct Row {
    T* logits;
    int before, pieces, edges;

    DEVICE Row(T* logits, int64_t width) : logits(logits) {
        const int to_piece = int((16 - reinterpret_cast<uintptr_t>(logits) % 16) % 16 / sizeof(T));
        before = to_piece < width ? to_piece : int(width);
        pieces = int((width - before) / PIECE<T>);
        edges = int(width - int64_t(pieces) * PIECE<T>);
    }
    DEVICE int edge(int number) const { return number < before ? number : number + pieces * PIECE<T>; }
    DEVICE int column(int piece) const { return before + piece * PIECE<T>; }
    DEVICE uint4* piece(int number) const { return reinterpret_cast<uint4*>(logits + before) + number; }
};

template <class T>
KERNEL(MOST, 1) void softmax_rows(SoftmaxLoss l) {
    const Row<T> row(static_cast<T*>(l.logits) + block() * l.width, l.width);
    const int64_t label = l.labels[block()];
    const bool trained = label != IGNORED, known = label >= 0 && label < l.width;
    const float own = known ? row.logits[label].value() : bits_to_float(0x7fc00000);
    Sum sum;
    uint4 held[HELD];
    float value[PIECE<T>];
#pragma unroll
    for (int i = 0; i < HELD; i++)
        if (thread() + i * threads() < row.pieces) held[i] = load_changing(row.piece(thread() + i * threads()));
    if (thread() < row.edges) sum.add(row.logits[row.edge(thread())].value());
#pragma unroll
    for (int i = 0; i < HELD; i++)
        if (thread() + i * threads() < row.pieces) unpack<T>(held[i], value), sum.add(value);
#pragma unroll HELD
    for (int i = thread() + HELD * threads(); i < row.pieces; i += threads())
        unpack<T>(load_changing(row.piece(i)), value), sum.add(value);

    sum = of_block(sum, block_memory<Sums>());
    if (thread() == 0) l.losses[block()] = trained ? logarithm(sum.total) + (sum.top - own) : 0;
    const float factor = trained ? over(l.scale, sum.total) : 0;
    auto slope = [&](float logit, int column) {
        return exponential(logit - sum.top) * factor - (column == label ? l.scale : 0);
    };
    auto put = [&](const uint4& raw, int piece) {
        unpack<T>(raw, value);
#pragma unroll
        for (int j = 0; j < PIECE<T>; j++) value[j] = slope(value[j], row.column(piece) + j);
        *row.piece(piece) = packed<T>(value);
    };
    if (thread() < row.edges) {
        T& edge = row.logits[row.edge(thread())];
        edge = T::of(slope(edge.value(), row.edge(thread())));
    }
#pragma unroll
    for (int i = 0; i < HELD; i++)
        if (thread() + i * threads() < row.pieces) put(held[i], thread() + i * threads());
#pragma unroll HELD
    for (int i = thread() + HELD * threads(); i < row.pieces; i += threads()) put(load_changing(row.piece(i)), i);
}

struct Partial {
    float of_warp[MOST / 32];
};

KERNEL(MOST, 1) void add_up(const float* losses, int64_t count, float* loss) {
    auto& partial = block_memory<Partial>();
    float own = 0;
    for (int64_t i = thread(); i < count; i += MOST) own += losses[i];
    for (int mask = 16; mask > 0; mask /= 2) own += from_lane_xor(own, mask);
    if (lane() == 0) partial.of_warp[warp()] = own;
    wait_for_block();
    if (thread() > 0) return;
    float sum = 0;
    for (int i = 0; i < MOST / 32; i++) sum += partial.of_warp[i];
    *loss = sum;
}

template <class T>
const char* start(const SoftmaxLoss& l, Stream stream) {
    int threads = LEAST;
    while (threads < MOST && threads * HELD * PIECE<T> < l.width) threads *= 2;
    if (const char* error = launch(softmax_rows<T>, {l.rows}, threads, sizeof(Sums), stream, l)) return error;
    return launch(add_up, {1}, MOST, sizeof(Partial), stream, l.losses, l.rows, l.loss);
}

}  // namespace

namespace cuda {

Error softmax_loss(const SoftmaxLoss& loss, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return with_type(loss.element, [&](auto type) { return start<decltype(type)>(loss, on); });
}

}  // namespace cuda
}  // namespace loralab
