// torch.ops.loralab.* on the CPU: checks, memory and threads for the kernels of csrc/cpu, through LibTorch's stable ABI.
//
// Schemas are defined in Python (loralab_core/ops), so that the operators exist without a compiler. Threads are torch's.
// Who computes what makes no difference: every sum is computed whole, by one thread.
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>

#include "library.h"

namespace loralab {

const Kernels* kernels = nullptr;

int32_t device_type() { return aoti_torch_device_type_cpu(); }
const char* device_name() { return "the CPU"; }

namespace {

constexpr int64_t SLAB = 1 << 19;      // weights unpacked at a time for torch's GEMM: 1 MiB of bf16 stays in the cache
constexpr int64_t UNPACKED = 1 << 14;  // weights that are worth a thread

void unpack(const Weight& weight, int64_t first, int64_t last, Element element, void* dense) {
    int64_t row_bytes = weight.in * (element == Element::bf16 ? 2 : 4);
    torch::stable::parallel_for(0, last - first, UNPACKED / weight.in + 1, [=](int64_t from, int64_t to) {
        chosen().dequantize(weight, first + from, first + to, element, static_cast<char*>(dense) + from * row_bytes);
    });
}

// y = what is added + x · matrix; `added` may be y itself, or none
void gemm(const Tensor& y, const Tensor* added, const Tensor& x, const Tensor& matrix) {
    STABLE_TORCH_ERROR_CODE_CHECK(
        added ? aoti_torch_cpu_addmm_out(y.get(), added->get(), x.get(), matrix.get(), 1.0, 1.0)
              : aoti_torch_cpu_mm_out(y.get(), x.get(), matrix.get()));
}

// y = left · rightᵀ + bias, summed in float32: the addend of the big product, so that it joins in its accumulator.
bool put_addend(const Product& p, Tensor& y, const Maybe& left, const Maybe& right, const Maybe& bias) {
    if (!left && !bias) return false;
    if (!left) {
        torch::stable::copy_(y, *bias);
        return true;
    }
    Tensor sum = empty(p.rows, p.columns(), aoti_torch_dtype_float32());
    gemm(sum, bias ? &*bias : nullptr, *left, view(*right, p.extra, p.columns(), 1, p.extra, 0));
    torch::stable::copy_(y, sum);
    return true;
}

// Torch's own GEMM over slabs of the unpacked weight; x, y and the slabs are of one type. A transposed weight is
// unpacked at once in bf16: slab by slab y would be rounded again and again.
void multiply_slabs(const Product& p, const Tensor& x, const Tensor& y, bool add) {
    const Weight& w = p.weight;
    const bool whole = p.transposed && p.element == Element::bf16;
    const int64_t rows = SLAB / w.in + 16, slab = whole || rows > w.out ? w.out : rows;
    Tensor dense = empty(slab, w.in, dtype_of(x));
    for (int64_t first = 0; first < w.out; first += slab) {
        int64_t last = first + slab < w.out ? first + slab : w.out, count = last - first;
        unpack(w, first, last, p.element, dense.mutable_data_ptr());
        Tensor part = p.transposed ? y : view(y, p.rows, count, w.out, 1, first);
        const Tensor* added = add || (p.transposed && first) ? &part : nullptr;
        if (p.transposed) gemm(part, added, view(x, p.rows, count, p.stride, 1, first), view(dense, count, w.in, w.in, 1, 0));
        else gemm(part, added, x, view(dense, w.in, count, 1, w.in, 0));
    }
}

// As `multiply_slabs`, in float32 whatever the type of x and y.
void multiply_float32(Product p, const Tensor& x, Tensor& y, const Maybe& left, const Maybe& right, const Maybe& bias) {
    const int32_t float32 = aoti_torch_dtype_float32();
    Tensor wide_x = empty(p.rows, p.inner(), float32), wide_y = empty(p.rows, p.columns(), float32);
    torch::stable::copy_(wide_x, x);
    p.element = Element::float32, p.stride = p.inner();
    multiply_slabs(p, wide_x, wide_y, put_addend(p, wide_y, left, right, bias));
    torch::stable::copy_(y, wide_y);
}

Path path_of(const std::string& name) {
    const char* names[] = {"rows", "float32", "bf16", "int8"};
    for (int i = 0; i < 4; i++)
        if (name == names[i]) {
            if (!chosen().has(Path(i))) refuse("the ", chosen().name, " kernels have no path ", name);
            return Path(i);
        }
    refuse("path must be rows, float32, bf16, int8, gemm or gemm32, not ", name);
}

Tensor quant_matmul(Tensor x, Tensor codes, Tensor scales, Maybe steps, Maybe codebook, Maybe zeros, int64_t width,
                    int64_t group, bool transposed, Maybe left, Maybe right, Maybe bias, std::string path) {
    Product p = product_of(x, element_of(x), weight_of(codes, scales, steps, codebook, zeros, width, group), transposed);
    put_addends(p, left, right, bias);
    const bool gemm = path == "gemm", gemm32 = path == "gemm32";
    const Path own = gemm || gemm32 ? Path::rows : path_of(path);
    Tensor y = empty(p.rows, p.columns(), dtype_of(x));
    if (p.rows == 0) return y;
    if (x.stride(1) != 1) x = torch::stable::contiguous(x);
    p.x = x.const_data_ptr(), p.y = y.mutable_data_ptr(), p.stride = x.stride(0);
    if (gemm32 && p.element != Element::float32) multiply_float32(p, x, y, left, right, bias);
    else if (gemm || gemm32) multiply_slabs(p, x, y, put_addend(p, y, left, right, bias));
    else chosen().multiply(p, own, own == Path::rows && !transposed ? parallel_by_turns : parallel);
    return y;
}

Tensor dequantize(Tensor codes, Tensor scales, Maybe steps, Maybe codebook, Maybe zeros, int64_t width, int64_t group,
                  int64_t first, int64_t last, int64_t element) {
    Weight weight = weight_of(codes, scales, steps, codebook, zeros, width, group);
    if (first < 0 || first > last || last > weight.out)
        refuse("rows ", first, " to ", last, " are not among the ", weight.out, " of the weight");
    if (element != 0 && element != 1) refuse("element must be 0, float32, or 1, bfloat16, not ", element);
    Tensor dense = empty(last - first, width, element ? aoti_torch_dtype_bfloat16() : aoti_torch_dtype_float32());
    unpack(weight, first, last, Element(element), dense.data_ptr());
    return dense;
}

}  // namespace
}  // namespace loralab

#define PUBLIC __attribute__((visibility("default")))

// Choose an instruction set by name, or the best for null. Its name, or null where it does not run or was not built.
extern "C" PUBLIC const char* loralab_use(const char* wanted) {
    const loralab::Kernels* found = loralab::find_kernels(wanted);
    if (found) loralab::kernels = found;
    return found ? found->name : nullptr;
}

// Whether the chosen instruction set has a path, by its number in csrc/cpu/kernels.h.
extern "C" PUBLIC int loralab_has(int path) { return loralab::chosen().has(loralab::Path(path)); }

STABLE_TORCH_LIBRARY_IMPL(loralab, CPU, library) {
    library.impl("quant_matmul", TORCH_BOX(&loralab::quant_matmul));
    library.impl("dequantize", TORCH_BOX(&loralab::dequantize));
}
