// A few rows of x times Wᵀ: every code is read once from memory, looked up in registers and dropped.
//
// The sums run along a row of the weight, in the order in which codes come apart: x is laid out as 32 even elements, 32
// odd ones, and so on (16 and 16 in float32). A group's scale multiplies its partial sum, so codes need no scaling.
#pragma once
#include "activations.h"
#include "avx512_vectors.h"

namespace loralab::avx512 {

constexpr int ROWS_AT_ONCE = 4;  // of the weight: independent chains of sums hide the latency of an addition
constexpr int AHEAD = 8;         // rows prefetched: reading and computing would take turns, 313 µs instead of 200

// Sixteen tables of words, one for each zero-point: a table holds its sixteen bf16 values twice, so that of a whole byte
// as index only the low four bits count.
struct Tables {
    __m512i at[16];
    LORALAB_INLINE void fill(const Weight& w) {
        const __m512 codebook = _mm512_loadu_ps(w.codebook);
        for (int zero = 0; zero < (w.zeros ? 16 : 1); zero++) {
            const __m512 values = _mm512_sub_ps(codebook, _mm512_set1_ps((float)zero));
            at[zero] = (__m512i)_mm512_cvtne2ps_pbh(values, values);
        }
    }
};

// 32 bytes of codes against x laid out in bf16: 64 products a vector.
template <int VECTORS>
LORALAB_INLINE void dot(const uint8_t* codes, __m512i table, const bf16* x, int64_t padded, __m512 scale, __m512* sums) {
    const __m512i bytes = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i*)codes));
    const __m512bh even = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4), table);
    const __m512bh odd = (__m512bh)_mm512_permutexvar_epi16(bytes, table);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
        const bf16* at = x + v * padded;
        __m512 part = _mm512_dpbf16_ps(_mm512_setzero_ps(), even, (__m512bh)_mm512_loadu_si512(at));
        part = _mm512_dpbf16_ps(part, odd, (__m512bh)_mm512_loadu_si512(at + 32));
        sums[v * ROWS_AT_ONCE] = _mm512_fmadd_ps(part, scale, sums[v * ROWS_AT_ONCE]);
    }
}

// 16 bytes of codes in float32, for x in float32 and for groups of 32.
template <int VECTORS>
LORALAB_INLINE void dot(const uint8_t* codes, __m512 table, const float* x, int64_t padded, __m512 scale, __m512* sums) {
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)codes));
    const __m512 even = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
    const __m512 odd = _mm512_permutexvar_ps(bytes, table);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
        const float* at = x + v * padded;
        const __m512 part = _mm512_fmadd_ps(odd, _mm512_loadu_ps(at + 16), _mm512_mul_ps(even, _mm512_loadu_ps(at)));
        sums[v * ROWS_AT_ONCE] = _mm512_fmadd_ps(part, scale, sums[v * ROWS_AT_ONCE]);
    }
}

// Four rows of 4 bits from `row` on times VECTORS vectors → y [VECTORS][4]. scales [4][groups].
template <int VECTORS, class X>
LORALAB_INLINE void dot_rows(const Weight& w, const Tables& tables, const X* x, int64_t padded, int64_t row,
                             const float* scales, float* y) {
    constexpr int64_t STEP = sizeof(X) == 2 ? 64 : 32;
    const int64_t groups = w.groups(), bytes = w.row_bytes();
    const __m512 codebook = _mm512_loadu_ps(w.codebook);
    __m512 sums[VECTORS * ROWS_AT_ONCE];
    for (auto& sum : sums) sum = _mm512_setzero_ps();
    for (int64_t at = 0; at < padded; at += STEP) {
        const int64_t g = at / w.group;
#pragma GCC unroll 4
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            const int64_t this_row = row + r < w.out ? row + r : w.out - 1;  // behind the last: once more, thrown away
            const uint8_t* codes = w.codes + this_row * bytes + at / 2;
            if (at % 128 == 0) _mm_prefetch((const char*)codes + AHEAD * bytes, _MM_HINT_T0);
            const __m512 scale = _mm512_set1_ps(scales[r * groups + g]);
            const int zero = w.zeros ? w.zeros[this_row * groups + g] : 0;
            if constexpr (STEP == 64) {
                dot<VECTORS>(codes, tables.at[zero], x + at, padded, scale, sums + r);
            } else {
                const __m512 table = w.zeros ? _mm512_sub_ps(codebook, _mm512_set1_ps((float)zero)) : codebook;
                dot<VECTORS>(codes, table, x + at, padded, scale, sums + r);
            }
        }
    }
    for (int i = 0; i < VECTORS * ROWS_AT_ONCE; i++) y[i] = _mm512_reduce_add_ps(sums[i]);
}

// Four rows of 8 bits; x in float32, in order.
template <int VECTORS>
LORALAB_INLINE void dot_int8_rows(const Weight& w, const float* x, int64_t padded, int64_t row, float* y) {
    __m512 sums[VECTORS * ROWS_AT_ONCE];
    for (auto& sum : sums) sum = _mm512_setzero_ps();
    for (int64_t at = 0; at < w.in; at += 16) {
#pragma GCC unroll 4
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            const int64_t this_row = row + r < w.out ? row + r : w.out - 1;
            const uint8_t* codes = w.codes + this_row * w.in + at;
            if (at % 64 == 0) _mm_prefetch((const char*)codes + AHEAD * w.in, _MM_HINT_T0);
            const __m128i bytes = _mm_maskz_loadu_epi8(first_words(w.in - at), codes);
            const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) {
                __m512& sum = sums[v * ROWS_AT_ONCE + r];
                sum = _mm512_fmadd_ps(values, _mm512_loadu_ps(x + v * padded + at), sum);
            }
        }
    }
    for (int i = 0; i < VECTORS * ROWS_AT_ONCE; i++) {
        const int64_t this_row = row + i % ROWS_AT_ONCE < w.out ? row + i % ROWS_AT_ONCE : w.out - 1;
        y[i] = _mm512_reduce_add_ps(sums[i]) * w.row_scales[this_row];
    }
}

// x [padded] in the order in which codes come apart.
LORALAB_INLINE void lay_out(const float* x, int64_t padded, bf16* out) {
    for (int64_t at = 0; at < padded; at += 64)
        for (int64_t j = 0; j < 32; j++) out[at + j] = to_bf16(x[at + 2 * j]), out[at + 32 + j] = to_bf16(x[at + 2 * j + 1]);
}
LORALAB_INLINE void lay_out(const float* x, int64_t padded, float* out) {
    for (int64_t at = 0; at < padded; at += 32)
        for (int64_t j = 0; j < 16; j++) out[at + j] = x[at + 2 * j], out[at + 16 + j] = x[at + 2 * j + 1];
}

// Scales of four rows, [4][groups].
LORALAB_INLINE void decode_scales(const Weight& w, int64_t row, float* scales) {
    const int64_t groups = w.groups();
    const float* of_rows = w.steps + row / SCALE_ROWS * 2;
    for (int r = 0; r < ROWS_AT_ONCE; r++) {
        const uint8_t* codes = w.scales + (row + r < w.out ? row + r : w.out - 1) * groups;
        for (int64_t g = 0; g < groups; g++) scales[r * groups + g] = of_rows[1] + of_rows[0] * codes[g];
    }
}

// Whether vectors are laid out in bf16 for it: a product of pairs wants whole groups of 64.
LORALAB_INLINE bool takes_bf16(const Weight& w) { return !w.is_int8() && w.group >= 64; }

template <class X>
struct RowsJob {
    const Product& product;
    const X* x;  // [rows][padded]
    int64_t padded;
    Tables tables;

    // Blocks of four rows of the weight.
    static void run(void* context, int64_t from, int64_t to) {
        const RowsJob& job = *(const RowsJob*)context;
        const Weight& w = job.product.weight;
        static thread_local Scratch scratch;
        float* scales = scratch.get<float>(ROWS_AT_ONCE * w.groups());
        for (int64_t block = from; block < to; block++) {
            const int64_t row = block * ROWS_AT_ONCE;
            if (!w.is_int8()) decode_scales(w, row, scales);
            for (int64_t v = 0; v < job.product.rows; v += 4) job.compute(v, row, scales);
        }
    }

    LORALAB_INLINE void compute(int64_t vector, int64_t row, const float* scales) const {
        float y[4 * ROWS_AT_ONCE];
        const int64_t count = product.rows - vector < 4 ? product.rows - vector : 4;
        switch (count) {
            case 1: dots<1>(vector, row, scales, y); break;
            case 2: dots<2>(vector, row, scales, y); break;
            case 3: dots<3>(vector, row, scales, y); break;
            default: dots<4>(vector, row, scales, y);
        }
        for (int64_t v = 0; v < count; v++)
            for (int r = 0; r < ROWS_AT_ONCE && row + r < product.weight.out; r++)
                finish(vector + v, row + r, y[v * ROWS_AT_ONCE + r]);
    }

    template <int VECTORS>
    LORALAB_INLINE void dots(int64_t vector, int64_t row, const float* scales, float* y) const {
        const X* from = x + vector * padded;
        if constexpr (sizeof(X) == 4) {
            if (product.weight.is_int8()) return dot_int8_rows<VECTORS>(product.weight, from, padded, row, y);
        }
        dot_rows<VECTORS>(product.weight, tables, from, padded, row, scales, y);
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

template <class X>
static void multiply_laid_out(const Product& product, ParallelFor parallel) {
    const Weight& w = product.weight;
    static thread_local Scratch laid_out, line;
    RowsJob<X> job{product, nullptr, w.is_int8() ? (w.in + 63) / 64 * 64 : w.groups() * w.group, {}};
    X* x = laid_out.get<X>(product.rows * job.padded);
    float* values = line.get<float>(job.padded);
    for (int64_t row = 0; row < product.rows; row++) {
        Reader{product}.read(row, 0, w.in, values);
        for (int64_t k = w.in; k < job.padded; k++) values[k] = 0;
        if (!w.is_int8()) lay_out(values, job.padded, x + row * job.padded);
        else
            for (int64_t k = 0; k < job.padded; k++) x[row * job.padded + k] = (X)values[k];  // X is float32 there
    }
    job.x = x;
    if (!w.is_int8()) job.tables.fill(w);
    parallel((w.out + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, 16, RowsJob<X>::run, &job);
}

static void multiply_rows(const Product& product, ParallelFor parallel) {
    takes_bf16(product.weight) && product.element == Element::bf16 ? multiply_laid_out<bf16>(product, parallel)
                                                                   : multiply_laid_out<float>(product, parallel);
}

// One vector times rows of a weight, for whoever has threads and order of his own (decode.h). In bf16, as x is in the
// answers of a bf16 model, or in float32.
template <Element ELEMENT>
struct Vector {
    // Of x laid out for `w`; two weights of the same layout can share it.
    LORALAB_INLINE static int64_t padded(const Weight& w) {
        return w.is_int8() ? (w.in + 63) / 64 * 64 : w.groups() * w.group;
    }
    LORALAB_INLINE static bool same_layout(const Weight& a, const Weight& b) {
        return a.is_int8() == b.is_int8() && in_bf16(a) == in_bf16(b) && padded(a) == padded(b);
    }
    // x [padded], zero behind w.in → `out`, of 4 · padded bytes.
    LORALAB_INLINE static void lay_out(const Weight& w, const float* x, void* out) {
        const int64_t count = padded(w);
        if (w.is_int8()) __builtin_memcpy(out, x, 4 * count);
        else if (in_bf16(w)) avx512::lay_out(x, count, (bf16*)out);
        else avx512::lay_out(x, count, (float*)out);
    }
    // y [last − first] of rows [first, last); `first` is a multiple of ROWS_AT_ONCE. scratch: 4 · groups floats.
    LORALAB_INLINE static void dot(const Weight& w, const void* x, int64_t first, int64_t last, float* scratch, float* y) {
        if (in_bf16(w)) rows<bf16>(w, (const bf16*)x, first, last, scratch, y);
        else rows<float>(w, (const float*)x, first, last, scratch, y);
    }

   private:
    LORALAB_INLINE static bool in_bf16(const Weight& w) { return ELEMENT == Element::bf16 && takes_bf16(w); }

    template <class X>
    LORALAB_INLINE static void rows(const Weight& w, const X* x, int64_t first, int64_t last, float* scratch, float* y) {
        Tables tables;
        if (!w.is_int8()) tables.fill(w);
        for (int64_t row = first; row < last; row += ROWS_AT_ONCE) {
            float four[ROWS_AT_ONCE];
            if constexpr (sizeof(X) == 4) {
                if (w.is_int8()) dot_int8_rows<1>(w, x, padded(w), row, four);
            }
            if (!w.is_int8()) {
                decode_scales(w, row, scratch);
                dot_rows<1>(w, tables, x, padded(w), row, scratch, four);
            }
            for (int64_t r = 0; r < ROWS_AT_ONCE && row + r < last; r++) y[row - first + r] = four[r];
        }
    }
};

}  // namespace loralab::avx512
