// Which instruction set runs here. A macro is defined for each that was compiled, so that no table is missed in linking.
#include "kernels.h"

namespace loralab {
namespace {

bool is_called(const char* name, const char* wanted) {
    while (*name && *name == *wanted) name++, wanted++;
    return *name == *wanted;
}

#if defined(LORALAB_AVX512)
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512bf16");
}
#endif

#if defined(LORALAB_AVX2)
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
#endif

}  // namespace

const Kernels* find_kernels(const char* wanted) {
    const Kernels* runnable[4];
    int count = 0;
#if defined(LORALAB_AVX512)
    if (has_avx512()) runnable[count++] = &avx512_kernels;
#endif
#if defined(LORALAB_AVX2)
    if (has_avx2()) runnable[count++] = &avx2_kernels;
#endif
#if defined(LORALAB_NEON)
    runnable[count++] = &neon_kernels;  // every AArch64 has it
#endif
    runnable[count++] = &portable_kernels;
    for (int i = 0; i < count; i++)
        if (wanted == nullptr || is_called(runnable[i]->name, wanted)) return runnable[i];
    return nullptr;
}

}  // namespace loralab
