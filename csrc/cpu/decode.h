// One token through all layers of a plain decoder: what an answer spends its time on.
//
// Operator by operator a token costs several hundred calls of a few microseconds each, more than its arithmetic. Here all
// threads go through the layers together and wait for each other five times a layer, at a counter in memory. Everything
// between two products stays in float32.
//
// Plain: RMS norms before attention and MLP (and of heads, where there are such), rotary positions, no window or cap that
// matters, gated MLP. Vaswani et al., arXiv:1706.03762; Su et al., arXiv:2104.09864; Shazeer, arXiv:2002.05202.
#pragma once
#include "barrier.h"
#include "exponential.h"
#include "kernels.h"
#include "scratch.h"

namespace loralab {

// Which part of a product's rows is share `share` of `shares`: whole blocks of eight rows.
LORALAB_INLINE int64_t border(int64_t rows, int64_t share, int64_t shares) {
    const int64_t blocks = (rows + 7) / 8, row = blocks * share / shares * 8;
    return row < rows ? row : rows;
}

// V: one vector times rows of a weight, of an instruction set (see Vector in rows.h).
template <class V>
struct TokenJob {
    const DecodeModel& model;
    const DecodeToken& token;
    Barrier barrier;
    float *residual, *query, *key, *value, *attended, *inner;  // shared by all

    // What a thread has to itself.
    struct Own {
        float *vector, *keys, *scores, *scales, *low_rank;
        void* laid_out;
        const Weight* layout;  // what laid_out was laid out for
        int64_t first, last;   // shares
    };

    static void run(void* context, int64_t first, int64_t last) {
        TokenJob& job = *(TokenJob*)context;
        static thread_local Scratch scratch;
        Own own = job.own(scratch, first, last);
        for (int64_t number = 0; number < job.model.layers; number++) job.layer(job.model.layer[number], own);
        job.norm(job.residual, job.model.final_norm, job.model.hidden, own);
        job.multiply(job.model.head, job.token.logits, own);
    }

    LORALAB_INLINE Own own(Scratch& scratch, int64_t first, int64_t last) const {
        const int64_t wide = (model.widest + 127) / 128 * 128, keys = model.kv_heads * model.head_dim;
        float* memory = scratch.get<float>(2 * wide + keys + token.past + 1 + wide / 8 + DECODE_RANK + 256);
        Own own{};
        own.vector = memory;
        own.laid_out = own.vector + wide;
        own.keys = (float*)own.laid_out + wide;
        own.scales = own.keys + keys;
        own.low_rank = own.scales + wide / 8 + 64;
        own.scores = own.low_rank + DECODE_RANK;
        own.first = first, own.last = last;
        return own;
    }

    LORALAB_APART void layer(const DecodeLayer& layer, Own& own) {
        norm(residual, layer.attention_norm, model.hidden, own);
        multiply(layer.query, query, own);
        multiply(layer.key, key, own);
        multiply(layer.value, value, own);
        barrier.wait(own.last - own.first);
        attend(layer, own);
        barrier.wait(own.last - own.first);
        take(attended, model.heads * model.head_dim, own);
        multiply(layer.output, residual, own, true);
        barrier.wait(own.last - own.first);
        norm(residual, layer.mlp_norm, model.hidden, own);
        multiply(layer.up, inner, own);
        gate(layer.gate, own);
        barrier.wait(own.last - own.first);
        take(inner, layer.down.weight.in, own);
        multiply(layer.down, residual, own, true);
        barrier.wait(own.last - own.first);
    }

    // own.vector = x / rms(x) · gain; padded with zeros. Every thread for itself: cheaper than waiting for another.
    LORALAB_INLINE void norm(const float* x, const float* gain, int64_t width, Own& own) const {
        const float scale = inverse_rms(x, width);
        for (int64_t k = 0; k < width; k++) own.vector[k] = x[k] * scale * gain[k];
        pad(width, own);
    }
    LORALAB_INLINE void take(const float* x, int64_t width, Own& own) const {
        __builtin_memcpy(own.vector, x, 4 * width);
        pad(width, own);
    }
    LORALAB_INLINE static void pad(int64_t width, Own& own) {
        const int64_t end = (width + 127) / 128 * 128;
        for (int64_t k = width; k < end; k++) own.vector[k] = 0;
        own.layout = nullptr;
    }
    LORALAB_INLINE float inverse_rms(const float* x, int64_t width) const {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < width; k++) sum = multiply_add(x[k], x[k], sum);
        return 1 / __builtin_sqrtf(sum / width + model.eps);
    }

    // This thread's rows of y = W·own.vector + bias + s·B·(A·own.vector), or y += it.
    LORALAB_APART void multiply(const DecodeLinear& linear, float* y, Own& own, bool add = false) const {
        const Weight& w = linear.weight;
        if (own.layout == nullptr || !V::same_layout(w, *own.layout)) V::lay_out(w, own.vector, own.laid_out);
        own.layout = &w;
        for (int64_t e = 0; e < linear.rank; e++) own.low_rank[e] = linear.scale * dot(linear.a + e * w.in, own.vector, w.in);
        const int64_t from = border(w.out, own.first, barrier.shares), to = border(w.out, own.last, barrier.shares);
        float part[64];
        for (int64_t row = from; row < to; row += 64) {
            const int64_t count = to - row < 64 ? to - row : 64;
            V::dot(w, own.laid_out, row, row + count, own.scales, part);
            for (int64_t i = 0; i < count; i++) {
                const float sum = part[i] + (linear.bias ? linear.bias[row + i] : 0) +
                                  (linear.rank ? dot(linear.b + (row + i) * linear.rank, own.low_rank, linear.rank) : 0);
                y[row + i] = add ? y[row + i] + sum : sum;
            }
        }
    }

    // inner = activation(W·own.vector) · inner, for the rows this thread made of it.
    LORALAB_INLINE void gate(const DecodeLinear& linear, Own& own) const {
        const int64_t from = border(linear.weight.out, own.first, barrier.shares);
        const int64_t to = border(linear.weight.out, own.last, barrier.shares);
        float* gates = attended + model.heads * model.head_dim;  // as long as inner, shared by rows like it
        multiply(linear, gates, own);
        for (int64_t i = from; i < to; i++) inner[i] *= activate(gates[i]);
    }

    LORALAB_INLINE float activate(float x) const {
        if (model.activation == Activation::relu) return x > 0 ? x : 0;
        // tanh-GELU is x · sigmoid(2 · 0.79788 · (x + 0.044715 x³))
        const float at = model.activation == Activation::silu ? x : 1.5957691216f * (x + 0.044715f * x * x * x);
        const float small = exponential(at < 0 ? at : -at);
        return x * (at < 0 ? small : 1) / (1 + small);
    }

    LORALAB_INLINE static float dot(const float* a, const float* b, int64_t count) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < count; k++) sum = multiply_add(a[k], b[k], sum);
        return sum;
    }

    // Keys are turned by every thread for itself, and remembered by one; then each attends with its own heads.
    LORALAB_APART void attend(const DecodeLayer& layer, Own& own) const {
        const int64_t width = model.head_dim, shared = model.heads / model.kv_heads;
        for (int64_t h = 0; h < model.kv_heads; h++) {
            float* turned = own.keys + h * width;
            turn(key + h * width, layer.key_norm, turned);
            if (h % barrier.shares < own.first || h % barrier.shares >= own.last) continue;
            const int64_t at = (token.past * model.kv_heads + h) * width;
            remember(layer.keys, at, turned, width);
            remember(layer.values, at, value + h * width, width);
        }
        const int64_t from = model.heads * own.first / barrier.shares, to = model.heads * own.last / barrier.shares;
        for (int64_t h = from; h < to; h++) {
            float* q = own.vector;
            turn(query + h * width, layer.query_norm, q);
            head(layer, h / shared, q, attended + h * width, own);
        }
    }

    // x [D] normed, where heads are normed, and turned by the token's position: pairs (i, i + rotary / 2).
    LORALAB_INLINE void turn(const float* x, const float* gain, float* out) const {
        const int64_t width = model.head_dim, half = model.rotary / 2;
        const float scale = gain ? inverse_rms(x, width) : 1;
        for (int64_t i = 0; i < width; i++) out[i] = x[i] * scale * (gain ? gain[i] : 1);
        for (int64_t i = 0; i < half; i++) {
            const float left = out[i], right = out[half + i];
            out[i] = left * token.cos[i] - right * token.sin[i];
            out[half + i] = right * token.cos[i] + left * token.sin[i];
        }
    }

    LORALAB_INLINE void remember(void* cache, int64_t at, const float* x, int64_t width) const {
        if (model.cache == Element::float32) __builtin_memcpy((float*)cache + at, x, 4 * width);
        else
            for (int64_t i = 0; i < width; i++) ((bf16*)cache)[at + i] = to_bf16(x[i]);
    }

    LORALAB_INLINE void head(const DecodeLayer& layer, int64_t kv, const float* q, float* out, Own& own) const {
        if (model.cache == Element::float32) head_in((const float*)layer.keys, (const float*)layer.values, kv, q, out, own);
        else head_in((const bf16*)layer.keys, (const bf16*)layer.values, kv, q, out, own);
    }

    LORALAB_INLINE static float wide(float x) { return x; }
    LORALAB_INLINE static float wide(bf16 x) { return to_float(x); }

    template <class T>
    LORALAB_APART void head_in(const T* keys, const T* values, int64_t kv, const float* q, float* out, Own& own) const {
        const int64_t width = model.head_dim, step = model.kv_heads * width;
        float largest = own.scores[token.past] = dot(q, own.keys + kv * width, width) * model.attention_scale;
        for (int64_t t = 0; t < token.past; t++) {
            const T* k = keys + t * step + kv * width;
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < width; i++) sum = multiply_add(q[i], wide(k[i]), sum);
            own.scores[t] = sum * model.attention_scale;
            largest = own.scores[t] > largest ? own.scores[t] : largest;
        }
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t t = 0; t <= token.past; t++) total += own.scores[t] = exponential(own.scores[t] - largest);
        const float latest = own.scores[token.past] / total;
        for (int64_t i = 0; i < width; i++) out[i] = latest * value[kv * width + i];
        for (int64_t t = 0; t < token.past; t++) {
            const T* v = values + t * step + kv * width;
            const float share = own.scores[t] / total;
            for (int64_t i = 0; i < width; i++) out[i] = multiply_add(share, wide(v[i]), out[i]);
        }
    }
};

template <class V>
static void decode_token(const DecodeModel& model, const DecodeToken& token, int64_t threads, ParallelFor parallel) {
    static thread_local Scratch scratch;
    const int64_t attended = model.heads * model.head_dim, kv = model.kv_heads * model.head_dim;
    float* memory = scratch.get<float>(model.hidden + 2 * attended + 2 * kv + 2 * model.widest + 64);
    TokenJob<V> job{model, token, {threads}, memory, nullptr, nullptr, nullptr, nullptr, nullptr};
    job.query = job.residual + model.hidden;
    job.key = job.query + attended;
    job.value = job.key + kv;
    job.inner = job.value + kv;
    job.attended = job.inner + model.widest;
    __builtin_memcpy(job.residual, token.x, 4 * model.hidden);
    parallel(threads, 1, TokenJob<V>::run, &job);
}

}  // namespace loralab
