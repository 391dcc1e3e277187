// One step of AdamW on one tensor with its moments in 8 bits, as every kernel for it is told (loralab_core/ops/adam8bit.py).
#pragma once
#include <cstdint>

#include "matrix.h"

namespace loralab {

constexpr int64_t ADAM_BLOCK = 256;  // elements that share a scale of each moment

// One step's numbers, the same for every element.
struct AdamStep {
    float beta1, rest1;  // rest1: 1 - beta1
    float beta2, rest2;
    float root;   // 1 / sqrt(1 - beta2^t): corrects the bias of the second moment's root
    float eps;
    float decay;  // 1 - lr · weight_decay
    float rate;   // lr / (1 - beta1^t)
    uint32_t key[2];  // of the random bits with which bf16 parameters are rounded
};

// A tensor that is trained, its gradient and its moments in 8 bits (adam8bit.h).
struct AdamTensor {
    void* parameter;
    const void* gradient;
    Element parameter_element, gradient_element;
    uint8_t *mean, *square;              // codes [elements]
    float *mean_scales, *square_scales;  // [blocks]; on a GPU null where the moments are float32
    int64_t elements;
};

}  // namespace loralab
