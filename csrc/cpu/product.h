// y = x · Wᵀ or x · W: how a product is cut into tiles. Written once; what a tile is, each instruction set says.
//
// A thread unpacks a panel of the weight, a few columns of y and up to INNER of the contraction, into its cache
// and multiplies all rows of a chunk of x by it. So every code is unpacked once for CHUNK_ROWS rows, and what is dense of
// the weight at any moment is one panel a thread.
//
// A path P of an instruction set has:
//     A, B, Sum          element types of x as it is multiplied, of a panel, of the accumulators
//     PANEL, ROWS, STEP  columns of a panel, most rows of a tile, elements of the contraction that lie together
//     QUANTISED, OFFSET  whether A holds integers, and what they are too large by
//     Extra              the path in float32 with the same panels, for the product of low rank
//         (that one also has place(k, column, steps): where an element lies in a panel)
//     unpack(weight, transposed, column, from, to, row_scales, panel)   panel [(to − from) / STEP, rounded up][PANEL][STEP]
//     tile<R>(a, stride, panel, steps, sums, add)                        sums [R][PANEL]
#pragma once
#include "activations.h"
#include "kernels.h"
#include "scratch.h"
#include "tile.h"

namespace loralab {

constexpr int64_t PART_ROWS = 192;        // of x that a task multiplies
constexpr int64_t CHUNK_BYTES = 8 << 20;  // of x as it is multiplied, at a time
constexpr int64_t LEAST_CHUNK = 2 * PART_ROWS, MOST_CHUNK = 6 * PART_ROWS;


template <class P>
struct Job {
    const Product& product;
    const Prepared<P>& prepared;
    int64_t first, rows;      // of x: this chunk
    int64_t parts, inner;     // tasks a panel, elements of the contraction a panel

    // Which of the extra columns are not zero in a panel: of merged projections each has its own ones.
    struct Span {
        int64_t from, to;
    };

    // Tasks are numbered panel by panel, so that a thread meets a panel's tasks one after another.
    static void run(void* context, int64_t from, int64_t to) {
        const Job& job = *(const Job*)context;
        static thread_local Scratch panels, sums, extras;
        const int64_t steps = parts_of(job.inner, 64) * 64;  // unpacking writes whole steps and pairs
        auto* panel = panels.get<typename P::B>(steps * P::PANEL);
        auto* sum = sums.get<typename P::Sum>((PART_ROWS + P::ROWS) * P::PANEL);
        float* extra = extras.get<float>((job.prepared.extra + 32) * P::PANEL);
        int64_t unpacked = -1, packed = -1;
        Span used{};
        for (int64_t task = from; task < to; task++) {
            const int64_t column = task / job.parts * P::PANEL, part = task % job.parts;
            if (packed != column) used = job.pack_extra(packed = column, extra);
            job.compute(column, part, panel, sum, extra, used, unpacked);
        }
    }

    LORALAB_INLINE void compute(int64_t column, int64_t part, typename P::B* panel, typename P::Sum* sums,
                                const float* extra, Span used, int64_t& unpacked) const {
        const int64_t start = part * PART_ROWS, stop = smaller(start + PART_ROWS, rows), all = product.inner();
        alignas(64) int32_t column_sums[P::PANEL] = {};
        for (int64_t from = 0; from < all; from += inner) {
            const int64_t to = smaller(from + inner, all), steps = parts_of(to - from, P::STEP);
            if (unpacked != column || inner < all) {
                P::unpack(product.weight, product.transposed, column, from, to, prepared.weight_scales, panel);
                unpacked = column;
            }
            if constexpr (P::OFFSET != 0)  // of activations OFFSET too large, OFFSET times these is taken off again
                P::template tile<1>(prepared.ones, 0, panel, steps, column_sums, from > 0);
            const auto* a = prepared.a + from;
            for (int64_t row = start; row < stop; row += P::ROWS)
                tile<P>(smaller(P::ROWS, stop - row), a + row * prepared.stride, prepared.stride, panel, steps,
                        sums + (row - start) * P::PANEL, from > 0);
        }
        for (int64_t row = start; row < stop; row += P::ROWS)
            finish(row, smaller(P::ROWS, stop - row), column, sums + (row - start) * P::PANEL, column_sums, extra, used);
    }

    template <class Q, int R = Q::ROWS>
    LORALAB_INLINE static void tile(int64_t count, const typename Q::A* a, int64_t stride, const typename Q::B* panel,
                                    int64_t steps, typename Q::Sum* sums, bool add) {
        if constexpr (R > 1) {
            if (count < R) return tile<Q, R - 1>(count, a, stride, panel, steps, sums, add);
        }
        Q::template tile<R>(a, stride, panel, steps, sums, add);
    }

    // Rows of `right` for these columns, what of them is not zero → a panel of the path in float32.
    LORALAB_APART Span pack_extra(int64_t column, float* packed) const {
        const int64_t count = smaller(P::PANEL, product.columns() - column), extra = prepared.extra;
        const float* right = prepared.right + column * extra;
        Span used{extra, 0};
        for (int64_t j = 0; j < count; j++)
            for (int64_t e = 0; e < extra; e++)
                if (right[j * extra + e] != 0) used = {smaller(used.from, e), larger(used.to, e + 1)};
        const int64_t steps = used.to - used.from;
        for (int64_t e = 0; e < steps; e++)
            for (int64_t j = 0; j < P::PANEL; j++)
                packed[P::Extra::place(e, j, steps)] = j < count ? right[j * extra + used.from + e] : 0;
        return used;
    }

    // Sums → y: scales, the product of low rank, the bias, one rounding.
    LORALAB_APART void finish(int64_t row, int64_t count, int64_t column, const typename P::Sum* sums,
                              const int32_t* column_sums, const float* extra, Span used) const {
        alignas(64) float lines[P::ROWS * P::PANEL];
        const int64_t width = smaller(P::PANEL, product.columns() - column);
        for (int64_t i = 0; i < count; i++) scaled(row + i, column, width, sums + i * P::PANEL, column_sums, lines + i * P::PANEL);
        if (used.from < used.to) {
            const float* left = prepared.left + (first + row) * prepared.extra + used.from;
            tile<typename P::Extra>(count, left, prepared.extra, extra, used.to - used.from, lines, true);
        }
        for (int64_t i = 0; i < count; i++) {
            float* line = lines + i * P::PANEL;
            if (product.bias)
                for (int j = 0; j < width; j++) line[j] += product.bias[column + j];
            store(line, (first + row + i) * product.columns() + column, width);
        }
    }

    LORALAB_INLINE void scaled(int64_t row, int64_t column, int64_t width, const typename P::Sum* sums,
                               const int32_t* column_sums, float* line) const {
        if constexpr (P::QUANTISED) {
            const float scale = prepared.scales[row];
            for (int j = 0; j < P::PANEL; j++) line[j] = (float)(sums[j] - P::OFFSET * column_sums[j]) * scale;
            if (!product.transposed)
                for (int j = 0; j < width; j++) line[j] *= prepared.weight_scales[column + j];
        } else {
            for (int j = 0; j < P::PANEL; j++) line[j] = (float)sums[j];
        }
    }

    LORALAB_INLINE void store(const float* line, int64_t at, int64_t width) const {
        if (product.element == Element::float32) {
            float* y = (float*)product.y + at;
            for (int64_t j = 0; j < width; j++) y[j] = line[j];
        } else {
            bf16* y = (bf16*)product.y + at;
            for (int64_t j = 0; j < width; j++) y[j] = to_bf16(line[j]);
        }
    }
};

// False where x is no case for this path: nothing was multiplied.
template <class P>
static bool multiply_panels(const Product& product, ParallelFor parallel) {
    const int64_t inner = product.inner(), panels = parts_of(product.columns(), P::PANEL);
    const int64_t fitting = CHUNK_BYTES / ((inner + 1) * (int64_t)sizeof(typename P::A));
    const int64_t chunk = larger(LEAST_CHUNK, smaller(fitting / PART_ROWS * PART_ROWS, MOST_CHUNK));
    Prepared<P> prepared(product, parallel);
    if (prepared.outliers.too_many) return false;
    for (int64_t first = 0; first < product.rows; first += chunk) {
        const int64_t rows = smaller(chunk, product.rows - first);
        prepared.take(first, rows, parallel);
        Job<P> job{product, prepared, first, rows, parts_of(rows, PART_ROWS), smaller(inner, INNER<P>)};
        parallel(panels * job.parts, 1, Job<P>::run, &job);
    }
    return true;
}

}  // namespace loralab
