// Compiled without sanitizers: what happens in here is the machine's, not the kernel's.
#include "group.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

// What ThreadSanitizer is told: who runs, and what orders them. Switching fibers orders nothing.
#ifdef LORALAB_TSAN
extern "C" {
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void* __tsan_get_current_fiber();
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
static void* new_race() { return __tsan_create_fiber(0); }
static void end_race(void* fiber) { __tsan_destroy_fiber(fiber); }
static void to_race(void* fiber) { __tsan_switch_to_fiber(fiber, 1); }
static void* this_race() { return __tsan_get_current_fiber(); }
static void before(char* sync) { __tsan_release(sync); }
static void after(char* sync) { __tsan_acquire(sync); }
#else
static void* new_race() { return nullptr; }
static void end_race(void*) {}
static void to_race(void*) {}
static void* this_race() { return nullptr; }
static void before(char*) {}
static void after(char*) {}
#endif

namespace emulation {
namespace {

constexpr size_t STACK = 256 << 10, GIFT = 256;
constexpr int POISON = 0xff;  // NaN in every float type, -1 in integers

enum class Waits { for_nothing, for_group, for_warp, for_gifts, done };

struct Copy {
    void* to;
    const void* from;
    size_t bytes;
};

// Where a thread of execution goes on. Contexts are only for the first time: they ask the system for the signal mask.
struct Position {
    ucontext_t context;
    jmp_buf place;
    bool entered = false;
};

struct Fiber {
    Position position;
    std::unique_ptr<char[]> stack{new char[STACK]};
    Place place;
    Waits waits = Waits::for_nothing;
    std::vector<std::vector<Copy>> batches;
    std::vector<Copy> open;
    void* race = nullptr;  // what ThreadSanitizer knows it by
    unsigned group_turn, warp_turn;  // barriers it has passed
};

struct Warp {
    char gifts[2][WARP][GIFT];  // taken in turns: one may still be read while the next is given
    int turn = 0;
    char sync[2];
};

std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<char> memory;
Position scheduler;
Fiber* running = nullptr;
const std::function<void()>* work = nullptr;
uint64_t order = 0;
long idle = 0;  // times that threads have waited since somebody did something
// Two for a barrier, by turns: who is ahead arrives at the next one before the last has left this one.
char start_sync, group_sync[2], end_sync;
void* scheduler_race = nullptr;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "emulated group (%u, %u, %u): %s\n", fibers[0].place.group.x, fibers[0].place.group.y,
                 fibers[0].place.group.z, what);
    std::abort();
}

// ThreadSanitizer follows contexts, not jumps.
void change(Position& from, Position& to) {
#ifdef LORALAB_TSAN
    swapcontext(&from.context, &to.context);
#else
    if (_setjmp(from.place)) return;
    if (to.entered) _longjmp(to.place, 1);
    to.entered = true;
    setcontext(&to.context);
#endif
}

void enter() {
    after(&start_sync);
    (*work)();
    before(&end_sync);
    running->waits = Waits::done;
    to_race(scheduler_race);
    change(running->position, scheduler);
}

void resume(Fiber& fiber) {
    running = &fiber;
    to_race(fiber.race);
    change(scheduler, fiber.position);
}

void wait(Waits what) {
    running->waits = what;
    Fiber* self = running;
    to_race(scheduler_race);
    change(self->position, scheduler);
}

bool all(size_t first, size_t last, Waits what) {
    return std::all_of(fibers.begin() + first, fibers.begin() + last, [=](const Fiber& each) { return each.waits == what; });
}

void release(size_t first, size_t last) {
    for (size_t i = first; i < last; i++) fibers[i].waits = Waits::for_nothing;
}

// Whether somebody who waited can go on.
bool let_go() {
    bool any = false;
    if (all(0, fibers.size(), Waits::for_group)) release(0, fibers.size()), any = true;
    for (size_t first = 0; first < fibers.size(); first += WARP) {
        const size_t last = std::min(first + WARP, fibers.size());
        for (Waits what : {Waits::for_warp, Waits::for_gifts})
            if (all(first, last, what)) {
                if (what == Waits::for_gifts) warps[first / WARP].turn ^= 1;
                release(first, last), any = true;
            }
    }
    if (any) idle = 0;
    return any;
}

std::vector<size_t> sequence() {
    std::vector<size_t> found(fibers.size());
    std::iota(found.begin(), found.end(), 0);
    if (order == 1) std::reverse(found.begin(), found.end());
    if (order > 1) std::shuffle(found.begin(), found.end(), std::mt19937_64(order));
    return found;
}

void prepare(Fiber& fiber) {
    fiber.waits = Waits::for_nothing;
    fiber.batches.clear(), fiber.open.clear();
    fiber.group_turn = fiber.warp_turn = 0;
    fiber.position.entered = false;
    ucontext_t& context = fiber.position.context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.get();
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, enter, 0);
    if (!fiber.race) fiber.race = new_race();  // kept from group to group: making one takes long
}

void run_group() {
    idle = 0;
    for (Fiber& each : fibers) prepare(each);
    std::fill(memory.begin(), memory.end(), char(POISON));
    for (Warp& each : warps) std::memset(each.gifts, 0, sizeof each.gifts);
    const std::vector<size_t> turns = sequence();
    before(&start_sync);
    while (!all(0, fibers.size(), Waits::done)) {
        bool moved = false;
        for (size_t i : turns)
            if (fibers[i].waits == Waits::for_nothing) resume(fibers[i]), moved = true;
        if (!let_go() && !moved) fail("threads wait for others that have ended or wait for something else");
    }
    after(&end_sync);
}

}  // namespace

const Place& here() { return running->place; }

void* shared() { return memory.data(); }

void set_order(uint64_t wanted) { order = wanted; }

void run(Dim groups, Dim threads, size_t bytes, const std::function<void()>& body) {
    const size_t count = size_t(threads.x) * threads.y * threads.z;
    fibers = std::vector<Fiber>(count);
    warps = std::vector<Warp>((count + WARP - 1) / WARP);
    memory.resize(bytes + 128);
    work = &body;
    scheduler_race = this_race();
    scheduler.entered = true;
    for (unsigned z = 0; z < groups.z; z++)
        for (unsigned y = 0; y < groups.y; y++)
            for (unsigned x = 0; x < groups.x; x++) {
                for (size_t i = 0; i < count; i++) {
                    const unsigned index = unsigned(i);
                    const Dim thread{index % threads.x, index / threads.x % threads.y, index / threads.x / threads.y};
                    fibers[i].place = Place{thread, {x, y, z}, threads, groups, int(i)};
                }
                run_group();
            }
    for (Fiber& each : fibers) end_race(each.race);
}

void barrier() {
    char* sync = &group_sync[running->group_turn++ % 2];
    before(sync);
    wait(Waits::for_group);
    after(sync);
}

void warp_barrier() {
    char* sync = &warps[running->place.index / WARP].sync[running->warp_turn++ % 2];
    before(sync);
    wait(Waits::for_warp);
    after(sync);
}

const void* exchange(const void* gift, size_t bytes) {
    Warp& warp = warps[running->place.index / WARP];
    const int turn = warp.turn;
    if (bytes > GIFT) fail("a gift is too large");
    char* own = reinterpret_cast<char*>(warp.gifts[turn]) + running->place.lane() * bytes;
    for (size_t i = 0; i < bytes; i++) own[i] = static_cast<const volatile char*>(gift)[i];  // memcpy would be watched
    wait(Waits::for_gifts);
    return warp.gifts[turn];
}

void yield() {
    if (++idle > 1000 * long(fibers.size())) fail("all threads wait for something that nobody does");
    wait(Waits::for_nothing);
}

void done() { idle = 0; }

void copy_later(void* to, const void* from, size_t bytes) { running->open.push_back({to, from, bytes}); }

void commit_copies() {
    running->batches.push_back(std::move(running->open));
    running->open.clear();
}

void wait_copies(int pending) {
    auto& batches = running->batches;
    while (int(batches.size()) > pending) {
        for (const Copy& each : batches.front())
            each.from ? std::memcpy(each.to, each.from, each.bytes) : std::memset(each.to, 0, each.bytes);
        batches.erase(batches.begin());
    }
}

}  // namespace emulation
