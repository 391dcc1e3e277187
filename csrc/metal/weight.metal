// A quantised matrix [out, in], as loralab_core/quant/tensor.py describes it. Included by every file that reads weights.
//
// 4 bits: `in` padded to whole groups, element 2j of a row in the high half of byte j, scales that are codes themselves.
// 8 bits: int8 codes [out, in] and one float scale a row. One kernel serves NF4 and INT4: the codebook is an argument.
//
// Sources are plain ASCII (torch hands them to Metal in that encoding) and C++14, which is what Metal 3 is made of.
#include <metal_stdlib>
using namespace metal;

// Arrays live in registers only where every index is known: loops over them have to go.
#define UNROLL _Pragma("clang loop unroll(full)")

struct Matrix {
    int out, in;
    int group;      // elements that share a scale; of 8 bits unused
    int has_zeros;  // whether there are zero-points
};

constant constexpr int SCALE_ROWS = 16;  // rows that share a step and an offset of their scales

// Arguments of every kernel that reads a weight. What a kind lacks is any buffer.
#define WEIGHT_BUFFERS                                                               \
    device const uchar* codes [[buffer(0)]], device const uchar* scales [[buffer(1)]], \
        device const float* steps [[buffer(2)]], device const float* codebook [[buffer(3)]], \
        device const uchar* zeros [[buffer(4)]], constant Matrix& form [[buffer(5)]]

// The sixteen values go to the group's memory: sixteen banks, so lanes that look up different codes never collide.
inline void fill_table(threadgroup float* table, device const float* codebook, uint index, bool eight) {
    if (!eight && index < 16) table[index] = codebook[index];
    threadgroup_barrier(mem_flags::mem_threadgroup);
}

template <bool EIGHT>
struct Weight {
    device const uchar* codes;
    device const uchar* scales;  // of 8 bits: float, one a row
    device const float* steps;   // step and offset of every SCALE_ROWS rows
    device const uchar* zeros;
    threadgroup const float* table;  // [16]
    int out, in, group, groups;
    int width;  // columns that may be read: of 4 bits with the padding
    bool has_zeros;

    // Of the group that `column` lies in.
    float scale(int row, int column) const {
        if (EIGHT) return ((device const float*)scales)[row];
        const float step = steps[row / SCALE_ROWS * 2], offset = steps[row / SCALE_ROWS * 2 + 1];
        return offset + step * float(scales[(ulong)row * groups + column / group]);
    }
    float zero(int row, int column) const {
        return !EIGHT && has_zeros ? float(zeros[(ulong)row * groups + column / group]) : 0.0f;
    }

    // What N codes from `column` on stand for, before zero-point and scale. column: a multiple of N, below `width`;
    // N: 8 or 16. Eight 4-bit codes are one load of 32 bits: no group is shorter than 32, so every row begins at one.
    template <int N>
    void values(int row, int column, thread float* to) const {
        if (EIGHT) {
            device const char* from = (device const char*)codes + (ulong)row * in + column;
            for (int i = 0; i < N; i++) to[i] = column + i < in ? float(from[i]) : 0.0f;
            return;
        }
        device const uint* from = (device const uint*)(codes + (ulong)row * (groups * group / 2) + column / 2);
        for (int word = 0; word < N / 8; word++) {
            const uint eight = from[word];
            for (int i = 0; i < 4; i++) {
                to[word * 8 + 2 * i] = table[eight >> (8 * i + 4) & 15];
                to[word * 8 + 2 * i + 1] = table[eight >> (8 * i) & 15];
            }
        }
    }

    // The elements themselves; zero outside the matrix. column: a multiple of N.
    template <int N>
    void elements(int row, int column, thread float* to) const {
        if (row >= out || column >= width) {
            for (int i = 0; i < N; i++) to[i] = 0.0f;
            return;
        }
        values<N>(row, column, to);
        const float factor = scale(row, column), origin = zero(row, column);
        for (int i = 0; i < N; i++) to[i] = (to[i] - origin) * factor;
    }
};

template <bool EIGHT>
inline Weight<EIGHT> weight_of(device const uchar* codes, device const uchar* scales, device const float* steps,
                               device const uchar* zeros, threadgroup const float* table, constant Matrix& form) {
    Weight<EIGHT> w;
    w.codes = codes, w.scales = scales, w.steps = steps, w.zeros = zeros, w.table = table;
    w.out = form.out, w.in = form.in, w.group = form.group;
    w.groups = EIGHT ? 1 : (form.in + form.group - 1) / form.group;
    w.width = EIGHT ? form.in : w.groups * form.group;
    w.has_zeros = form.has_zeros != 0;
    return w;
}

// KERNEL(EIGHT, BITS, T) for every kind of weight and type of x and y.
#define FOR_WEIGHTS_AND_TYPES(KERNEL)                                             \
    KERNEL(false, 4bit, float) KERNEL(false, 4bit, half) KERNEL(false, 4bit, bfloat) \
    KERNEL(true, 8bit, float) KERNEL(true, 8bit, half) KERNEL(true, 8bit, bfloat)
