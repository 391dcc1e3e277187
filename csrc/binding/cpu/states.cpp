// torch.ops.loralab.quantize and adam8bit_: tensors into 4 and 8 bits (csrc/cpu/quantize.h, adam8bit.h).
#include <cstring>
#include <tuple>
#include <vector>

#include "library.h"

namespace loralab {
namespace {

constexpr int64_t BLOCKS_A_TURN = 128;
constexpr int NUMBERS = 8;  // of AdamStep, the floats

// weight [out, in] → codes, scales, steps and zero-points of a QuantTensor.
std::tuple<Tensor, Tensor, Tensor, Tensor> quantize(Tensor weight, int64_t group, Tensor codebook, bool fitted,
                                                    bool zero_points) {
    if (!chosen().quantize) refuse("the ", chosen().name, " kernels do not quantise");
    if (group != 32 && group != 64 && group != 128) refuse("group must be 32, 64 or 128, not ", group);
    if (!lies_here(weight) || weight.dim() != 2 || weight.numel() == 0)
        refuse("the weight must be [out, in] on the CPU, not ", shape_of(weight));
    if (weight.stride(1) != 1) weight = torch::stable::contiguous(weight);
    const int32_t uint8 = aoti_torch_dtype_uint8(), float32 = aoti_torch_dtype_float32();
    Quantisation q{};
    q.weight = weight.const_data_ptr(), q.element = element_of(weight), q.stride = weight.stride(0);
    q.out = weight.size(0), q.in = weight.size(1), q.group = group, q.fitted = fitted;
    q.codebook = static_cast<const float*>(data_of("codebook", codebook, float32, 16, -1));
    const int64_t blocks = (q.out + SCALE_ROWS - 1) / SCALE_ROWS;
    Tensor codes = empty(q.out, q.groups() * group / 2, uint8), scales = empty(q.out, q.groups(), uint8);
    Tensor steps = empty(blocks, 2, float32), zeros = empty(zero_points ? q.out : 0, q.groups(), uint8);
    q.codes = static_cast<uint8_t*>(codes.mutable_data_ptr());
    q.scales = static_cast<uint8_t*>(scales.mutable_data_ptr());
    q.steps = static_cast<float*>(steps.mutable_data_ptr());
    q.zeros = zero_points ? static_cast<uint8_t*>(zeros.mutable_data_ptr()) : nullptr;
    torch::stable::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
        chosen().quantize(q, first * SCALE_ROWS, last * SCALE_ROWS < q.out ? last * SCALE_ROWS : q.out);
    });
    return {codes, scales, steps, zeros};
}

// One step of AdamW on one tensor, everything in place.
void adam8bit_(Tensor parameter, Tensor gradient, Tensor mean, Tensor square, Tensor mean_scales, Tensor square_scales,
               std::vector<double> numbers, int64_t seed, Tensor mean_map, Tensor square_map) {
    const int32_t uint8 = aoti_torch_dtype_uint8(), float32 = aoti_torch_dtype_float32();
    if (!chosen().adam8bit) refuse("the ", chosen().name, " kernels have no 8-bit Adam");
    if (numbers.size() != NUMBERS) refuse("numbers must be ", NUMBERS, ", not ", numbers.size());
    if (gradient.numel() != parameter.numel()) refuse("the gradient must be ", shape_of(parameter));
    const int64_t elements = parameter.numel(), blocks = (elements + ADAM_BLOCK - 1) / ADAM_BLOCK;
    AdamTensor t{};
    t.elements = elements;
    t.parameter_element = element_of(parameter), t.gradient_element = element_of(gradient);
    t.parameter = const_cast<void*>(flat_data("parameter", parameter, dtype_of(parameter), elements));
    t.gradient = flat_data("gradient", gradient, dtype_of(gradient), elements);
    t.mean = static_cast<uint8_t*>(const_cast<void*>(flat_data("mean", mean, uint8, elements)));
    t.square = static_cast<uint8_t*>(const_cast<void*>(flat_data("square", square, uint8, elements)));
    t.mean_scales = static_cast<float*>(const_cast<void*>(flat_data("mean_scales", mean_scales, float32, blocks)));
    t.square_scales = static_cast<float*>(const_cast<void*>(flat_data("square_scales", square_scales, float32, blocks)));
    AdamStep step{};
    float values[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) values[i] = static_cast<float>(numbers[i]);
    std::memcpy(&step, values, sizeof values);
    step.key[0] = static_cast<uint32_t>(seed), step.key[1] = static_cast<uint32_t>(seed >> 32);
    const auto* means = static_cast<const float*>(data_of("mean_map", mean_map, float32, 256, -1));
    const auto* squares = static_cast<const float*>(data_of("square_map", square_map, float32, 256, -1));
    by_turns(blocks, BLOCKS_A_TURN, [&](int64_t first, int64_t last) {
        chosen().adam8bit(t, step, means, squares, first, last);
    });
}

}  // namespace
}  // namespace loralab

STABLE_TORCH_LIBRARY_IMPL(loralab, CPU, library) {
    library.impl("quantize", TORCH_BOX(&loralab::quantize));
    library.impl("adam8bit_", TORCH_BOX(&loralab::adam8bit_));
}
