// torch.ops.loralab.quant_matmul and dequantize on GPUs: checks and memory for the kernels of csrc/cuda.
#include "library.h"

namespace loralab {
namespace {

constexpr int64_t SLAB = 1 << 24;  // weights dense at a time: 32 MiB of bf16 stay in a large GPU's second cache
constexpr int64_t ALIGNED = 128;   // a multiple of every group

int32_t dtype_for(Element element) {
    return element == Element::bf16   ? aoti_torch_dtype_bfloat16()
           : element == Element::fp16 ? aoti_torch_dtype_float16()
                                      : aoti_torch_dtype_float32();
}

// y = left · rightᵀ + bias, in y's type: the addend of the big product, so that it joins in its accumulator.
bool put_addend(const Tensor& y, const Maybe& left, const Maybe& right, const Maybe& bias) {
    if (bias) torch::stable::copy_(const_cast<Tensor&>(y), *bias);
    if (!left) return bool(bias);
    const int32_t dtype = dtype_of(y);
    const Tensor own = as(*left, dtype), other = as(*right, dtype);
    const int64_t extra = own.size(1), columns = other.size(0);
    const Tensor turned = view(other, extra, columns, 1, extra, 0);
    bias ? addmm_out(y, y, own, turned) : mm_out(y, own, turned);
    return true;
}

// cuBLAS, by torch, over slabs of the unpacked weight. Slabs are parts of y's columns, so that y is rounded once.
void multiply_slabs(const Product& p, const Tensor& x, const Tensor& y, bool add, cuda::Stream stream) {
    const int64_t inner = p.inner(), columns = p.columns();
    int64_t width = SLAB / inner / ALIGNED * ALIGNED;
    width = width < ALIGNED ? ALIGNED : width > columns ? columns : width;
    const Tensor dense = empty(inner, width, dtype_of(x), number_of(x));
    for (int64_t first = 0; first < columns; first += width) {
        const int64_t last = first + width < columns ? first + width : columns, count = last - first;
        const cuda::Part part = p.transposed ? cuda::Part{0, inner, first, last} : cuda::Part{first, last, 0, inner};
        check(cuda::dequantize(p.weight, part, p.element, dense.mutable_data_ptr(), stream));
        const Tensor matrix = p.transposed ? view(dense, inner, count, count, 1, 0) : view(dense, inner, count, 1, inner, 0);
        const Tensor target = view(y, p.rows, count, columns, 1, first);
        add ? addmm_out(target, target, x, matrix) : mm_out(target, x, matrix);
    }
}

void multiply_few(Product p, const Tensor& x, const Maybe& left, const Maybe& right, const Maybe& bias, cuda::Stream stream) {
    const int32_t float32 = aoti_torch_dtype_float32();
    if (p.transposed || p.element == Element::float32)
        refuse("the path rows multiplies x in bfloat16 or float16 with the transpose of a weight");
    const Maybe own = left ? Maybe(as(*left, float32)) : left, other = right ? Maybe(as(*right, float32)) : right;
    const Maybe added = bias ? Maybe(as(*bias, float32)) : bias;
    put_addends(p, own, other, added);
    p.x = x.const_data_ptr(), p.stride = x.stride(0);
    check(cuda::multiply_few(p, stream));
}

// Whether Hopper's copy unit can fetch it.
bool in_boxes(const void* data, int64_t stride) { return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 8 == 0; }

void multiply_tiles(Product p, const Tensor& x, const Maybe& left, const Maybe& right, const Maybe& bias, bool hopper,
                    cuda::Stream stream) {
    if (p.weight.is_int8() || p.element == Element::float32)
        refuse("the paths tiles and hopper multiply x in bfloat16 or float16 with a 4-bit weight");
    const Added added(left, right, bias, dtype_of(x));
    const cuda::Addend& a = added.addend;
    p.x = x.const_data_ptr(), p.stride = x.stride(0);
    const bool boxes = in_boxes(p.x, p.stride) && (!a.extra || in_boxes(a.left, a.extra));
    check(hopper && boxes ? cuda::multiply_hopper(p, a, stream) : cuda::multiply_tiles(p, a, stream));
}

void check_addends(const Product& p, const Maybe& left, const Maybe& right, const Maybe& bias) {
    if (bool(left) != bool(right)) refuse("left and right go together");
    if (left && (left->dim() != 2 || right->dim() != 2 || left->size(0) != p.rows || right->size(0) != p.columns() ||
                 left->size(1) != right->size(1) || !lies_here(*left) || !lies_here(*right)))
        refuse("left [", p.rows, ", r] and right [", p.columns(), ", r] are wanted on ", device_name(), ", not ",
               shape_of(*left), " and ", shape_of(*right));
    if (bias && (bias->dim() != 1 || bias->size(0) != p.columns() || !lies_here(*bias)))
        refuse("bias must be [", p.columns(), "] on ", device_name(), ", not ", shape_of(*bias));
}

}  // namespace

Tensor quant_matmul(Tensor x, Tensor codes, Tensor scales, Maybe steps, Maybe codebook, Maybe zeros, int64_t width,
                    int64_t group, bool transposed, Maybe left, Maybe right, Maybe bias, std::string path) {
    Product p = product_of(x, element_of(x), weight_of(codes, scales, steps, codebook, zeros, width, group), transposed);
    check_addends(p, left, right, bias);
    const Tensor y = empty(p.rows, p.columns(), dtype_of(x), number_of(x));
    if (p.rows == 0) return y;
    const OnDevice device(number_of(x));
    if (x.stride(1) != 1) x = torch::stable::contiguous(x);
    p.y = y.mutable_data_ptr();
    if (path == "rows") multiply_few(p, x, left, right, bias, device.stream());
    else if (path == "gemm") multiply_slabs(p, x, y, put_addend(y, left, right, bias), device.stream());
    else if (path == "tiles" || path == "hopper") multiply_tiles(p, x, left, right, bias, path == "hopper", device.stream());
    else if (path == "int8") multiply_8(p, x, y, left, right, bias, cuda::Form::int8, device.stream());
    else if (path == "fp8") multiply_8(p, x, y, left, right, bias, cuda::Form::fp8, device.stream());
    else refuse("path must be rows, tiles, hopper, int8, fp8 or gemm, not ", path);
    return y;
}

// element: as csrc/matrix.h numbers them.
Tensor dequantize(Tensor codes, Tensor scales, Maybe steps, Maybe codebook, Maybe zeros, int64_t width, int64_t group,
                  int64_t first, int64_t last, int64_t element) {
    const Weight weight = weight_of(codes, scales, steps, codebook, zeros, width, group);
    if (first < 0 || first > last || last > weight.out)
        refuse("rows ", first, " to ", last, " are not among the ", weight.out, " of the weight");
    if (element < 0 || element > 2) refuse("element must be 0, 1 or 2, not ", element);
    const Tensor dense = empty(last - first, width, dtype_for(Element(element)), number_of(codes));
    const OnDevice device(number_of(codes));
    check(cuda::dequantize(weight, {first, last, 0, width}, Element(element), dense.mutable_data_ptr(), device.stream()));
    return dense;
}

}  // namespace loralab
