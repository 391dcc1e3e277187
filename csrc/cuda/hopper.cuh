// What only Hopper has (sm_90a): copies of whole tiles by a unit of their own, barriers that count bytes, and products
// that a group of four warps starts and later waits for.
#pragma once
#include "device.cuh"
#ifdef __CUDACC__
#include <cuda.h>

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define HOPPER 1
#define HOPPER_ASM(...) asm volatile(__VA_ARGS__)
#else  // another chip's pass, or the host's: these functions are never called
#define HOPPER 0
#define HOPPER_ASM(...)
#endif
#define GRID_CONSTANT const __grid_constant__

namespace loralab {

using TensorMap = CUtensorMap;
using Barrier = uint64_t;

DEVICE uint32_t shared_address(const void* of) { return uint32_t(__cvta_generic_to_shared(of)); }

DEVICE void init_barrier(Barrier& barrier, int arrivals) {
    HOPPER_ASM("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(arrivals) : "memory");
}
// Barriers are there for everyone: the copy unit too.
DEVICE void fence_barriers() { HOPPER_ASM("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEVICE void arrive(Barrier& barrier) {
    HOPPER_ASM("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
}
// The phase ends when so many bytes have come, too.
DEVICE void expect_bytes(Barrier& barrier, int bytes) {
    HOPPER_ASM("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(bytes)
                 : "memory");
}
// Until the phase of this parity has ended. Of a fresh barrier the phase before the first has parity 1.
DEVICE void wait_for_phase(Barrier& barrier, int parity) {
    HOPPER_ASM(
        "{.reg .pred done; again: mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 done, [%0], %1; "
        "@!done bra again;}" ::"r"(shared_address(&barrier)),
        "r"(parity)
        : "memory");
}
// What this thread has written to the block's memory is there for the copy unit and the tensor cores.
DEVICE void fence_async() { HOPPER_ASM("fence.proxy.async.shared::cta;" ::: "memory"); }

// A box of the tensor from (column, row) on; outside of it are zeros. Rows of 128 bytes, their 16-byte pieces exchanged
// within eight rows: piece ^ row.
DEVICE void copy_box(void* to, const TensorMap& map, int column, int row, Barrier& barrier) {
    HOPPER_ASM(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            shared_address(to)),
        "l"(reinterpret_cast<uint64_t>(&map)), "r"(column), "r"(row), "r"(shared_address(&barrier))
        : "memory");
}

DEVICE void begin_products() { HOPPER_ASM("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void end_products() { HOPPER_ASM("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING>
DEVICE void wait_for_products() {
    HOPPER_ASM("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}
template <int REGISTERS>
DEVICE void take_registers() {
    HOPPER_ASM("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS>
DEVICE void give_registers() {
    HOPPER_ASM("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// c [64, 128] += a [64, 16] · b [128, 16]ᵀ by four warps. Warp w of them has rows 16w … 16w + 15; with g = lane / 4 and
// t = lane % 4, c[4j], c[4j + 1] are row g at columns 8j + 2t and one further, c[4j + 2], c[4j + 3] row g + 8.
DEVICE void start_product_bf16(float (&c)[64], uint64_t a, uint64_t b) {
    HOPPER_ASM(
        "{.reg .pred p; setp.ne.b32 p, 1, 0; "
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
        "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, "
        "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "
        "%56, %57, %58, %59, %60, %61, %62, %63 "
        "}, %64, %65, p, 1, 1, 0, 0;}"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]),
          "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]), "+f"(c[16]),
          "+f"(c[17]), "+f"(c[18]), "+f"(c[19]), "+f"(c[20]), "+f"(c[21]), "+f"(c[22]), "+f"(c[23]), "+f"(c[24]),
          "+f"(c[25]), "+f"(c[26]), "+f"(c[27]), "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31]), "+f"(c[32]),
          "+f"(c[33]), "+f"(c[34]), "+f"(c[35]), "+f"(c[36]), "+f"(c[37]), "+f"(c[38]), "+f"(c[39]), "+f"(c[40]),
          "+f"(c[41]), "+f"(c[42]), "+f"(c[43]), "+f"(c[44]), "+f"(c[45]), "+f"(c[46]), "+f"(c[47]), "+f"(c[48]),
          "+f"(c[49]), "+f"(c[50]), "+f"(c[51]), "+f"(c[52]), "+f"(c[53]), "+f"(c[54]), "+f"(c[55]), "+f"(c[56]),
          "+f"(c[57]), "+f"(c[58]), "+f"(c[59]), "+f"(c[60]), "+f"(c[61]), "+f"(c[62]), "+f"(c[63])
        : "l"(a), "l"(b));
}
DEVICE void start_product_fp16(float (&c)[64], uint64_t a, uint64_t b) {
    HOPPER_ASM(
        "{.reg .pred p; setp.ne.b32 p, 1, 0; "
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
        "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, "
        "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "
        "%56, %57, %58, %59, %60, %61, %62, %63 "
        "}, %64, %65, p, 1, 1, 0, 0;}"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]),
          "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]), "+f"(c[16]),
          "+f"(c[17]), "+f"(c[18]), "+f"(c[19]), "+f"(c[20]), "+f"(c[21]), "+f"(c[22]), "+f"(c[23]), "+f"(c[24]),
          "+f"(c[25]), "+f"(c[26]), "+f"(c[27]), "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31]), "+f"(c[32]),
          "+f"(c[33]), "+f"(c[34]), "+f"(c[35]), "+f"(c[36]), "+f"(c[37]), "+f"(c[38]), "+f"(c[39]), "+f"(c[40]),
          "+f"(c[41]), "+f"(c[42]), "+f"(c[43]), "+f"(c[44]), "+f"(c[45]), "+f"(c[46]), "+f"(c[47]), "+f"(c[48]),
          "+f"(c[49]), "+f"(c[50]), "+f"(c[51]), "+f"(c[52]), "+f"(c[53]), "+f"(c[54]), "+f"(c[55]), "+f"(c[56]),
          "+f"(c[57]), "+f"(c[58]), "+f"(c[59]), "+f"(c[60]), "+f"(c[61]), "+f"(c[62]), "+f"(c[63])
        : "l"(a), "l"(b));
}

// A matrix of 16-bit numbers [rows, columns], its rows `stride` elements apart, for boxes of 64 columns. Null, or why not.
inline const char* make_map(TensorMap& map, const void* base, int64_t rows, int64_t columns, int64_t stride, int box_rows) {
    using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                                const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
    static void* encode = nullptr;  // by the driver, which is not linked against
    if (!encode) {
        cudaDriverEntryPointQueryResult found;
        if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &encode, 12000, cudaEnableDefault, &found) != cudaSuccess)
            return "the driver cannot describe tensors";
    }
    const cuuint64_t sizes[] = {cuuint64_t(columns), cuuint64_t(rows)}, strides[] = {cuuint64_t(stride) * 2};
    const cuuint32_t box[] = {64, cuuint32_t(box_rows)}, steps[] = {1, 1};
    const CUresult result = reinterpret_cast<Encode>(encode)(
        &map, CU_TENSOR_MAP_DATA_TYPE_UINT16, 2, const_cast<void*>(base), sizes, strides, box, steps,
        CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return result == CUDA_SUCCESS ? nullptr : "a tensor cannot be described to the copy unit";
}

}  // namespace loralab
#else
#include "emulated_hopper.h"
#endif

namespace loralab {

// A matrix in such rows, `start` on a multiple of 1024 bytes or some 32 bytes of a row further: 64 bits for the tensor
// cores. Eight rows are 1024 bytes. (PTX ISA, asynchronous warpgroup level matrix multiply, matrix descriptors.)
DEVICE uint64_t matrix_at(const void* start) {
    return uint64_t(shared_address(start) >> 4 & 0x3fff) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}

}  // namespace loralab
