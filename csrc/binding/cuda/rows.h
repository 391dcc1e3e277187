// Tensors whose last dimension is worked on row by row, wherever a view of a larger tensor left the rows.
#pragma once
#include <cstdint>
#include <limits>

#include "library.h"

namespace loralab {

// How rows [..., width] lie; `inner` is 0 where two strides do not say it.
struct Layout {
    int64_t rows, inner, outer_stride, stride;
};

inline Layout layout_of(const Tensor& x) {
    int64_t sizes[2] = {1, 1}, strides[2] = {0, 0};  // of the inner and the outer dimension
    const int64_t width = x.size(x.dim() - 1);
    int found = 0;
    bool two = width < 2 || x.stride(x.dim() - 1) == 1;
    for (int64_t i = x.dim() - 1; i-- > 0;) {
        const int64_t size = x.size(i), stride = x.stride(i);
        if (size == 1) continue;
        if (found && stride == strides[found - 1] * sizes[found - 1]) sizes[found - 1] *= size;
        else if (found < 2) sizes[found] = size, strides[found++] = stride;
        else two = false;
    }
    return {x.numel() / (width ? width : 1), two ? sizes[0] : 0, strides[1], strides[0]};
}

// x itself, or a contiguous copy where it does not lie in rows that `levels` strides describe; and how that lies.
inline Tensor with_layout(const Tensor& x, int levels, Layout& layout) {
    layout = layout_of(x);
    if (layout.inner && (levels == 2 || layout.inner == layout.rows || layout.rows == 0)) return x;
    const Tensor own = torch::stable::contiguous(x);
    layout = layout_of(own);
    return own;
}

// Numbers are counted in 32 bits.
inline void check_size(const char* name, const Tensor& x) {
    if (x.dim() < 1 || x.numel() > std::numeric_limits<int32_t>::max())
        refuse(name, " must have a last dimension and fewer than 2^31 elements, not ", shape_of(x));
}

// Of x's shape, type and device.
inline void check_alike(const char* name, const Tensor& tensor, const Tensor& x) {
    if (lies_here(tensor) && dtype_of(tensor) == dtype_of(x) && sizes_of(tensor) == sizes_of(x)) return;
    refuse(name, " must be ", dtype_name(dtype_of(x)), " ", shape_of(x), " on ", device_name(), ", not ",
           dtype_name(dtype_of(tensor)), " ", shape_of(tensor), lies_here(tensor) ? "" : " on another device");
}

inline void check_here(const char* name, const Tensor& tensor) {
    if (!lies_here(tensor)) refuse(name, " must lie on ", device_name());
}

}  // namespace loralab
