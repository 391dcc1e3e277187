// Plain C++ for any processor. Vectors of 16 bytes are the compiler's own: one instruction where the processor has it.
#include "dense.h"
#include "product.h"
#include "rows.h"
#include "states.h"

namespace loralab {
namespace {

constexpr int PANEL = 64, COLUMNS = 8, TILE_ROWS = 6;

struct Floats {
    typedef float T __attribute__((vector_size(16)));
    static constexpr int LANES = 4;
    LORALAB_INLINE static T zero() { return T{}; }
    LORALAB_INLINE static T load(const float* from) {
        T made;
        __builtin_memcpy(&made, from, sizeof made);
        return made;
    }
    LORALAB_INLINE static void store(float* to, T value) { __builtin_memcpy(to, &value, sizeof value); }
    LORALAB_INLINE static T fma(float x, T b, T sum) { return sum + x * b; }
};

// What a row's sixteen codes stand for in group g.
LORALAB_INLINE void fill_table(const Weight& w, float scale, float zero, float table[16]) {
    for (int code = 0; code < 16; code++) table[code] = (w.codebook[code] - zero) * scale;
}

// 32 elements of a row by their table, in order.
template <class T>
LORALAB_INLINE void look_up32(const uint8_t* codes, const T table[16], T* out) {
    for (int b = 0; b < 16; b++) out[2 * b] = table[codes[b] >> 4], out[2 * b + 1] = table[codes[b] & 15];
}

struct Read {
    LORALAB_INLINE static void read32(const Weight& w, int64_t row, int64_t column, float* out) {
        if (w.is_int8()) {
            const int8_t* codes = (const int8_t*)w.codes + row * w.in;
            for (int64_t k = 0; k < 32; k++) out[k] = column + k < w.in ? codes[column + k] * w.row_scales[row] : 0;
            return;
        }
        float table[16];
        const int64_t g = column / w.group;
        fill_table(w, w.scale(row, g), w.zero(row, g), table);
        look_up32(w.codes + row * w.row_bytes() + column / 2, table, out);
    }
};

// 32 elements of a row rounded to 127ths of the row's largest, as numbers of 16 bits.
LORALAB_INLINE void read32_int8(const Weight& w, int64_t row, int64_t column, const float* scales, int16_t* out) {
    if (w.is_int8()) {
        const int8_t* codes = (const int8_t*)w.codes + row * w.in;
        for (int64_t k = 0; k < 32; k++) out[k] = column + k < w.in ? codes[column + k] : 0;
        return;
    }
    constexpr float MAGIC = 12582912;  // as in activations.h
    float table[16];
    int16_t rounded[16];
    const int64_t g = column / w.group;
    fill_table(w, w.scale(row, g), w.zero(row, g), table);
    const float inverse = scales[row] > 0 ? 1 / scales[row] : 0;
    for (int code = 0; code < 16; code++) rounded[code] = (int16_t)((table[code] * inverse + MAGIC) - MAGIC);
    look_up32(w.codes + row * w.row_bytes() + column / 2, rounded, out);
}

struct InFloat : InStrips<Floats, COLUMNS, PANEL, TILE_ROWS> {
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float*, B* panel) {
        const int64_t deep = depth(to - from);
        float line[32];
        if (column + PANEL > (transposed ? w.in : w.out)) __builtin_memset(panel, 0, deep * PANEL * sizeof(B));
        if (transposed)
            for (int64_t k = from; k < to; k++)
                for (int64_t j = 0; j < PANEL && column + j < w.in; j += 32) {
                    Read::read32(w, k, column + j, line);
                    for (int64_t c = 0; c < 32; c++)
                        panel[(j + c) / COLUMNS * COLUMNS * deep + (k - from) * COLUMNS + c % COLUMNS] = line[c];
                }
        else
            for (int64_t j = 0; j < PANEL && column + j < w.out; j++)
                for (int64_t k = from; k < to; k += 32) {
                    Read::read32(w, column + j, k, line);
                    float* place = panel + j / COLUMNS * COLUMNS * deep + j % COLUMNS + (k - from) * COLUMNS;
                    for (int64_t i = 0; i < 32; i++) place[i * COLUMNS] = line[i];
                }
    }
};

// Sums of products of 16 bits along rows of both: compilers know an instruction for that. The panel is [PANEL][depth].
struct InInt8 : Tiling<int16_t, int16_t, int32_t, PANEL, 2, 1> {
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float* scales, B* panel) {
        const int64_t deep = depth(to - from);
        __builtin_memset(panel, 0, deep * PANEL * sizeof(B));
        int16_t line[32];
        if (transposed) {
            for (int64_t k = from; k < to; k++)
                for (int64_t j = 0; j < PANEL && column + j < w.in; j += 32) {
                    read32_int8(w, k, column + j, scales, line);
                    for (int64_t c = 0; c < 32; c++) panel[(j + c) * deep + k - from] = line[c];
                }
            return;
        }
        for (int64_t j = 0; j < PANEL && column + j < w.out; j++)
            for (int64_t k = from; k < to; k += 32) read32_int8(w, column + j, k, scales, panel + j * deep + k - from);
    }
    template <int R>
    LORALAB_INLINE static void tile(const A* a, int64_t stride, const B* panel, int64_t steps, Sum* sums, bool add) {
        const int64_t deep = depth(steps);  // x has zeros behind its last
        for (int64_t j = 0; j < PANEL; j += 4) {
            int32_t sum[R][4] = {};
            dots(a, stride, panel + j * deep, deep, sum);
            for (int i = 0; i < R; i++)
                for (int c = 0; c < 4; c++) sums[i * PANEL + j + c] = sum[i][c] + (add ? sums[i * PANEL + j + c] : 0);
        }
    }

   private:
    // Separate sums: what lies in an array is not taken for a sum of a vector.
    LORALAB_INLINE static void dots(const A* a, int64_t, const B* b, int64_t deep, int32_t (&sum)[1][4]) {
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int64_t k = 0; k < deep; k++) {
            s0 += a[k] * b[k], s1 += a[k] * b[deep + k];
            s2 += a[k] * b[2 * deep + k], s3 += a[k] * b[3 * deep + k];
        }
        sum[0][0] = s0, sum[0][1] = s1, sum[0][2] = s2, sum[0][3] = s3;
    }
    LORALAB_INLINE static void dots(const A* a, int64_t stride, const B* b, int64_t deep, int32_t (&sum)[2][4]) {
        const A* next = a + stride;
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
        for (int64_t k = 0; k < deep; k++) {
            s0 += a[k] * b[k], s1 += a[k] * b[deep + k];
            s2 += a[k] * b[2 * deep + k], s3 += a[k] * b[3 * deep + k];
            t0 += next[k] * b[k], t1 += next[k] * b[deep + k];
            t2 += next[k] * b[2 * deep + k], t3 += next[k] * b[3 * deep + k];
        }
        sum[0][0] = s0, sum[0][1] = s1, sum[0][2] = s2, sum[0][3] = s3;
        sum[1][0] = t0, sum[1][1] = t1, sum[1][2] = t2, sum[1][3] = t3;
    }
};

// A row of the weight, 32 elements at a time, times up to four rows of x.
struct Rows : InOrder<1> {
    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables&, const float* x, int64_t padded, int64_t row,
                                   const float*, float* y) {
        using F = Floats;
        F::T sums[N][2] = {};
        float line[32];
        for (int64_t at = 0; at < w.in; at += 32) {
            Read::read32(w, row, at, line);
            for (int v = 0; v < N; v++)
                for (int j = 0; j < 32; j += 4)
                    sums[v][j / 4 % 2] += F::load(x + v * padded + at + j) * F::load(line + j);
        }
        for (int v = 0; v < N; v++) {
            const F::T sum = sums[v][0] + sums[v][1];
            y[v] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
    }
};

bool has(Path path) { return path != Path::bf16; }

void multiply(const Product& product, Path path, ParallelFor parallel) {
    if (path == Path::rows && !product.transposed) multiply_rows<Rows>(product, parallel);
    else if (path != Path::int8 || !multiply_panels<InInt8>(product, parallel)) multiply_panels<InFloat>(product, parallel);
}

}  // namespace

extern const Kernels portable_kernels = {"portable", has, multiply, dequantize_rows<Read>,
                                         quantize,   step_adam, decode<Rows, Rows, Rows>};

}  // namespace loralab
