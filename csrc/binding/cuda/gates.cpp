// torch.ops.loralab.rotary, gated and the gradients of the latter on GPUs (csrc/cuda/rotary.cu, gated.cu).
#include "rows.h"

namespace loralab {
namespace {

cuda::Activation activation_of(const std::string& name) {
    const char* known[] = {"silu", "gelu", "gelu_tanh", "relu"};
    for (int i = 0; i < 4; i++)
        if (name == known[i]) return cuda::Activation(i);
    refuse("activation must be silu, gelu, gelu_tanh or relu, not ", name);
}

// Tensors with rows a stride apart, and whoever owns them meanwhile.
struct Gates {
    cuda::Gate gate{};
    Tensor of_gate, of_up;

    Gates(const Tensor& wanted_gate, const Tensor& wanted_up, const std::string& activation)
        : of_gate(wanted_gate), of_up(wanted_up) {
        check_size("gate", of_gate), check_alike("up", of_up, of_gate);
        gate.element = element_of(of_gate, "gate"), gate.activation = activation_of(activation);
        Layout gates, ups;
        of_gate = with_layout(of_gate, 1, gates), of_up = with_layout(of_up, 1, ups);
        gate.width = of_gate.size(of_gate.dim() - 1), gate.rows = gates.rows;
        gate.gate = of_gate.const_data_ptr(), gate.gate_stride = gates.stride;
        gate.up = of_up.const_data_ptr(), gate.up_stride = ups.stride;
    }

    void gradients(const Tensor& dy, void* dgate, void* dup, int64_t stride, cuda::Stream stream) {
        check_alike("dy", dy, of_gate);
        Layout layout;
        const Tensor own = with_layout(dy, 1, layout);
        gate.dy = own.const_data_ptr(), gate.dy_stride = layout.stride;
        gate.dgate = dgate, gate.dup = dup, gate.gradient_stride = stride;
        if (dy.numel()) check(cuda::gated(gate, stream));
    }
};

}  // namespace

// x [batch, time, heads, size]; cos and sin [batch or 1, time, 1, half].
Tensor rotary(Tensor x, Tensor cos, Tensor sin, bool inverse) {
    check_here("x", x), check_size("x", x);
    if (x.dim() != 4) refuse("x must be [batch, time, heads, size], not ", shape_of(x));
    cuda::Rotary r{};
    r.element = element_of(x), r.inverse = inverse;
    r.batch = x.size(0), r.time = x.size(1), r.heads = x.size(2), r.size = x.size(3);
    r.half = cos.size(cos.dim() - 1);
    const bool every = cos.dim() == 4 && cos.size(0) == r.batch;
    if (cos.dim() != 4 || !(every || cos.size(0) == 1) || cos.size(1) != r.time || cos.size(2) != 1 || 2 * r.half > r.size)
        refuse("cos must be [", r.batch, " or 1, ", r.time, ", 1, up to ", r.size / 2, "], not ", shape_of(cos));
    if (sizes_of(sin) != sizes_of(cos)) refuse("sin must be ", shape_of(cos), " as cos is, not ", shape_of(sin));
    const OnDevice device(number_of(x));
    const int32_t float32 = aoti_torch_dtype_float32();
    cos = torch::stable::contiguous(cos), sin = torch::stable::contiguous(sin);
    r.cos = static_cast<const float*>(flat_data("cos", cos, float32, cos.numel()));
    r.sin = static_cast<const float*>(flat_data("sin", sin, float32, sin.numel()));
    r.turn_stride = every ? r.time * r.half : 0;
    if (x.stride(3) != 1) x = torch::stable::contiguous(x);
    for (int i = 0; i < 3; i++) r.strides[i] = x.size(i) > 1 ? x.stride(i) : 0;
    const Tensor y = empty(sizes_of(x), dtype_of(x), number_of(x));
    r.x = x.const_data_ptr(), r.y = y.mutable_data_ptr();
    if (x.numel()) check(cuda::rotary(r, device.stream()));
    return y;
}

Tensor gated(Tensor gate, Tensor up, std::string activation) {
    check_here("gate", gate);
    const OnDevice device(number_of(gate));
    Gates gates(gate, up, activation);
    const Tensor y = empty(sizes_of(gate), dtype_of(gate), number_of(gate));
    gates.gate.y = y.mutable_data_ptr();
    if (y.numel()) check(cuda::gated(gates.gate, device.stream()));
    return y;
}

std::tuple<Tensor, Tensor> gated_backward(Tensor dy, Tensor gate, Tensor up, std::string activation) {
    check_here("gate", gate);
    const OnDevice device(number_of(gate));
    Gates gates(gate, up, activation);
    const Tensor dgate = empty(sizes_of(gate), dtype_of(gate), number_of(gate));
    const Tensor dup = empty(sizes_of(gate), dtype_of(gate), number_of(gate));
    gates.gradients(dy, dgate.mutable_data_ptr(), dup.mutable_data_ptr(), gates.gate.width, device.stream());
    return {dgate, dup};
}

// both [..., 2 · width] and its gradient hold gate and up beside one another.
Tensor gated_halves_backward(Tensor dy, Tensor both, std::string activation) {
    check_here("both", both), check_size("both", both);
    const OnDevice device(number_of(both));
    Layout layout;
    both = with_layout(both, 1, layout);
    const int64_t width = both.size(both.dim() - 1) / 2;
    if (both.size(both.dim() - 1) % 2) refuse("both must hold two halves of one width, not ", shape_of(both));
    const Tensor gate = view(both, layout.rows, width, layout.stride, 1, 0);
    const Tensor up = view(both, layout.rows, width, layout.stride, 1, width);
    const Tensor dboth = empty(sizes_of(both), dtype_of(both), number_of(both));
    if (dy.dim() != both.dim() || dy.numel() != layout.rows * width)
        refuse("dy must be half as wide as both, ", shape_of(both), ", not ", shape_of(dy));
    Layout of_dy;
    const Tensor slope = with_layout(dy, 1, of_dy);
    Gates gates(gate, up, activation);
    char* to = static_cast<char*>(dboth.mutable_data_ptr());
    const int64_t bytes = width * (gates.gate.element == Element::float32 ? 4 : 2);
    gates.gradients(view(slope, layout.rows, width, of_dy.stride, 1, 0), to, to + bytes, 2 * width, device.stream());
    return dboth;
}

}  // namespace loralab
