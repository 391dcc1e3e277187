// Softmax cross-entropy over rows of logits, and its gradient in the logits' own memory; a threadgroup a row. Two walks
// through a row: one for the largest logit and the sum of exponentials beside it, one that writes.
#include "reduce.metal"

struct Loss {
    float scale;
};

constant int IGNORED = -100;  // the label of a row that has no part in the loss

// losses [rows]: -log softmax(logits)[label]; logits become scale * (softmax - one at the label).
template <typename T>
inline void softmax_loss(device T* logits, device const long* labels, device float* losses, int row, int width, float scale,
                         threadgroup float* partial, Place at) {
    device T* own = logits + (ulong)row * width;
    const int label = int(labels[row]);
    float top = -INFINITY, sum = 0.0f, at_label = 0.0f;
    for (int i = int(at.index); i < width; i += int(at.threads)) {
        const float logit = float(own[i]);
        if (logit > top) {
            sum = sum * precise::exp(top - logit) + 1.0f;
            top = logit;
        } else if (logit != -INFINITY) {  // of two infinities the difference would be NaN
            sum += precise::exp(logit - top);
        }
        if (i == label) at_label = logit;  // only this thread will overwrite it
    }
    const float most = group_max(top, partial, at);
    const float all = group_sum(sum > 0.0f ? sum * precise::exp(top - most) : 0.0f, partial, at);
    const float logit = group_sum(at_label, partial, at);
    if (at.index == 0) losses[row] = label == IGNORED ? 0.0f : precise::log(all) + most - logit;
    const float factor = label == IGNORED ? 0.0f : scale / all;
    for (int i = int(at.index); i < width; i += int(at.threads)) {
        const float weight = precise::exp(float(own[i]) - most) * factor;
        own[i] = T(i == label ? weight - scale : weight);
    }
}

#define LOSS(T)                                                                                                     \
    kernel void softmax_loss_##T(device T* logits [[buffer(0)]], device const long* labels [[buffer(1)]],           \
                                 device float* losses [[buffer(2)]], constant int& width [[buffer(3)]],             \
                                 constant Loss& loss [[buffer(4)]], PLACE) {                                        \
        threadgroup float partial[32];                                                                              \
        softmax_loss(logits, labels, losses, int(group.x), width, loss.scale, partial, HERE);                       \
    }
LOSS(float)
LOSS(half)
LOSS(bfloat)
