// Rotary positions (arXiv:2104.09864), two-halves layout: each pair (i, i + pairs) of a head turned by its position. The
// inverse turns back, which is also the gradient. In float32, rounded once.
#include <metal_stdlib>
using namespace metal;

struct Turn {
    int heads, time, width, pairs;  // of x [batch, time, heads, width]; dimensions beyond 2 * pairs stay
    int of_batch, of_time, of_head;  // strides of x in elements
    int angles_of_batch;             // stride of cos and sin [batch or 1, time, pairs]: 0 where all share them
    int inverse;
};

// y like x, contiguous; a thread for each pair and each dimension that stays.
template <typename T>
inline void rotary(device const T* x, device const float* cos, device const float* sin, device T* y, Turn turn, uint2 at) {
    const int i = int(at.x), row = int(at.y);
    if (i >= turn.width - turn.pairs) return;
    const int head = row % turn.heads, time = row / turn.heads % turn.time, batch = row / turn.heads / turn.time;
    device const T* from = x + (ulong)batch * turn.of_batch + (ulong)time * turn.of_time + (ulong)head * turn.of_head;
    device T* to = y + (ulong)row * turn.width;
    if (i >= turn.pairs) {
        to[i + turn.pairs] = from[i + turn.pairs];
        return;
    }
    const ulong angle = (ulong)batch * turn.angles_of_batch + (ulong)time * turn.pairs + i;
    const float c = cos[angle], s = turn.inverse ? -sin[angle] : sin[angle];
    const float left = float(from[i]), right = float(from[i + turn.pairs]);
    to[i] = T(left * c - right * s);
    to[i + turn.pairs] = T(right * c + left * s);
}

// Rows are a dimension of their own: in a model with one token there are as many groups as heads.
#define ROTARY(T)                                                                                                  \
    kernel void rotary_##T(device const T* x [[buffer(0)]], device const float* cos [[buffer(1)]],                 \
                           device const float* sin [[buffer(2)]], device T* y [[buffer(3)]],                       \
                           constant Turn& turn [[buffer(4)]], constant int& rows [[buffer(5)]],                    \
                           uint2 at [[thread_position_in_grid]]) {                                                 \
        if (int(at.y) < rows) rotary(x, cos, sin, y, turn, at);                                                    \
    }
ROTARY(float)
ROTARY(half)
ROTARY(bfloat)
