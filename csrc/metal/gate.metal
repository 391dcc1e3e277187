// activation(gate) * up (arXiv:2002.05202) and its gradients, the activation computed again instead of kept. In float32.
#include <metal_stdlib>
using namespace metal;

struct Gate {
    int rows, width;
    int of_gate, of_up;  // elements between rows: gate and up may be halves of one tensor
    int activation;      // 0: silu, 1: gelu, 2: gelu_tanh, 3: relu
};

// Abramowitz & Stegun 7.1.26: off by at most 1.5e-7. Metal has no erf.
inline float erf_of(float x) {
    const float t = 1.0f / (1.0f + 0.3275911f * fabs(x));
    const float series = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
    const float positive = 1.0f - series * precise::exp(-x * x);
    return x < 0.0f ? -positive : positive;
}

struct Bend {
    float value, slope;
};

inline Bend bend(float x, int activation) {
    if (activation == 0) {
        const float s = 1.0f / (1.0f + precise::exp(-x));
        return {x * s, s * (1.0f + x * (1.0f - s))};
    }
    if (activation == 1) {
        const float below = 0.5f * (1.0f + erf_of(x * 0.70710678f));  // of a normal distribution
        return {x * below, below + x * 0.39894228f * precise::exp(-0.5f * x * x)};
    }
    if (activation == 2) {
        const float inner = 0.79788456f * (x + 0.044715f * x * x * x);
        const float t = precise::tanh(min(max(inner, -10.0f), 10.0f));  // 1 from there on; some GPUs overflow beyond
        return {0.5f * x * (1.0f + t),
                0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * 0.79788456f * (1.0f + 0.134145f * x * x)};
    }
    return {max(x, 0.0f), x > 0.0f ? 1.0f : 0.0f};
}

template <typename T>
inline void gated(device const T* gate, device const T* up, device T* y, Gate form, uint2 at) {
    const int i = int(at.x), row = int(at.y);
    if (i >= form.width || row >= form.rows) return;
    const float of_up = float(up[(ulong)row * form.of_up + i]);
    y[(ulong)row * form.width + i] = T(bend(float(gate[(ulong)row * form.of_gate + i]), form.activation).value * of_up);
}

template <typename T>
inline void gated_backward(device const T* dy, device const T* gate, device const T* up, device T* dgate, device T* dup,
                           Gate form, uint2 at) {
    const int i = int(at.x), row = int(at.y);
    if (i >= form.width || row >= form.rows) return;
    const ulong to = (ulong)row * form.width + i;
    const Bend bent = bend(float(gate[(ulong)row * form.of_gate + i]), form.activation);
    const float slope = float(dy[to]);
    dgate[to] = T(slope * float(up[(ulong)row * form.of_up + i]) * bent.slope);
    dup[to] = T(slope * bent.value);
}

#define GATE(T)                                                                                                     \
    kernel void gated_##T(device const T* gate [[buffer(0)]], device const T* up [[buffer(1)]],                     \
                          device T* y [[buffer(2)]], constant Gate& form [[buffer(3)]],                             \
                          uint2 at [[thread_position_in_grid]]) {                                                   \
        gated(gate, up, y, form, at);                                                                               \
    }                                                                                                               \
    kernel void gated_backward_##T(device const T* dy [[buffer(0)]], device const T* gate [[buffer(1)]],            \
                                   device const T* up [[buffer(2)]], device T* dgate [[buffer(3)]],                 \
                                   device T* dup [[buffer(4)]], constant Gate& form [[buffer(5)]],                  \
                                   uint2 at [[thread_position_in_grid]]) {                                          \
        gated_backward(dy, gate, up, dgate, dup, form, at);                                                         \
    }
GATE(float)
GATE(half)
GATE(bfloat)
