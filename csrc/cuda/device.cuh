// What a kernel asks of the chip, under names of its own. nvcc compiles these; the tests bring the same names for groups
// of threads on a CPU (tests/emulation/cuda), so that the very kernels run where there is no GPU.
#pragma once
#ifndef __CUDACC__
#include "emulated.h"
#else
#include <cuda_runtime.h>

#include <cstdint>

#define KERNEL(threads, blocks) __global__ __launch_bounds__(threads, blocks)
#define DEVICE __device__ __forceinline__
#define CONSTANT __constant__
#ifdef __CUDA_ARCH__
#define ARCH __CUDA_ARCH__
#else
#define ARCH 0  // the host's pass
#endif

namespace loralab {

using Stream = cudaStream_t;

// The block's memory, as the kernel declares it; what is aligned to more than 128 bytes is given that many more.
template <class Shared>
DEVICE Shared& block_memory() {
    extern __shared__ __align__(128) unsigned char raw[];
    if (alignof(Shared) <= 128) return *reinterpret_cast<Shared*>(raw);
    const uint32_t over = uint32_t(__cvta_generic_to_shared(raw)) % alignof(Shared);
    return *reinterpret_cast<Shared*>(raw + (over ? alignof(Shared) - over : 0));
}

DEVICE int thread() { return threadIdx.x; }
DEVICE int threads() { return blockDim.x; }
DEVICE int lane() { return threadIdx.x % 32; }
DEVICE int warp() { return threadIdx.x / 32; }
DEVICE int64_t block() { return blockIdx.x; }
DEVICE int64_t block_row() { return blockIdx.y; }
DEVICE int64_t blocks() { return gridDim.x; }
// The compiler reads again what it read before, where keeping it would take registers that are not there.
DEVICE void forget_loads() { asm volatile("" ::: "memory"); }
DEVICE void wait_for_block() { __syncthreads(); }
DEVICE void wait_for_warp() { __syncwarp(); }

// Whole numbers only: their order makes no difference.
DEVICE void atomic_max(uint32_t* to, uint32_t value) { atomicMax(to, value); }
DEVICE void atomic_add(uint32_t* to, uint32_t value) { atomicAdd(to, value); }

template <class T>
DEVICE T from_lane_xor(T value, int mask) {
    return __shfl_xor_sync(0xffffffff, value, mask);
}

// 16, 8 or 4 bytes that are read once: past the first cache.
DEVICE uint4 load_once(const uint4* from) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
}
DEVICE uint2 load_once(const uint2* from) {
    uint2 v;
    asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(from));
    return v;
}
DEVICE uint32_t load_once(const uint32_t* from) {
    uint32_t v;
    asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(from));
    return v;
}
template <class T>
DEVICE T load(const T* from) {
    return __ldg(from);
}
// What the same kernel writes: not by the path for constants.
template <class T>
DEVICE T load_changing(const T* from) {
    return *from;
}

// Two floats rounded to the nearest, the first in the low half.
DEVICE uint32_t bf16_pair(float low, float high) {
#if ARCH >= 800
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    auto rounded = [](float value) {
        uint32_t bits = __float_as_uint(value);
        return value == value ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : bits >> 16 | 0x40;
    };
    return rounded(high) << 16 | rounded(low);
#endif
}
DEVICE uint32_t fp16_pair(float low, float high) {
    uint32_t pair;
    asm("{.reg .b16 a, b; cvt.rn.f16.f32 a, %1; cvt.rn.f16.f32 b, %2; mov.b32 %0, {a, b};}"
        : "=r"(pair)
        : "f"(low), "f"(high));
    return pair;
}
DEVICE float fp16_to_float(uint16_t bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
// e4m3, to the nearest; what is too large becomes the largest. The chips that multiply such numbers convert to them.
DEVICE uint8_t float_to_fp8(float value) {
#if ARCH >= 890
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(value));
    return uint8_t(pair);
#else
    return 0;
#endif
}
DEVICE float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }
DEVICE uint32_t float_to_bits(float value) { return __float_as_uint(value); }

// Each operation rounded on its own: a compiler may not make one of two.
DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
DEVICE float over(float a, float b) { return __fdiv_rn(a, b); }
DEVICE float root(float a) { return __fsqrt_rn(a); }
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }  // a · b + c, rounded once
DEVICE int nearest_int(float a) { return __float2int_rn(a); }
DEVICE float exponential(float a) { return __expf(a); }
DEVICE float logarithm(float a) { return logf(a); }
DEVICE float reciprocal_root(float a) { return rsqrtf(a); }
DEVICE float quotient(float a, float b) { return __fdividef(a, b); }  // 0 where b is beyond 2^126
DEVICE float error_function(float a) { return erff(a); }

// c [16, 8] += a [16, 16] · b [16, 8] by a warp, in float32. With g = lane / 4 and t = lane % 4 a thread holds of
// a: rows g, g + 8, g, g + 8 at columns 2t, 2t + 1 and (the last two) 2t + 8, 2t + 9; of b: rows 2t, 2t + 1 and 2t + 8,
// 2t + 9 of column g; of c: row g at columns 2t, 2t + 1, then row g + 8. (PTX ISA, mma.m16n8k16.)
DEVICE void multiply_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if ARCH >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
DEVICE void multiply_fp16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if ARCH >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif ARCH >= 750  // half as many columns at a time
    for (int half = 0; half < 2; half++)
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
#endif
}

// c [16, 8] += a [16, 32] · b [32, 8] of 8-bit integers; as above with four of them in place of two.
DEVICE void multiply_int8(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if ARCH >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif ARCH >= 750  // a quarter at a time
    for (int i = 0; i < 4; i++)
        asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
            : "+r"(c[i % 2 * 2]), "+r"(c[i % 2 * 2 + 1])
            : "r"(a[i]), "r"(b[i / 2]));
#endif
}

// Four matrices of 8 rows of 16 bytes. Lanes 8i … 8i + 7 say where the rows of matrix i lie in the block's memory; of each
// a thread gets the 4 bytes that fragments have there: bytes 4t … 4t + 3 of row g.
DEVICE void load_fragments(uint32_t (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(uint32_t(__cvta_generic_to_shared(row)))
                 : "memory");
}
// Of matrices of 16-bit numbers, turned: rows 2t and 2t + 1 of column g.
DEVICE void load_fragments_turned(uint32_t (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(uint32_t(__cvta_generic_to_shared(row)))
                 : "memory");
}

// 16 bytes into the block's memory behind the thread's back, zeros where not `there`.
DEVICE void copy_later(void* to, const void* from, bool there) {
#if ARCH >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(uint32_t(__cvta_generic_to_shared(to))), "l"(from),
                 "r"(there ? 16 : 0)
                 : "memory");
#else
    *static_cast<uint4*>(to) = there ? *static_cast<const uint4*>(from) : uint4{0, 0, 0, 0};
#endif
}
// What was copied since the last batch is one.
DEVICE void end_batch() {
#if ARCH >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Until at most so many batches of this thread are under way.
template <int PENDING>
DEVICE void wait_for_batches() {
#if ARCH >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

struct Grid {
    int64_t blocks, rows = 1;
};

// Null, or what the driver said.
template <class... Wanted, class... Given>
const char* launch(void (*kernel)(Wanted...), Grid grid, int threads, size_t shared, Stream stream, Given... arguments) {
    if (grid.blocks == 0 || grid.rows == 0) return nullptr;
    if (shared > 48 << 10) {
        cudaError_t error = cudaFuncSetAttribute((const void*)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
        if (error != cudaSuccess) return cudaGetErrorString(error);
    }
    kernel<<<dim3(unsigned(grid.blocks), unsigned(grid.rows)), threads, shared, stream>>>(Wanted(arguments)...);
    cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace loralab
#endif
