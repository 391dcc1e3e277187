// x as floats, whatever it is.
#pragma once
#include "kernels.h"

namespace loralab {

LORALAB_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LORALAB_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
LORALAB_INLINE int64_t parts_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

struct Reader {
    const Product& product;
    LORALAB_INLINE float at(int64_t row, int64_t k) const {
        const int64_t place = row * product.stride + k;
        return product.element == Element::float32 ? ((const float*)product.x)[place]
                                                   : to_float(((const bf16*)product.x)[place]);
    }
    // Elements [start, start + count) of a row.
    LORALAB_INLINE void read(int64_t row, int64_t start, int64_t count, float* out) const {
        if (product.element == Element::float32) {
            const float* x = (const float*)product.x + row * product.stride + start;
            for (int64_t k = 0; k < count; k++) out[k] = x[k];
        } else {
            const bf16* x = (const bf16*)product.x + row * product.stride + start;
            for (int64_t k = 0; k < count; k++) out[k] = to_float(x[k]);
        }
    }
};

}  // namespace loralab
