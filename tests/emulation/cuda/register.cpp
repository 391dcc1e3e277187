// The operators of csrc/binding/cuda as torch.ops.emulated.*, on tensors of the CPU.
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>

#include <cmath>

#include "../../../csrc/binding/cuda/library.h"
#include "../group.h"

namespace loralab {

int32_t device_type() { return aoti_torch_device_type_cpu(); }
const char* device_name() { return "an emulated GPU"; }

OnDevice::OnDevice(int32_t) : guard_(nullptr), stream_(nullptr) {}
OnDevice::~OnDevice() {}

void mm_out(const Tensor& y, const Tensor& x, const Tensor& matrix) {
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_mm_out(y.get(), x.get(), matrix.get()));
}

void addmm_out(const Tensor& y, const Tensor& added, const Tensor& x, const Tensor& matrix) {
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_addmm_out(y.get(), added.get(), x.get(), matrix.get(), 1.0, 1.0));
}

namespace {

float fp8(uint8_t bits) {
    const int exponent = bits >> 3 & 15, steps = bits & 7;
    const float size = exponent ? std::ldexp(8.0f + steps, exponent - 10) : std::ldexp(float(steps), -9);
    return bits & 0x80 ? -size : size;
}

}  // namespace

void scaled_mm_out(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& x_scales, const Tensor& w_scales) {
    const auto *left = static_cast<const uint8_t*>(x.const_data_ptr()), *right = static_cast<const uint8_t*>(w.const_data_ptr());
    const auto *of_x = static_cast<const float*>(x_scales.const_data_ptr()), *of_w = static_cast<const float*>(w_scales.const_data_ptr());
    auto* out = static_cast<bf16*>(y.mutable_data_ptr());
    const int64_t inner = x.size(1), columns = w.size(0);
    for (int64_t i = 0; i < x.size(0); i++)
        for (int64_t j = 0; j < columns; j++) {
            float sum = 0;
            for (int64_t k = 0; k < inner; k++) sum += fp8(left[i * inner + k]) * fp8(right[j * inner + k]);
            out[i * y.stride(0) + j] = to_bf16(sum * of_x[i] * of_w[j]);
        }
}

}  // namespace loralab

STABLE_TORCH_LIBRARY_IMPL(emulated, CPU, library) {
    library.impl("quant_matmul", TORCH_BOX(&loralab::quant_matmul));
    library.impl("dequantize", TORCH_BOX(&loralab::dequantize));
    library.impl("rms_norm", TORCH_BOX(&loralab::rms_norm));
    library.impl("rms_norm_backward", TORCH_BOX(&loralab::rms_norm_backward));
    library.impl("rotary", TORCH_BOX(&loralab::rotary));
    library.impl("gated", TORCH_BOX(&loralab::gated));
    library.impl("gated_backward", TORCH_BOX(&loralab::gated_backward));
    library.impl("gated_halves_backward", TORCH_BOX(&loralab::gated_halves_backward));
    library.impl("softmax_loss_", TORCH_BOX(&loralab::softmax_loss_));
    library.impl("adam8bit_many_", TORCH_BOX(&loralab::adam8bit_many_));
}

// In which order the threads of a block run from now on (emulation::set_order).
extern "C" void emulation_set_order(uint64_t order) { emulation::set_order(order); }
