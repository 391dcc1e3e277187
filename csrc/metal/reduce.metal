// Sums and maxima over a threadgroup. Every thread of it calls these and gets the result; the order is always the same.
// Included by files whose groups make a row together.
#include <metal_stdlib>
using namespace metal;

// Where a thread is in its group.
struct Place {
    uint index, lane, simd, simds, threads;
};

#define PLACE                                                                                          \
    uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],               \
        uint simd [[simdgroup_index_in_threadgroup]], uint simds [[simdgroups_per_threadgroup]],       \
        uint3 threads [[threads_per_threadgroup]], uint3 group [[threadgroup_position_in_grid]]
#define HERE (Place{index, lane, simd, simds, threads.x})

// partial: [32] of the group, free again when this returns.
inline float group_sum(float own, threadgroup float* partial, Place at) {
    const float sum = simd_sum(own);
    if (at.lane == 0) partial[at.simd] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float all = simd_sum(at.lane < at.simds ? partial[at.lane] : 0.0f);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return all;
}

inline float group_max(float own, threadgroup float* partial, Place at) {
    const float most = simd_max(own);
    if (at.lane == 0) partial[at.simd] = most;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float all = simd_max(at.lane < at.simds ? partial[at.lane] : -INFINITY);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return all;
}
