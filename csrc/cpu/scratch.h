// Memory that a thread keeps between calls: it grows to the largest it was asked for and is never handed out twice.
#pragma once
#include <cstdint>
#include <cstdlib>

#include "../matrix.h"

namespace loralab {

// Fresh pages cost more than small products (a fault each 4 KiB), so buffers stay.
struct Scratch {
    void* memory = nullptr;
    int64_t size = 0;

    // At least `bytes`, on a cache line; what it held is lost. Null where the system has no memory.
    template <class T>
    LORALAB_INLINE T* get(int64_t count) {
        const int64_t bytes = (count * (int64_t)sizeof(T) + 127) / 64 * 64;
        if (bytes > size) {
            free(memory);
            memory = aligned_alloc(64, bytes);
            size = memory ? bytes : 0;
        }
        return (T*)memory;
    }
    ~Scratch() { free(memory); }
};

}  // namespace loralab
