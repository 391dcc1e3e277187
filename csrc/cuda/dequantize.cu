// A quantised matrix made dense, at the speed of the memory: a quarter of the traffic is read, the rest is written.
//
// A thread turns four bytes of codes into eight numbers that lie side by side, so that a warp reads one line and writes
// whole lines. Sixteen values fit sixteen banks: looking up never conflicts.
#include "kernels.h"
#include "numbers.cuh"

namespace loralab {

using cuda::Part;

namespace {

constexpr int THREADS = 256, WORDS = 4;  // words of codes a thread has under way

template <class T>
DEVICE void put(T* to, const float (&values)[8]) {
    *reinterpret_cast<uint4*>(to) = {T::pair(values[0], values[1]), T::pair(values[2], values[3]),
                                     T::pair(values[4], values[5]), T::pair(values[6], values[7])};
}
template <>
DEVICE void put<Fp32>(Fp32* to, const float (&values)[8]) {
    reinterpret_cast<float4*>(to)[0] = {values[0], values[1], values[2], values[3]};
    reinterpret_cast<float4*>(to)[1] = {values[4], values[5], values[6], values[7]};
}

struct Table {
    float entry[16];
};

// Eight weights from `column` on; `to` is where the first of them goes.
template <class T>
DEVICE void spread(const Weight& w, const Part& part, const Table& table, int64_t row, int64_t column, uint32_t codes, T* to) {
    const int64_t g = column / w.group;
    const float scale = w.scale(row, g), zero = w.zero(row, g);
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int code = codes >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15;
        values[i] = times(table.entry[code] - zero, scale);
    }
    if (column + 8 <= part.end && part.columns() % 8 == 0) return put(to, values);
#pragma unroll
    for (int i = 0; i < 8; i++)
        if (column + i < part.end) to[i] = T::of(values[i]);
}

template <class T>
KERNEL(THREADS, 1) void four_bits(Weight w, Part part, T* dense) {
    Table& table = block_memory<Table>();
    if (thread() < 16) table.entry[thread()] = w.codebook[thread()];
    wait_for_block();
    const int64_t words = ceil_div(part.columns(), 8), count = part.rows() * words;
    const int64_t start = block() * (THREADS * WORDS) + thread();
    uint32_t own[WORDS] = {};
    int64_t row[WORDS], column[WORDS];
#pragma unroll
    for (int i = 0; i < WORDS; i++) {
        const int64_t at = start + i * THREADS;
        row[i] = part.first + at / words, column[i] = part.start + at % words * 8;
        if (at < count) own[i] = load_once(reinterpret_cast<const uint32_t*>(w.codes + row[i] * w.row_bytes() + column[i] / 2));
    }
#pragma unroll
    for (int i = 0; i < WORDS; i++)
        if (start + i * THREADS < count) spread(w, part, table, row[i], column[i], own[i], dense + part.place(row[i], column[i]));
}

template <class T>
KERNEL(THREADS, 1) void eight_bits(Weight w, Part part, T* dense) {
    const int8_t* codes = reinterpret_cast<const int8_t*>(w.codes);
    for (int64_t i = block() * THREADS + thread(); i < part.rows() * part.columns(); i += blocks() * THREADS) {
        const int64_t row = part.first + i / part.columns(), column = part.start + i % part.columns();
        dense[i] = T::of(times(codes[row * w.in + column], w.row_scales[row]));
    }
}

template <class T>
const char* start(const Weight& w, const Part& part, void* dense, Stream stream) {
    T* to = static_cast<T*>(dense);
    const int64_t words = part.rows() * ceil_div(part.columns(), 8), grid = ceil_div(words, THREADS * WORDS);
    if (w.is_int8()) return launch(eight_bits<T>, {grid}, THREADS, 0, stream, w, part, to);
    return launch(four_bits<T>, {grid}, THREADS, sizeof(Table), stream, w, part, to);
}

}  // namespace

namespace cuda {

Error dequantize(const Weight& weight, const Part& part, Element element, void* dense, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    switch (element) {
        case Element::bf16: return start<Bf16>(weight, part, dense, on);
        case Element::fp16: return start<Fp16>(weight, part, dense, on);
        default: return start<Fp32>(weight, part, dense, on);
    }
}

}  // namespace cuda
}  // namespace loralab
