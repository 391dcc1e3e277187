// torch.ops.loralab.softmax_loss_ and adam8bit_many_ on GPUs (csrc/cuda/loss.cu, adam8bit.cu).
#include "rows.h"

namespace loralab {
namespace {

constexpr int64_t STEP_WORDS = sizeof(AdamStep) / 4;

template <class Value>
Value* changed(const char* name, const Tensor& tensor, int32_t dtype, int64_t elements) {
    return static_cast<Value*>(const_cast<void*>(flat_data(name, tensor, dtype, elements)));
}

AdamTensor adam_tensor(const Tensor& parameter, const Tensor& gradient, const Tensor& mean, const Tensor& square,
                       const Tensor& mean_scales, const Tensor& square_scales) {
    const int32_t uint8 = aoti_torch_dtype_uint8(), float32 = aoti_torch_dtype_float32();
    AdamTensor t{};
    t.elements = parameter.numel();
    const int64_t blocks = (t.elements + ADAM_BLOCK - 1) / ADAM_BLOCK;
    t.parameter_element = element_of(parameter, "parameter"), t.gradient_element = element_of(gradient, "gradient");
    t.parameter = changed<void>("parameter", parameter, dtype_of(parameter), t.elements);
    t.gradient = flat_data("gradient", gradient, dtype_of(gradient), t.elements);
    const bool eight = dtype_of(mean) == uint8;
    t.mean = changed<uint8_t>("mean", mean, eight ? uint8 : float32, t.elements);
    t.square = changed<uint8_t>("square", square, eight ? uint8 : float32, t.elements);
    if (!eight) return t;
    t.mean_scales = changed<float>("mean_scales", mean_scales, float32, blocks);
    t.square_scales = changed<float>("square_scales", square_scales, float32, blocks);
    return t;
}

}  // namespace

// logits [tokens, vocab] become their gradient; labels int64 [tokens].
Tensor softmax_loss_(Tensor logits, Tensor labels, double scale) {
    check_here("logits", logits);
    if (logits.dim() != 2 || !logits.is_contiguous() || logits.size(1) < 1 || logits.size(1) > 1 << 30)
        refuse("logits must be contiguous [tokens, vocab], not ", logits.is_contiguous() ? "" : "strided ", shape_of(logits));
    cuda::SoftmaxLoss l{};
    l.element = element_of(logits, "logits"), l.rows = logits.size(0), l.width = logits.size(1), l.scale = float(scale);
    l.labels = static_cast<const int64_t*>(data_of("labels", labels, aoti_torch_dtype_int64(), l.rows, -1));
    const OnDevice device(number_of(logits));
    const Tensor losses = empty(std::vector<int64_t>{l.rows}, aoti_torch_dtype_float32(), number_of(logits));
    const Tensor loss = empty(std::vector<int64_t>{}, aoti_torch_dtype_float32(), number_of(logits));
    l.logits = logits.mutable_data_ptr(), l.losses = static_cast<float*>(losses.mutable_data_ptr());
    l.loss = static_cast<float*>(loss.mutable_data_ptr());
    check(cuda::softmax_loss(l, device.stream()));
    return loss;
}

// Everything but gradients, steps and maps in place. steps: int32 [tensors, 10], the bits of an AdamStep each.
void adam8bit_many_(std::vector<Tensor> parameters, std::vector<Tensor> gradients, std::vector<Tensor> means,
                    std::vector<Tensor> squares, std::vector<Tensor> mean_scales, std::vector<Tensor> square_scales,
                    Tensor steps, Tensor mean_map, Tensor square_map) {
    const size_t count = parameters.size();
    for (const auto* each : {&gradients, &means, &squares, &mean_scales, &square_scales})
        if (each->size() != count) refuse("each of ", count, " parameters needs a gradient and its state, not ", each->size());
    if (!count) return;
    std::vector<AdamTensor> tensors(count);
    for (size_t i = 0; i < count; i++)
        tensors[i] = adam_tensor(parameters[i], gradients[i], means[i], squares[i], mean_scales[i], square_scales[i]);
    const int32_t float32 = aoti_torch_dtype_float32();
    const auto* numbers = static_cast<const AdamStep*>(data_of("steps", steps, aoti_torch_dtype_int32(), count, STEP_WORDS));
    const auto* mean = static_cast<const float*>(data_of("mean_map", mean_map, float32, 256, -1));
    const auto* square = static_cast<const float*>(data_of("square_map", square_map, float32, 256, -1));
    const OnDevice device(number_of(parameters[0]));
    check(cuda::adam_many(tensors.data(), int64_t(count), numbers, mean, square, device.stream()));
}

}  // namespace loralab
