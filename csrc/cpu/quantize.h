// A weight → its 4-bit form, as loralab_core/quant/quantize.py describes it; the same codes, bit for bit where it rounds
// to the nearest.
//
// Plain loops over sixteen lanes, which gcc turns into vectors of whatever instruction set the file that includes this
// is compiled for. A lane has a sum of its own, so the order of additions is the same on all of them.
// No scratch: until the codes of a group are known, the scales found for it lie where the codes will.
#pragma once
#include "kernels.h"

namespace loralab {

// Internal linkage: each instruction set's file must keep the copy that was compiled for it.
namespace {
namespace quantising {

constexpr int LANES = 16;
constexpr int LONGEST = 128;  // group
constexpr float TINY = 1e-30f;  // instead of dividing by zero
constexpr float SHARES[] = {0.8f, 0.85f, 0.9f, 0.95f, 1.05f};  // of the largest magnitude, tried as scales
constexpr int ROUNDS = 2;  // of codes for a scale, then the best scale for those codes

struct Table {
    float values[16], borders[15];
};

struct Found {  // of a group: the scale that `nearest` takes and the one that was fitted
    float nearest, fitted;
};

inline Table table_of(const float* codebook) {
    Table table;
    for (int k = 0; k < 16; k++) table.values[k] = codebook[k];
    for (int k = 0; k < 15; k++) table.borders[k] = (codebook[k + 1] + codebook[k]) / 2;
    return table;
}

inline void read_group(const Quantisation& q, int64_t row, int64_t g, float* values) {
    const int64_t start = g * q.group, left = q.in - start < q.group ? q.in - start : q.group;
    const int64_t at = row * q.stride + start;
    if (q.element == Element::bf16) {
        const uint16_t* from = (const uint16_t*)q.weight + at;
        for (int64_t i = 0; i < left; i++) {
            const uint32_t bits = (uint32_t)from[i] << 16;
            __builtin_memcpy(values + i, &bits, 4);
        }
    } else {
        __builtin_memcpy(values, (const float*)q.weight + at, left * 4);
    }
    for (int64_t i = left; i < q.group; i++) values[i] = 0;
}

// The scale that just reaches the group's largest weights, and its zero-point.
inline float reaching(const float* values, int64_t group, bool zeros, float* zero) {
    float low[LANES] = {}, high[LANES] = {};
    for (int64_t i = 0; i < group; i += LANES)
        for (int l = 0; l < LANES; l++) {
            low[l] = values[i + l] < low[l] ? values[i + l] : low[l];
            high[l] = values[i + l] > high[l] ? values[i + l] : high[l];
        }
    float least = 0, most = 0;
    for (int l = 0; l < LANES; l++) {
        least = low[l] < least ? low[l] : least;
        most = high[l] > most ? high[l] : most;
    }
    *zero = 0;
    if (!zeros) return -least > most ? -least : most;
    const float scale = (most - least) / 15;
    const float code = __builtin_rintf(-least / (scale > TINY ? scale : TINY));
    *zero = code < 0 ? 0 : code > 15 ? 15 : code;
    return scale;
}

// What a group loses when coded for one scale and multiplied with another: the sum of squared errors. With them, what
// the best scale for these codes is the ratio of. A reciprocal will do: on a border both neighbours are as far.
struct Loss {
    float error, product, square;
};

inline Loss loss_of(const float* values, int64_t group, const Table& table, float coded, float scale, float zero) {
    const float inverse = coded == 0 ? 0 : 1 / coded;
    float error[LANES] = {}, product[LANES] = {}, square[LANES] = {};
    for (int64_t i = 0; i < group; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float share = values[i + l] * inverse + zero;
            float said = table.values[0];
#pragma GCC unroll 15
            for (int k = 0; k < 15; k++) said = share > table.borders[k] ? table.values[k + 1] : said;
            said -= zero;
            const float off = said * scale - values[i + l];
            error[l] += off * off;
            product[l] += said * values[i + l];
            square[l] += said * said;
        }
    Loss sum = {};
    for (int l = 0; l < LANES; l++) sum.error += error[l], sum.product += product[l], sum.square += square[l];
    return sum;
}

// The scale of the least squared error: shares of the largest magnitude in both signs (a table that is not symmetric
// reaches further on one side), then moved to its codes' own optimum.
inline float fit(const float* values, int64_t group, const Table& table, float reach, float zero, bool zeros) {
    float best = reach;
    Loss least = loss_of(values, group, table, reach, reach, zero);
    const auto attempt = [&](float scale) {
        const Loss loss = loss_of(values, group, table, scale, scale, zero);
        if (loss.error < least.error) least = loss, best = scale;
    };
    for (float share : SHARES) attempt(reach * share);
    if (!zeros) {
        attempt(-reach);
        for (float share : SHARES) attempt(-reach * share);
    }
    for (int round = 0; round < ROUNDS; round++) attempt(least.product / (least.square > TINY ? least.square : TINY));
    return best;
}

// Even steps between the smallest and the largest scale of some rows.
struct Steps {
    float step, offset;

    uint8_t encode(float scale) const {
        const float code = __builtin_rintf((scale - offset) / (step > TINY ? step : TINY));
        return code < 0 ? 0 : code > 255 ? 255 : (uint8_t)code;
    }
    float decode(uint8_t code) const { return offset + step * code; }
    float rounded(float scale) const { return decode(encode(scale)); }
};

inline uint8_t* codes_of(const Quantisation& q, int64_t row, int64_t g) {
    return q.codes + (row * q.groups() + g) * (q.group / 2);
}

inline Found found_at(const Quantisation& q, int64_t row, int64_t g) {
    Found found;
    __builtin_memcpy(&found, codes_of(q, row, g), sizeof found);
    return found;
}

inline float zero_at(const Quantisation& q, int64_t row, int64_t g) {
    return q.zeros ? q.zeros[row * q.groups() + g] : 0.0f;
}

inline void find_scales(const Quantisation& q, const Table& table, int64_t row, int64_t g) {
    alignas(64) float values[LONGEST];
    read_group(q, row, g, values);
    float zero;
    Found found;
    found.fitted = found.nearest = reaching(values, q.group, q.zeros, &zero);
    if (q.fitted) found.fitted = fit(values, q.group, table, found.nearest, zero, q.zeros);
    if (q.zeros) q.zeros[row * q.groups() + g] = (uint8_t)zero;
    __builtin_memcpy(codes_of(q, row, g), &found, sizeof found);
}

inline Steps steps_of(const Quantisation& q, int64_t first, int64_t last, bool fitted) {
    float least = __builtin_inff(), most = -__builtin_inff();
    for (int64_t row = first; row < last; row++)
        for (int64_t g = 0; g < q.groups(); g++) {
            const Found found = found_at(q, row, g);
            const float scale = fitted ? found.fitted : found.nearest;
            least = scale < least ? scale : least;
            most = scale > most ? scale : most;
        }
    return {(most - least) / 255, least};
}

// Whether the fitted scales still are the better ones when they are rounded to 8 bits; of a few weights they may not be.
inline bool fitted_wins(const Quantisation& q, const Table& table, int64_t first, int64_t last, Steps nearest,
                        Steps fitted) {
    alignas(64) float values[LONGEST];
    double gain = 0;
    for (int64_t row = first; row < last; row++)
        for (int64_t g = 0; g < q.groups(); g++) {
            const Found found = found_at(q, row, g);
            const float zero = zero_at(q, row, g), scale = fitted.rounded(found.fitted);
            read_group(q, row, g, values);
            gain += loss_of(values, q.group, table, found.nearest, nearest.rounded(found.nearest), zero).error;
            gain -= loss_of(values, q.group, table, scale, scale, zero).error;
        }
    return gain > 0;
}

// Divides, as the reference does: next to a border a reciprocal gives another code.
inline void write_codes(const Quantisation& q, const Table& table, int64_t row, int64_t g, float scale) {
    alignas(64) float values[LONGEST];
    alignas(64) int32_t found[LONGEST];
    read_group(q, row, g, values);
    const float zero = zero_at(q, row, g), divisor = scale == 0 ? __builtin_inff() : scale;
    for (int64_t i = 0; i < q.group; i++) {
        const float share = values[i] / divisor + zero;
        int32_t code = 0;
#pragma GCC unroll 15
        for (int k = 0; k < 15; k++) code += share > table.borders[k];
        found[i] = code;
    }
    uint8_t* codes = codes_of(q, row, g);
    for (int64_t j = 0; j < q.group / 2; j++) codes[j] = (uint8_t)(found[2 * j] << 4 | found[2 * j + 1]);
}

inline void quantize_block(const Quantisation& q, const Table& table, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++)
        for (int64_t g = 0; g < q.groups(); g++) find_scales(q, table, row, g);
    Steps steps = steps_of(q, first, last, false);
    bool fitted = q.fitted;
    if (fitted) {
        const Steps other = steps_of(q, first, last, true);
        fitted = fitted_wins(q, table, first, last, steps, other);
        if (fitted) steps = other;
    }
    for (int64_t row = first; row < last; row++)
        for (int64_t g = 0; g < q.groups(); g++) {
            const Found found = found_at(q, row, g);
            const uint8_t code = steps.encode(fitted ? found.fitted : found.nearest);
            // `nearest` keeps to the codes of the exact scale, as bitsandbytes has them
            write_codes(q, table, row, g, fitted ? steps.decode(code) : found.nearest);
            q.scales[row * q.groups() + g] = code;
        }
    q.steps[first / SCALE_ROWS * 2] = steps.step;
    q.steps[first / SCALE_ROWS * 2 + 1] = steps.offset;
}

// Rows [first, last); `first` is a multiple of SCALE_ROWS, and so is `last` but at the end.
inline void quantize_rows(const Quantisation& q, int64_t first, int64_t last) {
    const Table table = table_of(q.codebook);
    for (int64_t row = first; row < last; row += SCALE_ROWS)
        quantize_block(q, table, row, row + SCALE_ROWS < last ? row + SCALE_ROWS : last);
}

}  // namespace quantising
}  // namespace

}  // namespace loralab
