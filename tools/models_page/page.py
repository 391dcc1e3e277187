"""docs/models.md, put together: prose with tables between."""

from tools.models_page import tables
from tools.models_page.refusals import formats, refusals


def page() -> str:
    report = tables.read_report()
    machine, versions = report["machine"], report["versions"]
    parts = {
        "families": tables.which_open(),
        "close": tables.how_close(report),
        "projections": tables.projections(),
        "published": tables.published(report),
        "catalogue": tables.catalogue(report),
        "formats": formats(),
        "refusals": refusals(),
    }
    versions = ", ".join(f"{name} {number}" for name, number in versions.items())
    return PAGE.format(**parts, versions=versions, processor=machine["processor"], threads=machine["threads"])


PAGE = """\
# Models

<!-- made by `python -m tools.models_page`; tests/house/test_models_page.py holds it to that -->

A model opens by what its `config.json` says (`model_type`), not by its name. What a part of it asks for and the decoder
does not have is refused with a sentence, so that no model answers as another one.

## Families

Each is one small file over the one decoder ([how to add one](adding-a-family.md)).

{families}

## How close they are to transformers and PEFT

Three random tiny models of each family or more, written by transformers. Of each column the worst of them; errors are
max|Δ| / max|reference| in float32, bound by 1e-4 in `tests/models/test_families.py`:

* **logits** of a text read in one pass, and **with the cache**, token by token behind a prompt;
* **LoRA gradients** of every projection of every layer, routers and experts included, against PEFT's;
* **greedy text** of 40 tokens with the cache, against `generate`;
* **bf16**: our error in bf16 over the reference's own, both against the reference in float32, by the mean square.
  Near 1 is as good as the reference; the tests allow 1.05, and 1.1 with experts, for a rounded score may choose another
  one, and then chance decides.

{close}

"0" is equal to the last bit; 6:2 are six query heads on two key heads. Measured by `python benchmarks/parity.py` with
{versions} on {processor}, threads: {threads};
the whole report is [parity-xeon.json](../benchmarks/results/parity-xeon.json).

Random models have every part, but not the size of real ones. Of trained models, `stories3M` and `stories260K` (Llama,
3.15 and 0.26 million parameters) are held to transformers by their logits and 200 tokens of greedy text
(`tests/models/test_parity.py`). None of the catalogue's models has been run by these tests: of those the configuration
is compared, below. Of DeepSeek-OCR the decoder is held to the reference, by random weights in the Hub's layout; its
images are not read.

## Adapters

`--targets all` adapts every projection of every layer, with the exceptions below; the head and the embedding have none.
Names, for `--targets` and in PEFT's files:

{projections}

With a mixture of experts, `all` means attention and the experts (PEFT's `target_parameters`). Routers, shared experts
and plain MLPs beside experts have adapters only where they are named, and PEFT does not read those by these names: it
takes `gate_proj` for the experts' own. Sequence classification, DoRA, trained biases and `modules_to_save` are refused
by name.

## Chat

A model speaks its own template: `chat_template` in tokenizer_config.json, one or a list, or `chat_template.jinja`.
A model without one gets plain turns, and that is said. Rendered text and ids are equal to transformers' for the
tokenizers of GPT-2, Llama 2, Phi-2, Phi-3-mini, Qwen2.5-0.5B-Instruct, SmolLM2-Instruct and TinyLlama-1.1B-Chat
(`tests/text/`), and the rendered text for the thirteen templates of the fixtures (Llama 3, Gemma 3, Phi-3, Qwen2.5,
Qwen3, DeepSeek-V3 and two of Mistral's, five of them with `{{% generation %}}` marks too). `tokenizer.json` is read,
and `tokenizer.model` (SentencePiece, BPE) where only that is there.

## Published configurations

Real `config.json` files, read without weights: the count of parameters is compared with the published one.

{published}

## The catalogue

What `loralab models` and the screen's picker offer. **Sizes, licences, contexts and gates are as their makers
published them. The last column says which entries `loralab models verify` has compared with the Hub.** A size with ~ is
reckoned, two bytes a parameter. "Read here": its config.json is one of those above, with the same count of parameters.

{catalogue}

## Forms of weights

{formats}

Quantised weights become dense (`--base fp32`, `bf16` or `fp16`) while they are read. GGUF files carry their own
configuration and tokenizer; chat templates and special tokens are read from their metadata.

## What is refused

Nothing is unpickled and no code from a repository runs. In the program's own words:

{refusals}
"""
