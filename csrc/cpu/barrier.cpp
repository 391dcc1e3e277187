// What threads do while they wait, for every instruction set.
#include "barrier.h"

#include <sched.h>

namespace loralab {

constexpr int64_t SPINS = 4000;  // some ten microseconds

void Barrier::pause(int64_t spins) {
    if (spins > SPINS) sched_yield();
#if defined(__x86_64__)
    else __builtin_ia32_pause();
#elif defined(__aarch64__)
    else asm volatile("yield");
#endif
}

}  // namespace loralab
