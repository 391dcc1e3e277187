// Tensors as the kernels take them. What does not fit is a Python RuntimeError that says what was expected.
#pragma once
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "../matrix.h"

namespace loralab {

using torch::stable::Tensor;
using Maybe = std::optional<Tensor>;

// Where this library's tensors lie, for torch and in words. Each library says it once.
int32_t device_type();
const char* device_name();

template <typename... Words>
[[noreturn]] void refuse(const Words&... words) {
    std::ostringstream sentence;
    (sentence << ... << words);
    throw std::runtime_error(sentence.str());
}

inline int32_t dtype_of(const Tensor& tensor) {
    int32_t dtype;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(tensor.get(), &dtype));
    return dtype;
}

inline bool lies_here(const Tensor& tensor) {
    int32_t type;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(tensor.get(), &type));
    return type == device_type();
}

inline const char* dtype_name(int32_t dtype) {
    if (dtype == aoti_torch_dtype_float32()) return "float32";
    if (dtype == aoti_torch_dtype_bfloat16()) return "bfloat16";
    if (dtype == aoti_torch_dtype_float16()) return "float16";
    if (dtype == aoti_torch_dtype_float64()) return "float64";
    if (dtype == aoti_torch_dtype_uint8()) return "uint8";
    if (dtype == aoti_torch_dtype_int8()) return "int8";
    if (dtype == aoti_torch_dtype_int32()) return "int32";
    if (dtype == aoti_torch_dtype_int64()) return "int64";
    return "another type";
}

inline std::string shape_of(const Tensor& tensor) {
    std::ostringstream text;
    for (int64_t i = 0; i < tensor.dim(); i++) text << (i ? ", " : "[") << tensor.size(i);
    text << (tensor.dim() ? "]" : "[]");
    return text.str();
}

// The data of a contiguous tensor that lies here, of `dtype` and shape [rows] or, where `columns` is not 0, [rows, columns].
inline const void* data_of(const char* name, const Tensor& tensor, int32_t dtype, int64_t rows, int64_t columns) {
    bool fits = lies_here(tensor) && dtype_of(tensor) == dtype && tensor.dim() == (columns < 0 ? 1 : 2) &&
                tensor.size(0) == rows && (columns < 0 || tensor.size(1) == columns) && tensor.is_contiguous();
    if (fits) return tensor.const_data_ptr();
    std::ostringstream shape;
    shape << "[" << rows;
    if (columns >= 0) shape << ", " << columns;
    refuse(name, " must be contiguous ", dtype_name(dtype), " ", shape.str(), "] on ", device_name(), ", not ",
           tensor.is_contiguous() ? "" : "strided ", dtype_name(dtype_of(tensor)), " ", shape_of(tensor),
           lies_here(tensor) ? "" : " on another device");
}

// The data of a contiguous tensor that lies here, of so many elements, whatever its shape.
inline const void* flat_data(const char* name, const Tensor& tensor, int32_t dtype, int64_t elements) {
    if (lies_here(tensor) && dtype_of(tensor) == dtype && tensor.numel() == elements && tensor.is_contiguous())
        return tensor.const_data_ptr();
    refuse(name, " must be contiguous ", dtype_name(dtype), " of ", elements, " elements on ", device_name(), ", not ",
           tensor.is_contiguous() ? "" : "strided ", dtype_name(dtype_of(tensor)), " ", shape_of(tensor),
           lies_here(tensor) ? "" : " on another device");
}

template <typename Value>
const Value* maybe_data(const char* name, const Maybe& tensor, int32_t dtype, int64_t rows, int64_t columns) {
    return tensor ? static_cast<const Value*>(data_of(name, *tensor, dtype, rows, columns)) : nullptr;
}

// The matrix [out, width] that loralab_core/quant/tensor.py describes; its kind is int8 where there is no codebook.
inline Weight weight_of(const Tensor& codes, const Tensor& scales, const Maybe& steps, const Maybe& codebook,
                        const Maybe& zeros, int64_t width, int64_t group) {
    const int32_t float32 = aoti_torch_dtype_float32(), uint8 = aoti_torch_dtype_uint8();
    if (codes.dim() != 2) refuse("codes must have two dimensions, not ", shape_of(codes));
    Weight weight{};
    weight.out = codes.size(0), weight.in = width, weight.group = group;
    if (weight.out < 1 || width < 1 || width > 2 * codes.size(1))
        refuse("codes of ", shape_of(codes), " cannot stand for rows of ", width, " weights");
    if (!codebook) {
        weight.codes = static_cast<const uint8_t*>(data_of("codes", codes, aoti_torch_dtype_int8(), weight.out, width));
        weight.row_scales = static_cast<const float*>(data_of("scales", scales, float32, weight.out, -1));
        return weight;
    }
    if (group != 32 && group != 64 && group != 128) refuse("group must be 32, 64 or 128, not ", group);
    if (!steps) refuse("codes of 4 bits need steps, float32 [", (weight.out + SCALE_ROWS - 1) / SCALE_ROWS, ", 2]");
    weight.codebook = static_cast<const float*>(data_of("codebook", *codebook, float32, 16, -1));
    weight.codes = static_cast<const uint8_t*>(data_of("codes", codes, uint8, weight.out, weight.row_bytes()));
    weight.scales = static_cast<const uint8_t*>(data_of("scales", scales, uint8, weight.out, weight.groups()));
    weight.steps = maybe_data<float>("steps", steps, float32, (weight.out + SCALE_ROWS - 1) / SCALE_ROWS, 2);
    weight.zeros = maybe_data<uint8_t>("zeros", zeros, uint8, weight.out, weight.groups());
    return weight;
}

// x · Wᵀ or x · W, without anything added; y is not there yet.
inline Product product_of(const Tensor& x, Element element, const Weight& weight, bool transposed) {
    Product p{};
    p.element = element, p.weight = weight, p.transposed = transposed;
    if (!lies_here(x) || x.dim() != 2 || x.size(1) != p.inner())
        refuse("x must be [rows, ", p.inner(), "] on ", device_name(), ", not ", shape_of(x));
    p.rows = x.size(0);
    return p;
}

// What is added, in float32.
inline void put_addends(Product& p, const Maybe& left, const Maybe& right, const Maybe& bias) {
    const int32_t float32 = aoti_torch_dtype_float32();
    if (bool(left) != bool(right)) refuse("left and right go together");
    if (left) {
        p.extra = left->dim() == 2 ? left->size(1) : 0;
        p.left = maybe_data<float>("left", left, float32, p.rows, p.extra);
        p.right = maybe_data<float>("right", right, float32, p.columns(), p.extra);
    }
    p.bias = maybe_data<float>("bias", bias, float32, p.columns(), -1);
}

// A fresh, contiguous tensor that lies here; on the GPU of this number where there are several.
inline Tensor empty(const std::vector<int64_t>& sizes, int32_t dtype, int32_t number = 0) {
    std::vector<int64_t> strides(sizes.size());
    int64_t stride = 1;
    for (size_t i = sizes.size(); i-- > 0; stride *= sizes[i] > 1 ? sizes[i] : 1) strides[i] = stride;
    AtenTensorHandle made;
    STABLE_TORCH_ERROR_CODE_CHECK(
        aoti_torch_empty_strided(int64_t(sizes.size()), sizes.data(), strides.data(), dtype, device_type(), number, &made));
    return Tensor(made);
}
inline Tensor empty(int64_t rows, int64_t columns, int32_t dtype, int32_t number = 0) {
    return empty(std::vector<int64_t>{rows, columns}, dtype, number);
}

inline std::vector<int64_t> sizes_of(const Tensor& tensor) {
    std::vector<int64_t> sizes(tensor.dim());
    for (size_t i = 0; i < sizes.size(); i++) sizes[i] = tensor.size(int64_t(i));
    return sizes;
}

// A view of [rows, columns], `offset` elements into a tensor, wherever that begins in its storage.
inline Tensor view(const Tensor& tensor, int64_t rows, int64_t columns, int64_t row_stride, int64_t stride, int64_t offset) {
    int64_t sizes[] = {rows, columns}, strides[] = {row_stride, stride};
    AtenTensorHandle made;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch__reinterpret_tensor(tensor.get(), 2, sizes, strides, offset, &made));
    return Tensor(made);
}

inline Tensor flattened(const Tensor& tensor) {
    int64_t size = tensor.numel(), stride = 1;
    AtenTensorHandle made;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch__reinterpret_tensor(tensor.get(), 1, &size, &stride, 0, &made));
    return Tensor(made);
}

}  // namespace loralab
