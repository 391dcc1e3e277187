// csrc/cuda/hopper.cuh on a CPU. Boxes come only while somebody waits, and products are made only when they are waited
// for: what is read or overwritten too early is wrong here too.
#pragma once
#include <functional>
#include <vector>

#include "emulated.h"

#define HOPPER 1
#define GRID_CONSTANT const

namespace loralab {

struct TensorMap {
    const uint16_t* base;
    int64_t rows, columns, stride;
    int box_rows;
};

struct alignas(8) Barrier {
    uint16_t expected : 15, phase : 1;
    int16_t pending;
    int32_t bytes;

    void check() {
        emulation::done();
        if (pending == 0 && bytes == 0) phase ^= 1, pending = int16_t(expected);
    }
};

// What is under way; a group's threads share the first, the second is each thread's own.
inline std::vector<std::function<void()>>& boxes() {
    static std::vector<std::function<void()>> all;
    return all;
}
struct Products {
    std::vector<std::vector<std::function<void()>>> batches{1};
};
inline Products& products() {
    static std::vector<Products> all;
    if (all.size() < 1024) all.resize(1024);
    return all[size_t(thread())];
}

inline void init_barrier(Barrier& barrier, int arrivals) {
    barrier.expected = uint16_t(arrivals), barrier.phase = 0, barrier.pending = int16_t(arrivals), barrier.bytes = 0;
}
inline void fence_barriers() {}
inline void fence_async() {}
inline void arrive(Barrier& barrier) { barrier.pending--, barrier.check(); }
inline void expect_bytes(Barrier& barrier, int bytes) { barrier.bytes += bytes; }
inline void wait_for_phase(Barrier& barrier, int parity) {
    while (barrier.phase == parity) {
        auto under_way = std::move(boxes());
        boxes().clear();
        for (auto& copy : under_way) copy();
        emulation::yield();
    }
}

inline void copy_box(void* to, const TensorMap& map, int column, int row, Barrier& barrier) {
    boxes().push_back([=, &barrier] {
        for (int r = 0; r < map.box_rows; r++)
            for (int c = 0; c < 64; c++) {
                const bool there = row + r < map.rows && column + c < map.columns;
                auto* piece = static_cast<uint16_t*>(to) + r * 64 + (c / 8 ^ (r & 7)) * 8;
                piece[c % 8] = there ? map.base[(row + r) * map.stride + column + c] : 0;
            }
        barrier.bytes -= map.box_rows * 128;
        barrier.check();
    });
}

inline uint32_t shared_address(const void* of) { return uint32_t(reinterpret_cast<uintptr_t>(of) & 0x3ffff); }

// Number (row, k) of the matrix that 64 bits describe: start, distance of eight rows, pieces exchanged by address bits.
inline uint16_t number_at(uint64_t matrix, int row, int k) {
    if (matrix >> 62 != 1) __builtin_trap();  // rows of 128 bytes
    const uintptr_t low = (matrix & 0x3fff) << 4, far = (matrix >> 32 & 0x3fff) << 4;
    const uintptr_t base = reinterpret_cast<uintptr_t>(emulation::shared());
    uintptr_t at = (base & ~uintptr_t(0x3ffff)) | low;
    if (at < base) at += 0x40000;
    at += row / 8 * far + row % 8 * 128 + k * 2;
    return *reinterpret_cast<const uint16_t*>(at ^ ((at >> 7 & 7) << 4));
}

template <class Decode>
void start_product_64x128(float (&c)[64], uint64_t a, uint64_t b, Decode decode) {
    const int first = warp() % 4 * 16 + lane() / 4, second = 2 * (lane() % 4);
    products().batches.back().push_back([&c, a, b, decode, first, second] {
        for (int e = 0; e < 64; e++) {
            const int row = first + e / 2 % 2 * 8, column = e / 4 * 8 + second + e % 2;
            for (int k = 0; k < 16; k++) c[e] += decode(number_at(a, row, k)) * decode(number_at(b, column, k));
        }
    });
}
inline void start_product_bf16(float (&c)[64], uint64_t a, uint64_t b) {
    start_product_64x128(c, a, b, [](uint16_t bits) { return bits_to_float(uint32_t(bits) << 16); });
}
inline void start_product_fp16(float (&c)[64], uint64_t a, uint64_t b) {
    start_product_64x128(c, a, b, fp16_to_float);
}
inline void begin_products() {}
inline void end_products() { products().batches.emplace_back(); }
template <int PENDING>
void wait_for_products() {
    auto& batches = products().batches;
    while (batches.size() - 1 > PENDING) {
        for (auto& product : batches.front()) product();
        batches.erase(batches.begin());
    }
}
template <int REGISTERS>
void take_registers() {}
template <int REGISTERS>
void give_registers() {}

inline const char* make_map(TensorMap& map, const void* base, int64_t rows, int64_t columns, int64_t stride, int box_rows) {
    if (reinterpret_cast<uintptr_t>(base) % 16 || stride * 2 % 16 || box_rows > 256) return "a tensor cannot be described";
    map = {static_cast<const uint16_t*>(base), rows, columns, stride, box_rows};
    return nullptr;
}

}  // namespace loralab
