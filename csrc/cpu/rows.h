// A few rows of x times Wᵀ, how it is shared out: every code is read once for them all. What a dot product is, each
// instruction set says.
//
// A kernel K has:
//     X, AT_ONCE          the type of x as it is multiplied; rows of the weight at once: independent chains of sums
//     Tables              with fill(weight): what the codes are looked up in
//     padded(weight)      elements of a row of x as it is multiplied, zeros behind the last
//     decode_scales(weight, row, scales)    of AT_ONCE rows from `row` on, [AT_ONCE][groups]
//     lay_out(x, padded, out)    float32 in order → X in the order in which codes come apart
//     dot<N>(weight, tables, x, padded, row, scales, y)
//         N rows of x · AT_ONCE rows of the weight from `row` on → y [N][AT_ONCE]; scales [AT_ONCE][groups]. Rows behind
//         the last are the last once more, and thrown away.
#pragma once
#include "activations.h"

namespace loralab {

LORALAB_INLINE int64_t existing(const Weight& w, int64_t row) { return row < w.out ? row : w.out - 1; }

template <class K>
struct RowsJob {
    const Product& product;
    const typename K::X* x;  // [rows][padded]
    int64_t padded;
    typename K::Tables tables;

    // Blocks of AT_ONCE rows of the weight.
    static void run(void* context, int64_t from, int64_t to) {
        const RowsJob& job = *(const RowsJob*)context;
        const Weight& w = job.product.weight;
        static thread_local Scratch scratch;
        float* scales = scratch.get<float>(K::AT_ONCE * w.groups());
        for (int64_t block = from; block < to; block++) {
            const int64_t row = block * K::AT_ONCE;
            if (!w.is_int8()) K::decode_scales(w, row, scales);
            for (int64_t v = 0; v < job.product.rows; v += 4) job.compute(v, row, scales);
        }
    }

    LORALAB_APART void compute(int64_t vector, int64_t row, const float* scales) const {
        float y[4 * K::AT_ONCE];
        const int64_t count = product.rows - vector < 4 ? product.rows - vector : 4;
        const typename K::X* from = x + vector * padded;
        switch (count) {
            case 1: K::template dot<1>(product.weight, tables, from, padded, row, scales, y); break;
            case 2: K::template dot<2>(product.weight, tables, from, padded, row, scales, y); break;
            case 3: K::template dot<3>(product.weight, tables, from, padded, row, scales, y); break;
            default: K::template dot<4>(product.weight, tables, from, padded, row, scales, y);
        }
        for (int64_t v = 0; v < count; v++)
            for (int r = 0; r < K::AT_ONCE && row + r < product.weight.out; r++)
                finish(vector + v, row + r, y[v * K::AT_ONCE + r]);
    }

    LORALAB_INLINE void finish(int64_t row, int64_t column, float sum) const {
        for (int64_t e = 0; e < (product.left ? product.extra : 0); e++)
            sum += product.left[row * product.extra + e] * product.right[column * product.extra + e];
        if (product.bias) sum += product.bias[column];
        const int64_t at = row * product.weight.out + column;
        if (product.element == Element::float32) ((float*)product.y)[at] = sum;
        else ((bf16*)product.y)[at] = to_bf16(sum);
    }
};

template <class K>
static void multiply_rows(const Product& product, ParallelFor parallel) {
    const Weight& w = product.weight;
    static thread_local Scratch laid_out, line;
    RowsJob<K> job{product, nullptr, K::padded(w), {}};
    auto* x = laid_out.get<typename K::X>(product.rows * job.padded);
    float* values = line.get<float>(job.padded);
    for (int64_t row = 0; row < product.rows; row++) {
        Reader{product}.read(row, 0, w.in, values);
        for (int64_t k = w.in; k < job.padded; k++) values[k] = 0;
        K::lay_out(values, job.padded, x + row * job.padded);
    }
    job.x = x;
    job.tables.fill(w);
    parallel((w.out + K::AT_ONCE - 1) / K::AT_ONCE, 16, RowsJob<K>::run, &job);
}

// Elements of a row of x as most kernels multiply it.
LORALAB_INLINE int64_t whole_groups(const Weight& w) { return w.is_int8() ? (w.in + 63) / 64 * 64 : w.groups() * w.group; }

// What a kernel of ROWS rows of the weight at once has, unless it says otherwise: x stays as it is.
template <int ROWS>
struct InOrder {
    using X = float;
    static constexpr int AT_ONCE = ROWS;
    struct Tables {
        LORALAB_INLINE void fill(const Weight&) {}
    };
    LORALAB_INLINE static int64_t padded(const Weight& w) { return whole_groups(w); }
    LORALAB_INLINE static void decode_scales(const Weight& w, int64_t row, float* scales) {
        const int64_t groups = w.groups();
        const float* of_rows = w.steps + row / SCALE_ROWS * 2;
        for (int r = 0; r < ROWS; r++) {
            const uint8_t* codes = w.scales + existing(w, row + r) * groups;
            for (int64_t g = 0; g < groups; g++) scales[r * groups + g] = of_rows[1] + of_rows[0] * codes[g];
        }
    }
    LORALAB_INLINE static void lay_out(const float* x, int64_t padded, float* out) {
        for (int64_t k = 0; k < padded; k++) out[k] = x[k];
    }
};

// One vector times rows of a weight, for whoever has threads and order of his own (decode.h): by Fine in float32, by
// Coarse where the vector is of a bf16 model, by Eight where the weight has 8 bits.
template <Element ELEMENT, class Fine, class Coarse, class Eight>
struct Vector {
    // Of x laid out for `w`; two weights of the same layout can share it.
    LORALAB_INLINE static int64_t padded(const Weight& w) { return whole_groups(w); }
    LORALAB_INLINE static bool same_layout(const Weight& a, const Weight& b) {
        return a.is_int8() == b.is_int8() && is_coarse(a) == is_coarse(b) && padded(a) == padded(b);
    }
    // x [padded], zero behind w.in → `out`, of 4 · padded bytes.
    LORALAB_INLINE static void lay_out(const Weight& w, const float* x, void* out) {
        if (w.is_int8()) Eight::lay_out(x, padded(w), (typename Eight::X*)out);
        else if (is_coarse(w)) Coarse::lay_out(x, padded(w), (typename Coarse::X*)out);
        else Fine::lay_out(x, padded(w), (typename Fine::X*)out);
    }
    // y [last − first] of rows [first, last); `first` is a multiple of 8. scratch: 8 · groups floats.
    LORALAB_INLINE static void dot(const Weight& w, const void* x, int64_t first, int64_t last, float* scratch, float* y) {
        if (w.is_int8()) rows<Eight>(w, x, first, last, scratch, y);
        else if (is_coarse(w)) rows<Coarse>(w, x, first, last, scratch, y);
        else rows<Fine>(w, x, first, last, scratch, y);
    }

   private:
    LORALAB_INLINE static bool is_coarse(const Weight& w) {
        return ELEMENT == Element::bf16 && !w.is_int8();
    }

    template <class K>
    LORALAB_APART static void rows(const Weight& w, const void* x, int64_t first, int64_t last, float* scratch, float* y) {
        typename K::Tables tables;
        tables.fill(w);
        for (int64_t row = first; row < last; row += K::AT_ONCE) {
            float found[K::AT_ONCE];
            if (!w.is_int8()) K::decode_scales(w, row, scratch);
            K::template dot<1>(w, tables, (const typename K::X*)x, padded(w), row, scratch, found);
            for (int64_t r = 0; r < K::AT_ONCE && row + r < last; r++) y[row - first + r] = found[r];
        }
    }
};

}  // namespace loralab
