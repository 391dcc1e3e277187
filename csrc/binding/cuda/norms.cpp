// torch.ops.loralab.rms_norm and rms_norm_backward on GPUs (csrc/cuda/norm.cu).
#include "rows.h"

namespace loralab {
namespace {

cuda::Rows rows_of(const Tensor& own, const Layout& layout) {
    return {own.const_data_ptr(), layout.inner > 0 ? layout.inner : 1, layout.outer_stride, layout.stride};
}

// What forward and backward share; `gain` becomes one that the kernels take.
cuda::Norm norm_of(const Tensor& x, Tensor& gain, double offset) {
    check_here("x", x), check_size("x", x);
    cuda::Norm n{};
    n.element = element_of(x), n.width = x.size(x.dim() - 1), n.rows = n.width ? x.numel() / n.width : 0;
    n.offset = float(offset);
    if (!lies_here(gain) || gain.dim() != 1 || gain.numel() != n.width)
        refuse("gain must be [", n.width, "] on ", device_name(), ", not ", shape_of(gain));
    gain = as(gain, dtype_of(gain) == dtype_of(x) ? dtype_of(x) : aoti_torch_dtype_float32());
    n.gain_element = element_of(gain), n.gain = gain.const_data_ptr();
    return n;
}

}  // namespace

// y of x's shape and type, and 1 / rms, float32 [..., 1].
std::tuple<Tensor, Tensor> rms_norm(Tensor x, Tensor gain, double eps, double offset) {
    cuda::Norm n = norm_of(x, gain, offset);
    std::vector<int64_t> sizes = sizes_of(x);
    const OnDevice device(number_of(x));
    const Tensor y = empty(sizes, dtype_of(x), number_of(x));
    sizes.back() = 1;
    const Tensor scale = empty(sizes, aoti_torch_dtype_float32(), number_of(x));
    Layout layout;
    const Tensor own = with_layout(x, 2, layout);
    n.x = rows_of(own, layout), n.eps = float(eps);
    n.to = y.mutable_data_ptr(), n.scale = static_cast<float*>(scale.mutable_data_ptr());
    check(cuda::rms_norm(n, device.stream()));
    return {y, scale};
}

Tensor rms_norm_backward(Tensor dy, Tensor x, Tensor gain, Tensor scale, double offset) {
    cuda::Norm n = norm_of(x, gain, offset);
    check_alike("dy", dy, x);
    const OnDevice device(number_of(x));
    const Tensor dx = empty(sizes_of(x), dtype_of(x), number_of(x));
    Layout of_x, of_dy;
    const Tensor own = with_layout(x, 2, of_x), slope = with_layout(dy, 2, of_dy);
    n.x = rows_of(own, of_x), n.dy = rows_of(slope, of_dy), n.to = dx.mutable_data_ptr();
    n.scale = static_cast<float*>(const_cast<void*>(flat_data("scale", scale, aoti_torch_dtype_float32(), n.rows)));
    check(cuda::rms_norm_backward(n, device.stream()));
    return dx;
}

}  // namespace loralab
