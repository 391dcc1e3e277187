// What every operator of the library uses: the kernels in use, torch's threads, fresh tensors.
#pragma once
#include <atomic>

#include "../../cpu/kernels.h"
#include "../checks.h"

namespace loralab {

extern const Kernels* kernels;  // those in use

inline const Kernels& chosen() {
    if (!kernels) kernels = find_kernels(nullptr);
    return *kernels;
}

inline void parallel(int64_t count, int64_t grain, Run run, void* context) {
    torch::stable::parallel_for(0, count, grain, [=](int64_t first, int64_t last) { run(context, first, last); });
}

// work(first, last), but whoever is free takes the next `grain`: a thread that the system holds up holds up no other. Where
// it costs nothing that neighbouring parts are computed by different threads.
template <class Work>
void by_turns(int64_t count, int64_t grain, const Work& work) {
    std::atomic<int64_t> next{0};
    torch::stable::parallel_for(0, count, grain, [&](int64_t, int64_t) {
        for (int64_t first; (first = next.fetch_add(grain)) < count;)
            work(first, first + grain < count ? first + grain : count);
    });
}

inline void parallel_by_turns(int64_t count, int64_t grain, Run run, void* context) {
    by_turns(count, grain, [=](int64_t first, int64_t last) { run(context, first, last); });
}

inline Element element_of(const Tensor& x) {
    int32_t dtype = dtype_of(x);
    if (dtype == aoti_torch_dtype_bfloat16()) return Element::bf16;
    if (dtype != aoti_torch_dtype_float32()) refuse("x must be float32 or bfloat16, not ", dtype_name(dtype));
    return Element::float32;
}

}  // namespace loralab
