// The quantiser's kernel for ctypes.
#include "quantize.h"

extern "C" void quantize_whole(const void* weight, int is_bf16, int64_t out, int64_t in, int64_t stride, int64_t group,
                               const float* codebook, int fitted, uint8_t* codes, uint8_t* scales, float* steps,
                               uint8_t* zeros) {
    const auto element = is_bf16 ? loralab::Element::bf16 : loralab::Element::float32;
    const loralab::Quantisation whole{weight,      element, out,    in,    stride, group, codebook,
                                      fitted != 0, codes,   scales, steps, zeros};
    loralab::quantising::quantize_rows(whole, 0, out);
}
