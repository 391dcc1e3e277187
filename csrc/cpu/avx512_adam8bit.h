// adam8bit.h sixteen elements at a time, with the same bits. Needs AVX512F and BW; -ffp-contract=off as there.
//
// The maps are even steps within each decade, so the nearest entry is a line in the share: its number is computed, not
// looked up. Where it passes so near to a border that rounding may have moved it over, the sixteen are looked up after all
// (one vector in a hundred). That both agree was tried with every float from -1 to 1.
#pragma once
#include <immintrin.h>

#include "adam8bit.h"

namespace loralab::avx512 {
namespace {

constexpr int PARTS = 1 << 12;   // of the distance between entries: the line is off by a fifth of one at most
constexpr int SEGMENTS = 9;      // nothing, seven decades, one
constexpr int VECTORS = ADAM_BLOCK / 16;
constexpr int ELEMENTS_AHEAD = 1024;  // elements prefetched: five streams, each with pages of its own

// What finds the entry of a share's magnitude. Keys are a float's bits shifted left by one, the sign below them: ordered
// as magnitudes are, a negative one behind its positive twin, since what lies on a border goes to the lower entry.
struct Line {
    __m512i turns[2];     // by exponent, 2^-31 … 2^0: key behind which a new segment begins, or the largest key
    __m512i segments[2];  // by exponent: the segment below it
    __m512 slope, start, last;  // by segment: PARTS · entry = start + slope · share, at most `last`
};

// `zero`: the entry that stands for 0. `lowest`: how many entries the lowest decade has.
inline Line line_of(const QuantMap& map, int zero, int lowest) {
    alignas(64) float slope[16] = {}, start[16] = {}, last[16] = {};
    alignas(64) uint32_t turns[32], segments[32];
    float begin[SEGMENTS + 1] = {};  // of each segment
    start[0] = last[0] = PARTS / 2;
    for (int d = 1, entry = 1; d < SEGMENTS; d++) {
        const int count = d < SEGMENTS - 1 ? lowest << (d - 1) : 1;
        begin[d] = map.borders[zero + entry - 1];
        const double low = map.values[zero + entry], high = map.values[zero + entry + count - 1];
        const double per_share = count > 1 ? PARTS * (count - 1) / (high - low) : 0;
        slope[d] = per_share;
        start[d] = PARTS * (entry + 0.5) - low * per_share + 1;  // the 1 centres what lies on a border, see nearest()
        last[d] = PARTS * (entry + count - 0.5);
        entry += count;
    }
    begin[SEGMENTS] = float_of(0x7f800000);
    for (int e = 0, d = 0; e < 32; e++) {
        while (begin[d + 1] < float_of((96 + e) << 23)) d++;
        segments[e] = d;
        turns[e] = begin[d + 1] < float_of((97 + e) << 23) ? bits_of(begin[d + 1]) << 1 : 0xffffffff;
    }
    return {{_mm512_load_si512(turns), _mm512_load_si512(turns + 16)},
            {_mm512_load_si512(segments), _mm512_load_si512(segments + 16)},
            _mm512_load_ps(slope), _mm512_load_ps(start), _mm512_load_ps(last)};
}

inline __m512i looked_up(const QuantMap& map, __m512 share) {
    const __m512i byte = _mm512_set1_epi32(255), bucket = _mm512_srli_epi32(_mm512_castps_si512(share), 16);
    // four bytes are gathered of which the first counts; behind `below` lie the planes, so all of them are ours
    const __m512i below = _mm512_and_epi32(_mm512_i32gather_epi32(bucket, map.below, 1), byte);
    const __mmask16 above = _mm512_cmp_ps_mask(share, _mm512_i32gather_ps(below, map.borders, 4), _CMP_GT_OQ);
    return _mm512_mask_add_epi32(below, above, below, _mm512_set1_epi32(1));
}

// Entries nearest to sixteen shares, before they are limited to 0 … 255; `unsure` where rounding may have moved the line
// over a border. SIGNED: the map mirrors its positive half around entry 127, but for the 1.
template <bool SIGNED>
inline __m512i on_line(const Line& line, __m512 share, __mmask16& unsure) {
    const __m512i key = _mm512_max_epu32(_mm512_rol_epi32(_mm512_castps_si512(share), 1), _mm512_set1_epi32(96 << 24));
    const __m512i exponent = _mm512_srli_epi32(key, 24);  // as an index its low five bits count
    __m512i segment = _mm512_permutex2var_epi32(line.segments[0], exponent, line.segments[1]);
    const __m512i turn = _mm512_permutex2var_epi32(line.turns[0], exponent, line.turns[1]);
    segment = _mm512_mask_add_epi32(segment, _mm512_cmpgt_epu32_mask(key, turn), segment, _mm512_set1_epi32(1));
    const __m512 size = SIGNED ? _mm512_abs_ps(share) : share;
    const __m512 at = _mm512_fmadd_ps(size, _mm512_permutexvar_ps(segment, line.slope),
                                      _mm512_permutexvar_ps(segment, line.start));
    const __m512i parts = _mm512_cvtps_epi32(_mm512_min_ps(at, _mm512_permutexvar_ps(segment, line.last)));
    unsure = _mm512_testn_epi32_mask(parts, _mm512_set1_epi32(PARTS - 2));  // 0 or 1 part from a border
    const __m512i entry = _mm512_srli_epi32(parts, 12);
    if (!SIGNED) return entry;
    const __m512i sign = _mm512_srai_epi32(_mm512_castps_si512(share), 31);
    return _mm512_add_epi32(_mm512_xor_epi32(entry, sign), _mm512_sub_epi32(_mm512_set1_epi32(127), sign));
}

// Dword 4i + j ↔ dword 4j + i: between the order of elements and the one in which lanes are unpacked and packed.
inline __m512i transposed(__m512i dwords) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, dwords);
}

// 64 numbers times `scale`, as codes.
template <bool SIGNED>
inline void quantize64(const QuantMap& map, const Line& line, const __m512* numbers, __m512 scale, uint8_t* codes) {
    __m512i entry[4];
    __mmask16 unsure[4];
    for (int k = 0; k < 4; k++) entry[k] = on_line<SIGNED>(line, _mm512_mul_ps(numbers[k], scale), unsure[k]);
    if (__builtin_expect(unsure[0] | unsure[1] | unsure[2] | unsure[3], 0))
        for (int k = 0; k < 4; k++)
            if (unsure[k]) entry[k] = looked_up(map, _mm512_mul_ps(numbers[k], scale));
    // packing limits to 0 … 255: a share below the lowest entry comes out as -1
    const __m512i low = _mm512_packus_epi32(entry[0], entry[1]), high = _mm512_packus_epi32(entry[2], entry[3]);
    _mm512_storeu_si512(codes, transposed(_mm512_packus_epi16(low, high)));
}

// What 64 codes stand for.
inline void look_up64(const QuantMap& map, const uint8_t* codes, __m512 values[4]) {
#ifdef __AVX512VBMI__
    const __m512i index = transposed(_mm512_loadu_si512(codes));
    const __mmask64 upper = _mm512_movepi8_mask(index);
    __m512i plane[4];
    for (int b = 0; b < 4; b++) {
        const __m512i* table = (const __m512i*)map.planes[b];
        const __m512i low = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), index, _mm512_loadu_si512(table + 1));
        const __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 2), index, _mm512_loadu_si512(table + 3));
        plane[b] = _mm512_mask_mov_epi8(low, upper, high);
    }
    const __m512i low[2] = {_mm512_unpacklo_epi8(plane[0], plane[1]), _mm512_unpackhi_epi8(plane[0], plane[1])};
    const __m512i high[2] = {_mm512_unpacklo_epi8(plane[2], plane[3]), _mm512_unpackhi_epi8(plane[2], plane[3])};
    for (int k = 0; k < 2; k++) {
        values[2 * k] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(low[k], high[k]));
        values[2 * k + 1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(low[k], high[k]));
    }
#else
    for (int k = 0; k < 4; k++) {
        const __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(codes + 16 * k)));
        values[k] = _mm512_i32gather_ps(index, map.values, 4);
    }
#endif
}

inline __m512 load16(const float* at) { return _mm512_loadu_ps(at); }
inline __m512 load16(const uint16_t* at) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)at)), 16));
}

inline void store16(float* tensor, int64_t i, __m512 value, const uint32_t*) { _mm512_storeu_ps(tensor + i, value); }
inline void store16(uint16_t* tensor, int64_t i, __m512 value, const uint32_t* key) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i x = _mm512_add_epi32(lanes, _mm512_set1_epi32(uint32_t(i) + key[0]));
    x = _mm512_mullo_epi32(_mm512_xor_epi32(x, _mm512_srli_epi32(x, 16)), _mm512_set1_epi32(0x7feb352d));
    x = _mm512_xor_epi32(_mm512_xor_epi32(x, _mm512_srli_epi32(x, 15)), _mm512_set1_epi32(key[1]));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x846ca68b));
    x = _mm512_and_epi32(_mm512_xor_epi32(x, _mm512_srli_epi32(x, 16)), _mm512_set1_epi32(0xffff));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(value), x), 16);
    _mm256_storeu_si256((__m256i*)(tensor + i), _mm512_cvtepi32_epi16(rounded));
}

// A block's new moments, and the numbers that turn them into shares of the largest.
struct Moments {
    __m512 means[VECTORS], squares[VECTORS];
    float per_mean, per_square;

    // 64 elements from vector `j` on → codes.
    LORALAB_INLINE void quantize(int j, const AdamMaps& maps, const Line& mean_line, const Line& square_line,
                                 uint8_t* mean_codes, uint8_t* square_codes) const {
        quantize64<true>(maps.mean, mean_line, means + j, _mm512_set1_ps(per_mean), mean_codes + 16 * j);
        quantize64<false>(maps.square, square_line, squares + j, _mm512_set1_ps(per_square), square_codes + 16 * j);
    }
};

// A whole block, from element `from` on; `meanwhile(j)` at every fourth vector: work that does not wait for the divider.
template <class Parameter, class Gradient, class Meanwhile>
LORALAB_INLINE void update_block(Parameter* parameter, const Gradient* gradient, const uint8_t* mean_codes,
                                 const uint8_t* square_codes, float* mean_scale, float* square_scale, int64_t from,
                                 const AdamStep& step, const AdamMaps& maps, Moments& to, const Meanwhile& meanwhile) {
    __m512 largest_mean = _mm512_setzero_ps(), largest_square = _mm512_setzero_ps();
    for (int j = 0; j < VECTORS; j++) {
        const int64_t i = from + 16 * j;
        _mm_prefetch((const char*)(gradient + i + ELEMENTS_AHEAD), _MM_HINT_T0);
        _mm_prefetch((const char*)(parameter + i + ELEMENTS_AHEAD), _MM_HINT_T0);
        if (j % 4 == 0) {
            _mm_prefetch((const char*)(mean_codes + i + ELEMENTS_AHEAD), _MM_HINT_T0);
            _mm_prefetch((const char*)(square_codes + i + ELEMENTS_AHEAD), _MM_HINT_T0);
            look_up64(maps.mean, mean_codes + i, to.means + j);
            look_up64(maps.square, square_codes + i, to.squares + j);
            meanwhile(j);
        }
        const __m512 g = load16(gradient + i);
        __m512 m = _mm512_mul_ps(to.means[j], _mm512_set1_ps(*mean_scale));
        __m512 v = _mm512_mul_ps(to.squares[j], _mm512_set1_ps(*square_scale));
        m = _mm512_add_ps(_mm512_mul_ps(m, _mm512_set1_ps(step.beta1)), _mm512_mul_ps(g, _mm512_set1_ps(step.rest1)));
        v = _mm512_add_ps(_mm512_mul_ps(v, _mm512_set1_ps(step.beta2)),
                          _mm512_mul_ps(_mm512_mul_ps(g, g), _mm512_set1_ps(step.rest2)));
        const __m512 root = _mm512_mul_ps(_mm512_sqrt_ps(v), _mm512_set1_ps(step.root));
        const __m512 ratio = _mm512_div_ps(m, _mm512_add_ps(root, _mm512_set1_ps(step.eps)));
        const __m512 kept = _mm512_mul_ps(load16(parameter + i), _mm512_set1_ps(step.decay));
        store16(parameter, i, _mm512_sub_ps(kept, _mm512_mul_ps(ratio, _mm512_set1_ps(step.rate))), step.key);
        to.means[j] = m;
        to.squares[j] = v;
        largest_mean = _mm512_max_ps(largest_mean, _mm512_abs_ps(m));
        largest_square = _mm512_max_ps(largest_square, v);
    }
    *mean_scale = _mm512_reduce_max_ps(largest_mean);
    *square_scale = _mm512_reduce_max_ps(largest_square);
    to.per_mean = share_of_one(*mean_scale);
    to.per_square = share_of_one(*square_scale);
}

// As loralab::adam8bit. A block is quantised while the next one is updated: the one is look-ups, the other waits for roots
// and quotients.
template <class Parameter, class Gradient>
inline void adam8bit(Parameter* parameter, const Gradient* gradient, uint8_t* mean_codes, uint8_t* square_codes,
                     float* mean_scales, float* square_scales, int64_t elements, int64_t first, int64_t last,
                     const AdamStep& step, const AdamMaps& maps) {
    const Line mean_line = line_of(maps.mean, 127, 1), square_line = line_of(maps.square, 0, 2);
    const int64_t whole = last * ADAM_BLOCK <= elements ? last : elements / ADAM_BLOCK;
    Moments moments[2];
    const auto quantize = [&](int64_t block, int j) {
        if (block >= first)
            moments[block % 2].quantize(j, maps, mean_line, square_line, mean_codes + block * ADAM_BLOCK,
                                        square_codes + block * ADAM_BLOCK);
    };
    for (int64_t block = first; block < whole; block++)
        update_block(parameter, gradient, mean_codes, square_codes, mean_scales + block, square_scales + block,
                     block * ADAM_BLOCK, step, maps, moments[block % 2], [&](int j) { quantize(block - 1, j); });
    for (int j = 0; j < VECTORS; j += 4) quantize(whole - 1, j);
    loralab::adam8bit(parameter, gradient, mean_codes, square_codes, mean_scales, square_scales, elements,
                      first > whole ? first : whole, last, step, maps);
}

}  // namespace
}  // namespace loralab::avx512
