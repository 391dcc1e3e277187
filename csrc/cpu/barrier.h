// Threads that wait for each other. A thread may stand for several shares of the work: where there are fewer threads than
// asked for, one is given a range of them, and the count is of shares, so nobody waits for one who never comes.
#pragma once
#include "../matrix.h"

namespace loralab {

struct Barrier {
    int64_t shares, arrived = 0, turn = 0;

    LORALAB_INLINE void wait(int64_t weight) {
        const int64_t mine = __atomic_load_n(&turn, __ATOMIC_RELAXED);
        if (__atomic_add_fetch(&arrived, weight, __ATOMIC_ACQ_REL) == shares) {
            __atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&turn, mine + 1, __ATOMIC_RELEASE);
            return;
        }
        for (int64_t spins = 0; __atomic_load_n(&turn, __ATOMIC_ACQUIRE) == mine; spins++) pause(spins);
    }

    // Spinning is quickest where each thread has a core; on a busy computer the core is better given away.
    static void pause(int64_t spins);
};

}  // namespace loralab
