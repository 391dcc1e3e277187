// RMSNorm and its gradient, a threadgroup a row: x is read twice, the second time from the cache. All in float32.
#include "reduce.metal"

struct NormNumbers {
    float eps, offset;  // offset: added to the gain
};

// y = x / rms(x) * (offset + gain); scale [rows]: 1 / rms. x may have rows `stride` elements apart.
template <typename T, typename G>
inline void rms_norm(device const T* x, device const G* gain, device T* y, device float* scale, int row, int width,
                     int stride, NormNumbers numbers, threadgroup float* partial, Place at) {
    device const T* from = x + (ulong)row * stride;
    float squares = 0.0f;
    for (int i = int(at.index); i < width; i += int(at.threads)) squares += float(from[i]) * float(from[i]);
    const float factor = precise::rsqrt(group_sum(squares, partial, at) / float(width) + numbers.eps);
    if (at.index == 0) scale[row] = factor;
    for (int i = int(at.index); i < width; i += int(at.threads))
        y[(ulong)row * width + i] = T(float(from[i]) * factor * (numbers.offset + float(gain[i])));
}

// With u = x * scale and du = dy * (offset + gain): dx = (du - u * mean(du * u)) * scale.
template <typename T, typename G>
inline void rms_norm_backward(device const T* dy, device const T* x, device const G* gain, device const float* scale,
                              device T* dx, int row, int width, int stride, NormNumbers numbers,
                              threadgroup float* partial, Place at) {
    device const T* of_dy = dy + (ulong)row * width;
    device const T* of_x = x + (ulong)row * stride;
    const float factor = scale[row];
    float products = 0.0f;
    for (int i = int(at.index); i < width; i += int(at.threads))
        products += float(of_dy[i]) * (numbers.offset + float(gain[i])) * (float(of_x[i]) * factor);
    const float mean = group_sum(products, partial, at) / float(width);
    for (int i = int(at.index); i < width; i += int(at.threads)) {
        const float du = float(of_dy[i]) * (numbers.offset + float(gain[i]));
        dx[(ulong)row * width + i] = T((du - float(of_x[i]) * factor * mean) * factor);
    }
}

struct NormShape {
    int width, stride;
};

#define NORM(T, G)                                                                                                   \
    kernel void rms_norm_##T##_##G(device const T* x [[buffer(0)]], device const G* gain [[buffer(1)]],              \
                                   device T* y [[buffer(2)]], device float* scale [[buffer(3)]],                     \
                                   constant NormShape& shape [[buffer(4)]], constant NormNumbers& numbers [[buffer(5)]], \
                                   PLACE) {                                                                          \
        threadgroup float partial[32];                                                                               \
        rms_norm(x, gain, y, scale, int(group.x), shape.width, shape.stride, numbers, partial, HERE);                \
    }                                                                                                                \
    kernel void rms_norm_backward_##T##_##G(device const T* dy [[buffer(0)]], device const T* x [[buffer(1)]],       \
                                            device const G* gain [[buffer(2)]], device const float* scale [[buffer(3)]], \
                                            device T* dx [[buffer(4)]], constant NormShape& shape [[buffer(5)]],     \
                                            constant NormNumbers& numbers [[buffer(6)]], PLACE) {                    \
        threadgroup float partial[32];                                                                               \
        rms_norm_backward(dy, x, gain, scale, dx, int(group.x), shape.width, shape.stride, numbers, partial, HERE);  \
    }
NORM(float, float)
NORM(half, half)
NORM(half, float)
NORM(bfloat, bfloat)
NORM(bfloat, float)
