// Products by 8-bit numbers: the scratch they need, and W unpacked part by part.
#include "library.h"

namespace loralab {
namespace {

constexpr int64_t SLAB = 1 << 25;  // bytes of W in 8 bits at a time

// Everything in `rounded` lies in these.
struct Memory {
    Tensor x, x_scales, weight_scales, sizes, outliers, left, right;

    Memory(const Product& p, int32_t dtype, cuda::Form form, int64_t extra, int32_t number)
        : x(empty(p.rows, cuda::padded8(p.inner()), dtype_8(form), number)),
          x_scales(floats(p.rows, number)),
          weight_scales(floats(p.weight.out, number)),
          sizes(empty(1, p.transposed ? 0 : p.inner(), aoti_torch_dtype_int32(), number)),
          outliers(empty(1, cuda::OUTLIERS, aoti_torch_dtype_int32(), number)),
          left(empty(p.transposed ? 0 : p.rows, extra + cuda::OUTLIERS, dtype, number)),
          right(empty(p.transposed ? 0 : p.columns(), extra + cuda::OUTLIERS, dtype, number)) {
        torch::stable::zero_(sizes);
    }

    static int32_t dtype_8(cuda::Form form) {
        return form == cuda::Form::int8 ? aoti_torch_dtype_int8() : aoti_torch_dtype_float8_e4m3fn();
    }
    static Tensor floats(int64_t count, int32_t number) { return empty(1, count, aoti_torch_dtype_float32(), number); }

    cuda::Rounded rounded(bool transposed, cuda::Form form) const {
        cuda::Rounded r{};
        r.form = form, r.x = static_cast<uint8_t*>(x.mutable_data_ptr());
        r.x_scales = static_cast<float*>(x_scales.mutable_data_ptr());
        r.weight_scales = static_cast<float*>(weight_scales.mutable_data_ptr());
        if (transposed) return r;
        r.sizes = static_cast<uint32_t*>(sizes.mutable_data_ptr());
        r.outliers = static_cast<int32_t*>(outliers.mutable_data_ptr());
        r.left = left.mutable_data_ptr(), r.right = right.mutable_data_ptr();
        return r;
    }
};

// Columns [first, last) of y from float8: the library multiplies into a tensor of its own, then the rest is added.
void multiply_fp8(const Product& p, const Tensor& y, const Memory& m, const cuda::Rounded& r, const Added& added,
                  const Tensor& dense, int64_t first, int64_t last) {
    const int64_t count = last - first, rows = p.rows, number = number_of(y);
    const Tensor scales = p.transposed ? Memory::floats(count, number) : view(m.weight_scales, 1, count, count, 1, first);
    if (p.transposed) torch::stable::fill_(const_cast<Tensor&>(scales), 1.0);
    const Tensor target = view(y, rows, count, p.columns(), 1, first);
    const Tensor own = count == p.columns() ? target : empty(rows, count, dtype_of(y), number);
    scaled_mm_out(own, m.x, view(dense, count, cuda::padded8(p.inner()), cuda::padded8(p.inner()), 1, 0), m.x_scales, scales);
    if (count != p.columns()) torch::stable::copy_(const_cast<Tensor&>(target), own);
    const int64_t extra = added.addend.extra + (r.left ? cuda::OUTLIERS : 0);
    if (!extra) return;
    const Tensor &left = r.left ? m.left : *added.left, &right = r.left ? m.right : *added.right;
    addmm_out(target, target, left, view(right, extra, count, 1, extra, first * extra));
}

}  // namespace

void multiply_8(Product p, const Tensor& x, const Tensor& y, const Maybe& left, const Maybe& right, const Maybe& bias,
                cuda::Form form, cuda::Stream stream) {
    const bool fp8 = form == cuda::Form::fp8;
    if (p.element == Element::float32) refuse("the paths int8 and fp8 multiply x in bfloat16 or float16");
    if (fp8 && (p.element != Element::bf16 || p.columns() % 16 || bias))
        refuse("the path fp8 multiplies x in bfloat16, for a multiple of 16 columns, without a bias");
    const Added added(left, right, bias, dtype_of(x));
    p.x = x.const_data_ptr(), p.stride = x.stride(0);
    const Memory memory(p, dtype_of(x), form, added.addend.extra, number_of(x));
    const cuda::Rounded rounded = memory.rounded(p.transposed, form);
    check(cuda::round8(p, added.addend, rounded, stream));
    const int64_t inner = cuda::padded8(p.inner()), columns = p.columns();
    int64_t width = SLAB / inner / 128 * 128;
    width = width < 128 ? 128 : width > columns ? columns : width;
    const Tensor dense = empty(width, inner, Memory::dtype_8(form), number_of(x));
    auto* bytes = static_cast<uint8_t*>(dense.mutable_data_ptr());
    for (int64_t first = 0; first < columns; first += width) {
        const int64_t last = first + width < columns ? first + width : columns;
        const cuda::Part part = p.transposed ? cuda::Part{0, p.weight.out, first, last} : cuda::Part{first, last, 0, p.weight.in};
        check(cuda::unpack8(p.weight, part, p.transposed, form, rounded.weight_scales, bytes, stream));
        if (fp8) multiply_fp8(p, y, memory, rounded, added, dense, first, last);
        else check(cuda::multiply_int8(p, added.addend, rounded, bytes, first, last, stream));
    }
}

}  // namespace loralab
