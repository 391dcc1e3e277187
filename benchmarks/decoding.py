"""Greedy decoding of one model of random weights by several programs, for kernels.py: ours, transformers, llama.cpp."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from training_step import write_model

PROMPT, TOKENS, ROUNDS = list(range(5, 21)), 100, 5
Decoder = Callable[[], Iterator[Any]]  # gives tokens one by one


def tokens_per_s(decoders: dict[str, Decoder]) -> dict[str, Any]:
    """Behind the first token, which the prompt's reading is for; the best and the median of some rounds in turn."""
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(ROUNDS):
        for name, decoder in decoders.items():
            times[name].append(seconds(decoder()))
    found = {
        name: {"best": TOKENS / min(each), "median": TOKENS / statistics.median(each)} for name, each in times.items()
    }
    ratio = {f"nf4 against {peer}": found["nf4"]["best"] / found[peer]["best"] for peer in found if peer != "nf4"}
    return found | {"ratio": ratio}


def seconds(tokens: Iterator[Any]) -> float:
    next(tokens)
    began = time.perf_counter()
    for _ in range(TOKENS):
        next(tokens)
    return time.perf_counter() - began


def decoders(config: str, llama_site: str | None, threads: int) -> dict[str, Decoder]:
    directory = Path(tempfile.mkdtemp())
    write_model(Path(config), directory)
    found = {"nf4": ours(directory), "transformers bf16": transformers(directory)}
    if llama_site:
        sys.path.append(llama_site)
        found["llama.cpp Q4_0"] = llama(directory, threads)
    return found


def ours(directory: Path) -> Decoder:
    from loralab_core.inference.reader import Reader
    from loralab_core.lora import load

    lm = load(directory, "nf4", "cpu")

    def tokens() -> Iterator[int]:
        reader = Reader(lm, [PROMPT])
        while True:
            token = int(reader.logits().argmax())
            reader.add([token])
            yield token

    return tokens


def transformers(directory: Path) -> Decoder:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16).eval()

    def tokens() -> Iterator[int]:
        ids, past = torch.tensor([PROMPT]), None
        while True:
            with torch.no_grad():
                out = model(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1)
            ids, past = out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values
            yield int(ids)

    return tokens


def llama(directory: Path, threads: int) -> Decoder:
    import llama_cpp

    wide, small = directory / "f16.gguf", directory / "q4_0.gguf"
    write_gguf(directory, wide)
    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
    if llama_cpp.llama_model_quantize(str(wide).encode(), str(small).encode(), how):
        raise RuntimeError("llama.cpp could not quantise the model")
    model = llama_cpp.Llama(str(small), n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False)

    def tokens() -> Iterator[int]:
        model.reset()
        return model.generate(PROMPT, temp=0.0, repeat_penalty=1.0)  # type: ignore[no-any-return]

    return tokens


NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(directory: Path, file: Path) -> None:
    """The model in float16, without its tokenizer. Queries and keys keep their order: only the time is asked for."""
    import gguf
    import torch
    from safetensors.torch import load_file

    from loralab_core.architecture.families import read_config

    config, writer = read_config(directory), gguf.GGUFWriter(file, "llama")
    add_sizes(writer, config)
    for name, tensor in load_file(directory / "model.safetensors").items():
        dtype = torch.float16 if tensor.dim() > 1 else torch.float32
        writer.add_tensor(f"{gguf_name(name)}.weight", tensor.to(dtype).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_sizes(writer: Any, config: Any) -> None:
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(1)  # mostly float16


def gguf_name(name: str) -> str:
    path = name.removesuffix(".weight")
    if path.startswith("model.layers."):
        _, _, number, part = path.split(".", 3)
        return f"blk.{number}.{NAMES[part]}"
    return {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[path]
