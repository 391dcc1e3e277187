// Entries of the table of kernels that are the same code for every instruction set, compiled for each.
#pragma once
#include "adam8bit.h"
#include "decode.h"
#include "quantize.h"
#include "rows.h"

namespace loralab {

static inline void quantize(const Quantisation& quantisation, int64_t first, int64_t last) {
    quantising::quantize_rows(quantisation, first, last);
}

static inline void step_adam(const AdamTensor& t, const AdamStep& step, const float* mean_map, const float* square_map,
                             int64_t first, int64_t last) {
    const AdamMaps& maps = adam_maps(mean_map, square_map);
    with_types(t, [&](auto* parameter, auto* gradient) {
        adam8bit(parameter, gradient, t.mean, t.square, t.mean_scales, t.square_scales, t.elements, first, last, step, maps);
    });
}

template <class Fine, class Coarse, class Eight>
static void decode(const DecodeModel& model, const DecodeToken& token, int64_t threads, ParallelFor parallel) {
    if (model.cache == Element::bf16)
        decode_token<Vector<Element::bf16, Fine, Coarse, Eight>>(model, token, threads, parallel);
    else decode_token<Vector<Element::float32, Fine, Coarse, Eight>>(model, token, threads, parallel);
}

}  // namespace loralab
