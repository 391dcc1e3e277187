// torch.ops.loralab.decode: one token through a whole decoder (csrc/cpu/decode.h).
//
// A decoder is a thousand tensors, too many to hand over for every token: `decode_prepare` checks them once, keeps them
// alive and gives a number for them, which `decode` takes. `loralab_release` lets them go.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "library.h"

namespace loralab {
namespace {

// Behind one another in the lists: of a model, of each layer, of each projection. An empty tensor stands for none.
constexpr int64_t MODEL_NUMBERS = 8, LAYER_TENSORS = 6, LINEAR_TENSORS = 8, LINEAR_NUMBERS = 2, LINEARS = 7;

struct Plan {
    std::vector<Tensor> tensors;
    std::vector<DecodeLayer> layers;
    DecodeModel model;
    int64_t capacity;
};

std::mutex guard;
std::map<int64_t, std::shared_ptr<Plan>> plans;
int64_t latest = 0;

// Reads the lists in order.
struct Lists {
    const std::vector<Tensor>& tensors;
    const std::vector<int64_t>& numbers;
    const std::vector<double>& scalars;
    size_t tensor = 0, number = 0, scalar = 0;

    const Tensor& next_tensor() {
        if (tensor >= tensors.size()) refuse("decode_prepare: more than ", tensors.size(), " tensors are wanted");
        return tensors[tensor++];
    }
    int64_t next_number() {
        if (number >= numbers.size()) refuse("decode_prepare: more than ", numbers.size(), " numbers are wanted");
        return numbers[number++];
    }
    double next_scalar() {
        if (scalar >= scalars.size()) refuse("decode_prepare: more than ", scalars.size(), " scalars are wanted");
        return scalars[scalar++];
    }
    Maybe maybe() {
        const Tensor& found = next_tensor();
        return found.numel() ? Maybe(found) : Maybe();
    }
    const float* floats(const char* name, int64_t rows, int64_t columns = -1) {
        return maybe_data<float>(name, maybe(), aoti_torch_dtype_float32(), rows, columns);
    }

    DecodeLinear linear(int64_t out, int64_t in) {
        const Tensor &codes = next_tensor(), &scales = next_tensor();
        const Maybe steps = maybe(), codebook = maybe(), zeros = maybe();
        const int64_t width = next_number(), group = next_number();
        DecodeLinear linear{};
        linear.weight = weight_of(codes, scales, steps, codebook, zeros, width, group);
        if (linear.weight.out != out || width != in)
            refuse("decode_prepare: a weight of [", out, ", ", in, "] is wanted, not of ", shape_of(codes), " codes");
        linear.bias = floats("bias", out);
        const Maybe a = maybe();
        linear.rank = a ? a->size(0) : 0;
        if (linear.rank > DECODE_RANK) refuse("decode_prepare: ranks above ", DECODE_RANK, " are not decoded at once");
        linear.a = maybe_data<float>("A", a, aoti_torch_dtype_float32(), linear.rank, in);
        linear.b = floats("B", out, linear.rank);
        linear.scale = next_scalar();
        return linear;
    }
};

void* cache_of(const char* name, const Tensor& cache, const DecodeModel& model, int64_t capacity) {
    const int32_t dtype = model.cache == Element::bf16 ? aoti_torch_dtype_bfloat16() : aoti_torch_dtype_float32();
    data_of(name, cache, dtype, capacity, model.kv_heads * model.head_dim);
    return cache.data_ptr();
}

void read(Plan& plan, Lists& lists) {
    DecodeModel& model = plan.model;
    model = {};
    model.layers = lists.next_number(), model.hidden = lists.next_number();
    model.heads = lists.next_number(), model.kv_heads = lists.next_number(), model.head_dim = lists.next_number();
    model.rotary = lists.next_number();
    model.activation = static_cast<Activation>(lists.next_number());
    const int64_t inner = lists.next_number();
    model.eps = lists.next_scalar(), model.attention_scale = lists.next_scalar();
    const int64_t query = model.heads * model.head_dim, kv = model.kv_heads * model.head_dim;
    if (model.layers < 1 || model.kv_heads < 1 || model.heads % model.kv_heads || model.rotary > model.head_dim)
        refuse("decode_prepare: the sizes of the decoder do not fit together");
    model.widest = std::max({model.hidden, query, inner});
    for (int64_t number = 0; number < model.layers; number++) {
        DecodeLayer layer{};
        layer.attention_norm = lists.floats("attention_norm", model.hidden);
        layer.mlp_norm = lists.floats("mlp_norm", model.hidden);
        layer.query_norm = lists.floats("query_norm", model.head_dim);
        layer.key_norm = lists.floats("key_norm", model.head_dim);
        const Tensor &keys = lists.next_tensor(), &values = lists.next_tensor();
        if (number == 0) plan.capacity = keys.size(0), model.cache = element_of(keys);
        layer.keys = cache_of("keys", keys, model, plan.capacity);
        layer.values = cache_of("values", values, model, plan.capacity);
        layer.query = lists.linear(query, model.hidden);
        layer.key = lists.linear(kv, model.hidden);
        layer.value = lists.linear(kv, model.hidden);
        layer.output = lists.linear(model.hidden, query);
        layer.gate = lists.linear(inner, model.hidden);
        layer.up = lists.linear(inner, model.hidden);
        layer.down = lists.linear(model.hidden, inner);
        if (!layer.attention_norm || !layer.mlp_norm) refuse("decode_prepare: a layer has no norm");
        plan.layers.push_back(layer);
    }
    model.layer = plan.layers.data();
    model.final_norm = lists.floats("final_norm", model.hidden);
    if (!model.final_norm) refuse("decode_prepare: there is no final norm");
    const int64_t vocabulary = lists.next_number();
    model.head = lists.linear(vocabulary, model.hidden);
}

int64_t decode_prepare(std::vector<Tensor> tensors, std::vector<int64_t> numbers, std::vector<double> scalars) {
    auto plan = std::make_shared<Plan>();
    plan->tensors = std::move(tensors);
    Lists lists{plan->tensors, numbers, scalars};
    read(*plan, lists);
    if (!chosen().decode) refuse("the ", chosen().name, " kernels do not decode at once");
    const std::lock_guard<std::mutex> lock(guard);
    plans[++latest] = plan;
    return latest;
}

// x float32 [hidden], cos and sin float32 [rotary / 2] → logits float32 [vocabulary]
Tensor decode(Tensor x, Tensor cos, Tensor sin, int64_t number, int64_t past) {
    std::shared_ptr<Plan> plan;
    {
        const std::lock_guard<std::mutex> lock(guard);
        auto found = plans.find(number);
        if (found == plans.end()) refuse("no decoder is prepared under the number ", number);
        plan = found->second;
    }
    const DecodeModel& model = plan->model;
    if (past < 0 || past >= plan->capacity) refuse("token ", past, " has no place among ", plan->capacity);
    const int32_t float32 = aoti_torch_dtype_float32();
    DecodeToken token{};
    token.x = static_cast<const float*>(data_of("x", x, float32, model.hidden, -1));
    token.cos = static_cast<const float*>(data_of("cos", cos, float32, model.rotary / 2, -1));
    token.sin = static_cast<const float*>(data_of("sin", sin, float32, model.rotary / 2, -1));
    token.past = past;
    Tensor logits = empty(1, model.head.weight.out, float32);
    token.logits = static_cast<float*>(logits.mutable_data_ptr());
    chosen().decode(model, token, torch::stable::get_num_threads(), parallel);
    return logits;
}

}  // namespace
}  // namespace loralab

// Whether the kernels in use decode at all.
extern "C" __attribute__((visibility("default"))) int loralab_decodes() { return loralab::chosen().decode != nullptr; }

// Let a prepared decoder go.
extern "C" __attribute__((visibility("default"))) void loralab_release(int64_t number) {
    const std::lock_guard<std::mutex> lock(loralab::guard);
    loralab::plans.erase(number);
}

STABLE_TORCH_LIBRARY_IMPL(loralab, CPU, library) {
    library.impl("decode_prepare", TORCH_BOX(&loralab::decode_prepare));
    library.impl("decode", TORCH_BOX(&loralab::decode));
}
