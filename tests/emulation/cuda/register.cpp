// The operators of csrc/binding/cuda as torch.ops.emulated.*, on tensors of the CPU.
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>

#include "../../../csrc/binding/cuda/library.h"

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

}  // namespace loralab

STABLE_TORCH_LIBRARY_IMPL(emulated, CPU, library) {
    library.impl("quant_matmul", TORCH_BOX(&loralab::quant_matmul));
    library.impl("dequantize", TORCH_BOX(&loralab::dequantize));
}
