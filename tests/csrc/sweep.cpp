// Every path of one table against sums in double, over shapes that fill no tile. Needs nothing but a C++ compiler, so it
// runs under sanitizers and under an emulator of another processor:
//     g++ -std=c++17 -O2 -pthread -Icsrc/cpu -DTABLE=portable_kernels tests/csrc/sweep.cpp csrc/cpu/{portable,barrier}.cpp
//
// Every buffer ends where the next page may not be touched: one byte read behind an end is a fault.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "kernels.h"

using namespace loralab;

template <class T>
struct Guarded {
    T* data = nullptr;
    size_t bytes = 0, mapped = 0;
    char* base = nullptr;

    explicit Guarded(size_t count) : bytes(count * sizeof(T)) {
        const size_t page = sysconf(_SC_PAGESIZE);
        mapped = (bytes + page - 1) / page * page + page;
        base = (char*)mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED || mprotect(base + mapped - page, page, PROT_NONE)) abort();
        data = (T*)(base + mapped - page - bytes);
    }
    Guarded(const Guarded&) = delete;
    ~Guarded() { munmap(base, mapped); }
    T& operator[](size_t i) { return data[i]; }
    size_t size() const { return bytes / sizeof(T); }
};

std::mt19937 generator(0);
float normal() { return std::normal_distribution<float>()(generator); }

struct Matrix {
    enum Kind { nf4, zeros, int8 } kind;
    Weight w{};
    Guarded<uint8_t> codes, scales, zero_points;
    Guarded<float> steps, codebook, row_scales;
    std::vector<double> dense;  // [out, in]

    Matrix(Kind kind, int64_t out, int64_t in, int64_t group)
        : kind(kind),
          codes(kind == int8 ? out * in : out * ((in + group - 1) / group * group / 2)),
          scales(out * ((in + group - 1) / group)),
          zero_points(scales.size()),
          steps((out + 15) / 16 * 2),
          codebook(16),
          row_scales(out) {
        for (size_t i = 0; i < codes.size(); i++) codes[i] = kind == int8 ? (uint8_t)(int8_t)(int(generator() % 255) - 127) : generator();
        for (size_t i = 0; i < scales.size(); i++) scales[i] = generator(), zero_points[i] = generator() % 16;
        for (size_t i = 0; i < steps.size(); i++) steps[i] = i % 2 ? 0.5f : 0.01f;
        for (int i = 0; i < 16; i++) codebook[i] = kind == zeros ? i : -1 + i * i / 112.5f;
        for (size_t i = 0; i < row_scales.size(); i++) row_scales[i] = 0.01f + 0.001f * (generator() % 10);
        w = {codes.data, scales.data, steps.data, kind == zeros ? zero_points.data : nullptr,
             kind == int8 ? nullptr : codebook.data, kind == int8 ? row_scales.data : nullptr, out, in, group};
        for (int64_t i = 0; i < out * in; i++) dense.push_back(w.at(i / in, i % in));
    }
};

struct Parallel {
    // Two threads, as torch's would share it.
    static void run(int64_t count, int64_t grain, Run run, void* context) {
        if (count <= grain) return count ? run(context, 0, count) : void();
        std::thread other(run, context, (count + 1) / 2, count);
        run(context, 0, (count + 1) / 2);
        other.join();
    }
};

float value(Element element, const void* data, int64_t at) {
    return element == Element::float32 ? ((const float*)data)[at] : to_float(((const bf16*)data)[at]);
}

// Of sums of `terms` products: float32's rounding grows with their root, the others' does not.
double tolerance(Path path, Element element, int64_t terms) {
    const double sums = 2.5e-6 * std::sqrt(1 + terms / 512.0);
    const double rounded = element == Element::bf16 ? 6e-3 : sums, of[] = {sums, sums, 7.5e-3, 3e-2};
    return of[(int)path] > rounded ? of[(int)path] : rounded;
}

int failures = 0, done = 0;

void check(Matrix& m, bool transposed, Element element, int64_t rows, Path path, int64_t gap, bool plain) {
    const Weight& w = m.w;
    const int64_t inner = transposed ? w.out : w.in, columns = transposed ? w.in : w.out, extra = plain ? 0 : 3;
    const int64_t stride = inner + gap, size = element == Element::float32 ? 4 : 2;
    Guarded<char> x(((rows - 1) * stride + inner) * size), y(rows * columns * size);
    Guarded<float> left(rows * 3), right(columns * 3), bias(columns);
    for (size_t i = 0; i < x.size() / size; i++) {
        const float number = normal();
        if (element == Element::float32) ((float*)x.data)[i] = number;
        else ((bf16*)x.data)[i] = to_bf16(number);
    }
    for (size_t i = 0; i < left.size(); i++) left[i] = normal();
    for (size_t i = 0; i < right.size(); i++) right[i] = normal();
    for (size_t i = 0; i < bias.size(); i++) bias[i] = normal();
    memset(y.data, 0xff, y.size());
    const Product p{element, x.data, rows, stride, w, transposed, plain ? nullptr : left.data,
                    plain ? nullptr : right.data, extra, plain ? nullptr : bias.data, y.data};
    TABLE.multiply(p, path, Parallel::run);
    double wrong = 0, all = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0, squares = 0;  // of all terms: where they cancel out, the sum says nothing of rounding
            auto add = [&](double term) { sum += term, squares += term * term; };
            if (!plain) add(bias[j]);
            for (int64_t k = 0; k < inner; k++)
                add(value(element, x.data, i * stride + k) * m.dense[transposed ? k * w.in + j : j * w.in + k]);
            for (int64_t e = 0; e < extra; e++) add((double)left[i * 3 + e] * right[j * 3 + e]);
            const double off = value(element, y.data, i * columns + j) - sum;
            wrong += off * off, all += squares;
        }
    done++;
    if (std::sqrt(wrong) <= tolerance(path, element, inner) * std::sqrt(all)) return;
    if (failures++ < 20)
        printf("path %d element %d kind %d [%d, %d] group %d transposed %d rows %d: off by %.2g\n", (int)path, (int)element,
               m.kind, (int)w.out, (int)w.in, (int)w.group, transposed, (int)rows, std::sqrt(wrong / all));
}

void check_dense(Matrix& m, Element element) {
    const Weight& w = m.w;
    const int64_t first = w.out > 2 ? 1 : 0, count = (w.out - first) * w.in, size = element == Element::float32 ? 4 : 2;
    Guarded<char> y(count * size);
    TABLE.dequantize(w, first, w.out, element, y.data);
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        const double wanted = m.dense[first * w.in + i], off = std::fabs(value(element, y.data, i) - wanted);
        worst = std::fmax(worst, off / (std::fabs(wanted) + 0.01));
    }
    done++;
    if (worst > (element == Element::float32 ? 1e-6 : 1.0 / 256) && failures++ < 20)
        printf("dequantize element %d kind %d [%d, %d]: off by %.2g\n", (int)element, m.kind, (int)w.out, (int)w.in, worst);
}

int main() {
    const int64_t shapes[][2] = {{1, 1},   {16, 64}, {17, 40},  {33, 100},   {64, 64},    {70, 130},
                                 {130, 7}, {5, 200}, {53, 101}, {20, 2100}, {2100, 40}, {2049, 65}, {3, 8300}, {8300, 3}};
    for (auto& shape : shapes)
        for (Matrix::Kind kind : {Matrix::nf4, Matrix::zeros, Matrix::int8})
            for (int64_t group : {32, 64, 128}) {
                if (kind == Matrix::int8 && group > 32) continue;
                Matrix m(kind, shape[0], shape[1], group);
                for (Element element : {Element::float32, Element::bf16}) {
                    check_dense(m, element);
                    for (int64_t rows : {1, 2, 3, 4, 5, 7, 13, 200}) {
                        if (rows == 200 && shape[0] * shape[1] > 20000) continue;
                        for (Path path : {Path::rows, Path::float32, Path::bf16, Path::int8})
                            for (bool transposed : {false, true})
                                if (TABLE.has(path)) check(m, transposed, element, rows, path, rows % 3, rows == 4);
                    }
                }
            }
    printf("%s: %d checks, %d failures\n", TABLE.name, done, failures);
    return failures > 0;
}
