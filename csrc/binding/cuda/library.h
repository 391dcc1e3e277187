// What the operators on GPUs use of torch. register.cpp takes it from torch's own CUDA library; the tests bring another.
#pragma once
#include <tuple>

#include "../../cuda/kernels.h"
#include "../checks.h"

namespace loralab {

// The current stream of a GPU, which is the current device meanwhile.
class OnDevice {
   public:
    explicit OnDevice(int32_t number);
    ~OnDevice();
    OnDevice(const OnDevice&) = delete;
    cuda::Stream stream() const { return stream_; }

   private:
    void* guard_;
    cuda::Stream stream_;
};

// y = x · matrix, and y = added + x · matrix, where `added` may be y itself
void mm_out(const Tensor& y, const Tensor& x, const Tensor& matrix);
void addmm_out(const Tensor& y, const Tensor& added, const Tensor& x, const Tensor& matrix);

// y [rows, columns] in bfloat16 = x · wᵀ, both float8, their rows scaled by x_scales [rows] and w_scales [columns]
void scaled_mm_out(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& x_scales, const Tensor& w_scales);

inline int32_t number_of(const Tensor& tensor) {
    int32_t number;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(tensor.get(), &number));
    return number;
}

inline Element element_of(const Tensor& tensor, const char* name = "x") {
    const int32_t dtype = dtype_of(tensor);
    if (dtype == aoti_torch_dtype_bfloat16()) return Element::bf16;
    if (dtype == aoti_torch_dtype_float16()) return Element::fp16;
    if (dtype != aoti_torch_dtype_float32()) refuse(name, " must be float32, bfloat16 or float16, not ", dtype_name(dtype));
    return Element::float32;
}

inline void check(cuda::Error error) {
    if (error) refuse("a kernel did not start: ", error);
}

// The tensor itself where it is of this type and contiguous.
inline Tensor as(const Tensor& tensor, int32_t dtype) {
    if (dtype_of(tensor) == dtype && tensor.is_contiguous()) return tensor;
    if (tensor.dim() != 1 && tensor.dim() != 2) refuse("one or two dimensions are wanted, not ", shape_of(tensor));
    const bool flat = tensor.dim() == 1;
    Tensor made = empty(flat ? 1 : tensor.size(0), tensor.size(flat ? 0 : 1), dtype, number_of(tensor));
    if (flat) made = flattened(made);
    torch::stable::copy_(made, tensor);
    return made;
}

// left, right and bias as tiles take them, and what keeps them alive.
struct Added {
    Maybe left, right, bias;
    cuda::Addend addend{};

    Added(const Maybe& given_left, const Maybe& given_right, const Maybe& given_bias, int32_t dtype) {
        if (given_left) left = as(*given_left, dtype), right = as(*given_right, dtype);
        if (given_bias) bias = as(*given_bias, aoti_torch_dtype_float32());
        if (left) addend.left = left->const_data_ptr(), addend.right = right->const_data_ptr(), addend.extra = left->size(1);
        if (bias) addend.bias = static_cast<const float*>(bias->const_data_ptr());
    }
};

// By 8-bit numbers (bytes.cpp).
void multiply_8(Product p, const Tensor& x, const Tensor& y, const Maybe& left, const Maybe& right, const Maybe& bias,
                cuda::Form form, cuda::Stream stream);

// The operators, for whoever registers them.
Tensor quant_matmul(Tensor x, Tensor codes, Tensor scales, Maybe steps, Maybe codebook, Maybe zeros, int64_t width,
                    int64_t group, bool transposed, Maybe left, Maybe right, Maybe bias, std::string path);
Tensor dequantize(Tensor codes, Tensor scales, Maybe steps, Maybe codebook, Maybe zeros, int64_t width, int64_t group,
                  int64_t first, int64_t last, int64_t element);
std::tuple<Tensor, Tensor> rms_norm(Tensor x, Tensor gain, double eps, double offset);
Tensor rms_norm_backward(Tensor dy, Tensor x, Tensor gain, Tensor scale, double offset);
Tensor rotary(Tensor x, Tensor cos, Tensor sin, bool inverse);
Tensor gated(Tensor gate, Tensor up, std::string activation);
std::tuple<Tensor, Tensor> gated_backward(Tensor dy, Tensor gate, Tensor up, std::string activation);
Tensor gated_halves_backward(Tensor dy, Tensor both, std::string activation);
Tensor softmax_loss_(Tensor logits, Tensor labels, double scale);
void adam8bit_many_(std::vector<Tensor> parameters, std::vector<Tensor> gradients, std::vector<Tensor> means,
                    std::vector<Tensor> squares, std::vector<Tensor> mean_scales, std::vector<Tensor> square_scales,
                    Tensor steps, Tensor mean_map, Tensor square_map);

}  // namespace loralab
