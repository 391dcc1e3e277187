// activation(gate) · up and its gradients. The activation is computed again in the backward pass: it is bound by memory
// either way. A thread has two pieces of each input under way.
#include "kernels.h"
#include "pieces.cuh"

namespace loralab {

using cuda::Activation;
using cuda::Gate;

namespace {

constexpr int THREADS = 256, AHEAD = 2;

struct Bent {
    float value, slope;
};

DEVICE float sigmoid(float x) { return quotient(1, 1 + exponential(-x)); }

template <Activation A>
DEVICE Bent bend(float x) {
    if constexpr (A == Activation::silu) {
        const float s = sigmoid(x);
        return {x * s, s * (1 + x * (1 - s))};
    } else if constexpr (A == Activation::gelu) {
        const float below = 0.5f + 0.5f * error_function(x * 0.70710678f);  // of a normal distribution
        return {x * below, below + x * 0.39894228f * exponential(-0.5f * x * x)};
    } else if constexpr (A == Activation::gelu_tanh) {  // (1 + tanh u) / 2 is the sigmoid of 2u
        const float twice = 1.59576912f * x * (1 + 0.044715f * x * x), s = sigmoid(twice);
        return {x * s, s + x * s * (1 - s) * (1.59576912f * (1 + 0.134145f * x * x))};
    } else {
        return {x < 0 ? 0 : x, x > 0 ? 1.f : 0.f};
    }
}

template <Activation A, class T, int N>
DEVICE void gate_piece(const Raw<T, N>& raw_gate, const Raw<T, N>& raw_up, T* y) {
    float gate[N], up[N];
    unpack<T>(raw_gate, gate), unpack<T>(raw_up, up);
#pragma unroll
    for (int i = 0; i < N; i++) gate[i] = bend<A>(gate[i]).value * up[i];
    store(y, gate);
}

template <Activation A, class T, int N>
DEVICE void gate_piece_backward(const Raw<T, N>& raw_gate, const Raw<T, N>& raw_up, const Raw<T, N>& raw_dy, T* dgate, T* dup) {
    float gate[N], up[N], dy[N];
    unpack<T>(raw_gate, gate), unpack<T>(raw_up, up), unpack<T>(raw_dy, dy);
#pragma unroll
    for (int i = 0; i < N; i++) {
        const Bent bent = bend<A>(gate[i]);
        gate[i] = dy[i] * up[i] * bent.slope;
        up[i] = dy[i] * bent.value;
    }
    store(dgate, gate), store(dup, up);
}

// Where this thread's pieces lie: rows and columns of those that exist.
template <int N>
struct Places {
    uint32_t row[AHEAD], column[AHEAD];
    bool real[AHEAD];

    DEVICE Places(uint32_t units, uint32_t count) {
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const uint32_t at = (uint32_t(block()) * AHEAD + i) * THREADS + thread();
            real[i] = at < count;
            row[i] = at / units, column[i] = at % units * N;
        }
    }
};

template <Activation A, class T, int N>
KERNEL(THREADS, 4) void gate_forward(Gate g, uint32_t units, uint32_t count) {
    const Places<N> at(units, count);
    Raw<T, N> gate[AHEAD], up[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        if (!at.real[i]) continue;
        gate[i] = load_raw<T, N>(static_cast<const T*>(g.gate) + at.row[i] * g.gate_stride + at.column[i]);
        up[i] = load_raw<T, N>(static_cast<const T*>(g.up) + at.row[i] * g.up_stride + at.column[i]);
    }
#pragma unroll
    for (int i = 0; i < AHEAD; i++)
        if (at.real[i]) gate_piece<A, T, N>(gate[i], up[i], static_cast<T*>(g.y) + at.row[i] * g.width + at.column[i]);
}

template <Activation A, class T, int N>
KERNEL(THREADS, 3) void gate_backward(Gate g, uint32_t units, uint32_t count) {
    const Places<N> at(units, count);
    Raw<T, N> gate[AHEAD], up[AHEAD], dy[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        if (!at.real[i]) continue;
        gate[i] = load_raw<T, N>(static_cast<const T*>(g.gate) + at.row[i] * g.gate_stride + at.column[i]);
        up[i] = load_raw<T, N>(static_cast<const T*>(g.up) + at.row[i] * g.up_stride + at.column[i]);
        dy[i] = load_raw<T, N>(static_cast<const T*>(g.dy) + at.row[i] * g.dy_stride + at.column[i]);
    }
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        if (!at.real[i]) continue;
        const int64_t to = at.row[i] * g.gradient_stride + at.column[i];
        gate_piece_backward<A, T, N>(gate[i], up[i], dy[i], static_cast<T*>(g.dgate) + to, static_cast<T*>(g.dup) + to);
    }
}

template <Activation A, class T, int N>
const char* start(const Gate& g, Stream stream) {
    const int64_t units = g.width / N, count = g.rows * units;
    const Grid grid{ceil_div(count, THREADS * AHEAD)};
    return launch(g.dy ? gate_backward<A, T, N> : gate_forward<A, T, N>, grid, THREADS, 0, stream, g, units, count);
}

template <class T, int N>
const char* with_activation(const Gate& g, Stream stream) {
    switch (g.activation) {
        case Activation::silu: return start<Activation::silu, T, N>(g, stream);
        case Activation::gelu: return start<Activation::gelu, T, N>(g, stream);
        case Activation::gelu_tanh: return start<Activation::gelu_tanh, T, N>(g, stream);
        default: return start<Activation::relu, T, N>(g, stream);
    }
}

template <class T>
const char* of_type(const Gate& g, Stream stream) {
    bool whole = g.width % PIECE<T> == 0 && in_pieces<T>(g.gate, g.gate_stride) && in_pieces<T>(g.up, g.up_stride);
    if (g.dy)
        whole = whole && in_pieces<T>(g.dy, g.dy_stride) && in_pieces<T>(g.dgate, g.gradient_stride) && in_pieces<T>(g.dup);
    return whole ? with_activation<T, PIECE<T>>(g, stream) : with_activation<T, 1>(g, stream);
}

}  // namespace

namespace cuda {

Error gated(const Gate& gate, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return with_type(gate.element, [&](auto type) { return of_type<decltype(type)>(gate, on); });
}

}  // namespace cuda
}  // namespace loralab
