// A group of GPU threads (a CUDA block, a Metal threadgroup) on one CPU thread: each of its threads is a fiber that runs
// until it waits for others. Deterministic; the order in which fibers run can be turned around or shuffled, so that what
// lacks a barrier goes wrong. Under ThreadSanitizer each fiber is a thread of its own, and only barriers order them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace emulation {

constexpr int WARP = 32;

struct Dim {
    unsigned x = 1, y = 1, z = 1;
};

// What the running fiber is.
struct Place {
    Dim thread, group, threads, groups;  // its place in its group, the group's in the grid, and how many there are
    int index;                           // of the thread, x first
    int lane() const { return index % WARP; }
};
const Place& here();

// body() for every thread of every group, one group after another, each with `shared` bytes of memory of its own that
// are poisoned first. Aborts with a sentence if threads wait for ones that have ended, or for a different thing.
void run(Dim groups, Dim threads, size_t shared, const std::function<void()>& body);

void* shared();  // the group's memory

void barrier();       // all threads of the group
void warp_barrier();  // all threads of the warp

// Each thread of the warp gives `bytes` (256 at most) and gets the gifts of all 32, `bytes` each, lane by lane; they are
// valid until it next calls this. Orders nothing else. Of a warp that is not full, the missing threads' are zero.
const void* exchange(const void* gift, size_t bytes);

// Copies that are under way until waited for: what is read too early is what was there before.
void copy_later(void* to, const void* from, size_t bytes);  // from = null: zeros
void commit_copies();                                       // those since the last call are a batch
void wait_copies(int pending);                              // until at most so many of this thread's batches are under way

// Lets others run, for who waits for what they do; `done` says that something was done, so that waiting is not in vain.
void yield();
void done();

// 0: fibers run in their order; 1: in reverse; from 2 on: shuffled by this seed.
void set_order(uint64_t order);

}  // namespace emulation
