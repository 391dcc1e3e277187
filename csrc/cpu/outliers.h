// Columns of x that are far larger than the others: they stay out of the integers (Dettmers et al., LLM.int8(),
// arXiv:2208.07339).
//
// A row of x has one scale, so a column fifty times larger than the rest would leave the rest a few steps of 8 bits. Such
// columns are few and the same in every row; they join as further columns of the product of low rank, in float32.
#pragma once
#include "reader.h"
#include "scratch.h"

namespace loralab {

constexpr float FAR = 4;              // times the median of all columns' largest magnitudes
constexpr int64_t MOST_OUTLIERS = 32;  // beyond, x is no case for 8 bits

struct Outliers {
    int64_t columns[MOST_OUTLIERS];
    int64_t count = 0;
    bool too_many = false;

    // Of all rows of x, columns [0, inner).
    LORALAB_INLINE void find(const Product& product, ParallelFor parallel) {
        static thread_local Scratch memory;
        const int64_t inner = product.inner();
        float* largest = memory.get<float>(2 * inner);
        Search search{product, largest};
        parallel(parts_of(inner, Search::WIDTH), 1, Search::run, &search);
        __builtin_memcpy(largest + inner, largest, 4 * inner);
        const float limit = FAR * median(largest + inner, inner);
        for (int64_t k = 0; k < inner; k++) {
            if (largest[k] <= limit) continue;
            if (count == MOST_OUTLIERS) {
                too_many = true;
                return;
            }
            columns[count++] = k;
        }
    }

    // left [rows, extra] with the outliers beside it, right [columns of y, extra] with the weight's columns beside it.
    LORALAB_INLINE void widen(const Product& product, ParallelFor parallel, const float** left, const float** right,
                              int64_t* extra) const {
        static thread_local Scratch lefts, rights;
        const int64_t before = product.left ? product.extra : 0;
        Widening widening{product, *this, before, lefts.get<float>(product.rows * (before + count)),
                          rights.get<float>(product.columns() * (before + count))};
        parallel(product.rows, 64, Widening::of_x, &widening);
        parallel(product.columns(), 64, Widening::of_weight, &widening);
        *left = widening.left, *right = widening.right, *extra = before + count;
    }

   private:
    struct Search {
        static constexpr int64_t WIDTH = 512;  // columns a thread looks through, row after row
        const Product& product;
        float* largest;

        static void run(void* context, int64_t from, int64_t to) {
            const Search& self = *(const Search*)context;
            const int64_t inner = self.product.inner(), start = from * WIDTH;
            const int64_t count = (to * WIDTH < inner ? to * WIDTH : inner) - start;
            static thread_local Scratch memory;
            float *values = memory.get<float>(count), *largest = self.largest + start;
            for (int64_t k = 0; k < count; k++) largest[k] = 0;
            for (int64_t row = 0; row < self.product.rows; row++) {
                Reader{self.product}.read(row, start, count, values);
                for (int64_t k = 0; k < count; k++) {
                    const float size = __builtin_fabsf(values[k]);
                    largest[k] = size > largest[k] ? size : largest[k];
                }
            }
        }
    };

    struct Widening {
        const Product& product;
        const Outliers& outliers;
        int64_t before;
        float *left, *right;

        static void of_x(void* context, int64_t from, int64_t to) {
            const Widening& self = *(const Widening*)context;
            const int64_t before = self.before, count = self.outliers.count;
            for (int64_t row = from; row < to; row++) {
                float* out = self.left + row * (before + count);
                for (int64_t e = 0; e < before; e++) out[e] = self.product.left[row * before + e];
                for (int64_t e = 0; e < count; e++) out[before + e] = Reader{self.product}.at(row, self.outliers.columns[e]);
            }
        }

        static void of_weight(void* context, int64_t from, int64_t to) {
            const Widening& self = *(const Widening*)context;
            const int64_t before = self.before, count = self.outliers.count;
            const Weight& w = self.product.weight;
            for (int64_t column = from; column < to; column++) {
                float* out = self.right + column * (before + count);
                for (int64_t e = 0; e < before; e++) out[e] = self.product.right[column * before + e];
                for (int64_t e = 0; e < count; e++) {
                    const int64_t k = self.outliers.columns[e];
                    out[before + e] = self.product.transposed ? w.at(k, column) : w.at(column, k);
                }
            }
        }
    };

    // By quickselect, in place; the upper one of an even number.
    LORALAB_INLINE static float median(float* values, int64_t count) {
        int64_t low = 0, high = count - 1;
        const int64_t wanted = count / 2;
        while (low < high) {
            const float pivot = values[low + (high - low) / 2];
            int64_t i = low, j = high;
            while (i <= j) {
                while (values[i] < pivot) i++;
                while (values[j] > pivot) j--;
                if (i <= j) {
                    const float swapped = values[i];
                    values[i++] = values[j], values[j--] = swapped;
                }
            }
            if (wanted <= j) high = j;
            else if (wanted >= i) low = i;
            else break;
        }
        return values[wanted];
    }
};

}  // namespace loralab
