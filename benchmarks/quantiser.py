"""What 4 bits cost a small model: loss above the dense model's, rounded to the nearest and with fitted scales.

    python benchmarks/quantiser.py --model DIR --corpus FILE.txt [--windows 24] [--out FILE.json]

Every projection is quantised; embeddings, the head and norms stay dense. Two texts: the corpus, and what the dense
model itself writes at temperature 1, where the loss it gains is how far its predictions moved. `error` is the squared
error of the weights by their squares.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from report import command_line, machine, publish
from torch import Tensor

import loralab_core as ll
from loralab_core.inference.kv_cache import KVCache
from loralab_core.models.decoder import Decoder
from loralab_core.models.parts import Linear
from loralab_core.quant import quantize

FORMS = {"nf4": ("nf4", False), "int4": ("int4", False), "int4 with zero-points": ("int4", True)}
GROUPS, METHODS = (32, 64, 128), ("nearest", "fitted")


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=24)
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    lm = ll.load(str(arguments.model), base="fp32", device="cpu")
    length = lm.window(None)
    ids = lm.tokenizer.encode(arguments.corpus.read_text(encoding="utf-8"))[: arguments.windows * length]
    texts = {
        "own text": written(lm.model, arguments.windows, length),
        "corpus": torch.tensor(ids[: len(ids) // length * length]).view(-1, length),
    }
    dense = {name: loss(lm.model, text) for name, text in texts.items()}
    report = {"machine": machine(), "model": arguments.model.name, "corpus": arguments.corpus.name, "dense loss": dense}
    report["loss above"] = list(losses(lm.model, texts, dense))
    publish(report, arguments.out)


def losses(model: Decoder, texts: dict[str, Tensor], dense: dict[str, float]) -> Iterator[dict[str, object]]:
    projections = [each for each in model.layers.modules() if isinstance(each, Linear)]
    weights = [each.weight.clone() for each in projections]
    for form, (kind, zero_points) in FORMS.items():
        for group in GROUPS:
            for method in METHODS:
                off = 0.0
                for each, weight in zip(projections, weights, strict=True):
                    each.weight.copy_(
                        quantize(weight, kind, group, method=method, zero_points=zero_points).dequantize()
                    )
                    off += float((each.weight - weight).square().sum())
                yield {
                    "form": form,
                    "group": group,
                    "method": method,
                    "error": round(off / sum(float(weight.square().sum()) for weight in weights), 5),
                    **{name: round(loss(model, text) - dense[name], 4) for name, text in texts.items()},
                }


def written(model: Decoder, rows: int, length: int) -> Tensor:
    """[rows, length] of what the model says after its first token (1), at temperature 1."""
    generator = torch.Generator().manual_seed(0)
    pieces, cache = [torch.ones(rows, 1, dtype=torch.long)], KVCache(model.config, model.dtype, model.device, rows)
    while len(pieces) < length:
        shares = model.logits(model.hidden(pieces[-1], cache=cache))[:, -1].softmax(-1)
        pieces.append(torch.multinomial(shares, 1, generator=generator))
    return torch.cat(pieces, 1)


def loss(model: Decoder, text: Tensor) -> float:
    """Nats a token."""
    sums = [
        torch.nn.functional.cross_entropy(model(part)[:, :-1].transpose(1, 2), part[:, 1:]) for part in text.split(1)
    ]
    return float(torch.stack(sums).mean())


if __name__ == "__main__":
    main()
