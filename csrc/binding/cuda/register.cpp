// The operators of csrc/binding/cuda as torch's CUDA backend of torch.ops.loralab.*
//
// What torch's CUDA library has is looked up when it is needed: linked against, this one would not even load where torch
// has none, and could not say so.
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cuda.h>

#include "library.h"

namespace loralab {
namespace {

template <class Function>
Function* find(Function*, const char* name) {
    static void* library = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
    void* found = library ? dlsym(library, name) : nullptr;
    if (!found) found = dlsym(RTLD_DEFAULT, name);
    if (!found) refuse("this torch has no CUDA: ", name, " is missing");
    return reinterpret_cast<Function*>(found);
}

}  // namespace

#define TORCH(name) (find(decltype(&name)(nullptr), #name))

int32_t device_type() { return aoti_torch_device_type_cuda(); }
const char* device_name() { return "a GPU"; }

OnDevice::OnDevice(int32_t number) {
    DeviceGuardHandle guard;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_create_device_guard(number, &guard));
    guard_ = guard;
    using Current = AOTITorchError(int32_t, void**);  // torch declares it only where it was built with CUDA
    static auto* current = find(static_cast<Current*>(nullptr), "aoti_torch_get_current_cuda_stream");
    STABLE_TORCH_ERROR_CODE_CHECK(current(number, &stream_));
}

OnDevice::~OnDevice() { aoti_torch_delete_device_guard(static_cast<DeviceGuardHandle>(guard_)); }

void mm_out(const Tensor& y, const Tensor& x, const Tensor& matrix) {
    static auto* own = TORCH(aoti_torch_cuda_mm_out);
    STABLE_TORCH_ERROR_CODE_CHECK(own(y.get(), x.get(), matrix.get()));
}

void addmm_out(const Tensor& y, const Tensor& added, const Tensor& x, const Tensor& matrix) {
    static auto* own = TORCH(aoti_torch_cuda_addmm_out);
    STABLE_TORCH_ERROR_CODE_CHECK(own(y.get(), added.get(), x.get(), matrix.get(), 1.0, 1.0));
}

void scaled_mm_out(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& x_scales, const Tensor& w_scales) {
    static auto* own = TORCH(aoti_torch_cuda__scaled_mm_out);
    int32_t dtype = dtype_of(y);
    const Tensor turned = view(w, w.size(1), w.size(0), 1, w.size(1), 0);
    const Tensor of_x = view(x_scales, x.size(0), 1, 1, 1, 0), of_w = view(w_scales, 1, w.size(0), w.size(0), 1, 0);
    STABLE_TORCH_ERROR_CODE_CHECK(
        own(y.get(), x.get(), turned.get(), of_x.get(), of_w.get(), nullptr, nullptr, &dtype, 1));
}

}  // namespace loralab

STABLE_TORCH_LIBRARY_IMPL(loralab, CUDA, library) {
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
