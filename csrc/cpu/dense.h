// Rows of a weight, dense. Read has read32(weight, row, column, out): 32 elements from a multiple of 32 on, zeros behind
// the last.
#pragma once
#include "kernels.h"

namespace loralab {

template <class Read>
static void dequantize_rows(const Weight& w, int64_t first, int64_t last, Element element, void* dense) {
    for (int64_t row = first; row < last; row++)
        for (int64_t column = 0; column < w.in; column += 32) {
            const int64_t at = (row - first) * w.in + column, count = w.in - column < 32 ? w.in - column : 32;
            alignas(64) float values[32];
            Read::read32(w, row, column, values);
            if (element == Element::float32) __builtin_memcpy((float*)dense + at, values, count * sizeof(float));
            else if (count == 32)
                for (int j = 0; j < 32; j++) ((bf16*)dense)[at + j] = to_bf16(values[j]);
            else
                for (int j = 0; j < count; j++) ((bf16*)dense)[at + j] = to_bf16(values[j]);
        }
}

}  // namespace loralab
