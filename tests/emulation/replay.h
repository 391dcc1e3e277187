// A program that makes the launches of a tape (tests/emulation/metal.py) again, each buffer in memory of its own that is
// not a byte larger: for kernels that were compiled with a sanitizer. Whoever includes this defines `kernels`.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

struct Entry {
    const char* name;
    void (*launch)(void** buffers, const unsigned* groups, const unsigned* threads, unsigned long order);
};
extern const Entry kernels[];  // the last has no name

namespace replay {

struct Header {
    char name[64];
    unsigned buffers, groups[3], threads[3];
};

inline void need(bool whole) {
    if (!whole) std::fputs("the tape is torn\n", stderr), std::exit(2);
}

// `skew`: where it began within 64 bytes. It ends where it ends.
inline char* buffer(std::FILE* tape, void** kept) {
    unsigned long about[2];  // bytes and skew
    need(std::fread(about, sizeof about, 1, tape) == 1);
    if (posix_memalign(kept, 64, about[1] + about[0])) std::abort();
    char* begin = static_cast<char*>(*kept) + about[1];
    need(about[0] == 0 || std::fread(begin, about[0], 1, tape) == 1);
    return begin;
}

inline void launch(const Header& header, std::FILE* tape, unsigned long order) {
    std::vector<void*> kept(header.buffers), buffers(header.buffers);
    for (unsigned i = 0; i < header.buffers; i++) buffers[i] = buffer(tape, &kept[i]);
    const Entry* entry = kernels;
    while (entry->name && std::strcmp(entry->name, header.name)) entry++;
    need(entry->name);
    entry->launch(buffers.data(), header.groups, header.threads, order);
    for (void* each : kept) std::free(each);
}

}  // namespace replay

int main(int count, char** arguments) {
    replay::need(count == 3);
    std::FILE* tape = std::fopen(arguments[1], "rb");
    replay::need(tape);
    replay::Header header;
    int launches = 0;
    for (; std::fread(&header, sizeof header, 1, tape) == 1; launches++)
        replay::launch(header, tape, std::strtoul(arguments[2], nullptr, 10));
    std::printf("%d launches\n", launches);
}
