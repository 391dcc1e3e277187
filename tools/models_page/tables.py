"""The tables of docs/models.md: families, figures, published configurations, the catalogue."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from loralab_core.architecture.families import families, llama
from loralab_core.catalog.models import catalog_models

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "parity-xeon.json"
Report = dict[str, Any]


def read_report() -> Report:
    found: Report = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def family_modules() -> dict[str, ModuleType]:
    """By file name."""
    modules = sorted(set(families().values()), key=lambda module: module.__name__)
    return {module.__name__.rpartition(".")[2]: module for module in modules}


def which_open() -> str:
    rows = []
    for name, module in family_modules().items():
        models, _, special = (module.__doc__ or "").splitlines()[0].rstrip(".").partition(": ")
        rows.append([models, special, ", ".join(f"`{each}`" for each in module.MODEL_TYPES), f"`{name}.py`"])
    return table(["models", "what they are", "`model_type`", "file"], rows)


def projections() -> str:
    """What `--targets` and adapter files call the projections of each family."""
    alike: dict[str, list[str]] = {}
    for name, module in family_modules().items():
        names = getattr(module, "NAMES", llama.NAMES)
        alike.setdefault(_called(names), []).append(name)
    return table(["families", "projections"], [[", ".join(each), called] for called, each in alike.items()])


def _called(names: dict[str, str]) -> str:
    paths = [path for path in names if (".attention." in path or ".mlp." in path) and "norm" not in path]
    last = [names[path].rpartition(".")[2] for path in paths if ".experts" not in path and ".router" not in path]
    fused = ["experts' gate_up_proj", "experts' down_proj"] if any(".experts" in path for path in paths) else []
    return " ".join(f"`{each}`" for each in dict.fromkeys(last)) + "".join(f", {each}" for each in fused)


def how_close(report: Report) -> str:
    head = ["family", "shapes", "logits", "with the cache", "LoRA gradients", "greedy text", "bf16"]
    return table(head, [[name, *_figures(shapes)] for name, shapes in sorted(report["families"].items())])


def _figures(shapes: list[dict[str, Any]]) -> list[str]:
    """The worst of each; greedy text is the same only where it is for all."""

    def worst(name: str) -> float:
        return max(shape[name] for shape in shapes)

    errors = ("float32_logit_error", "float32_logit_error_with_the_cache", "lora_gradient_error")
    return [
        _described([shape["shape"] for shape in shapes]),
        *(f"{worst(name):.0e}" if worst(name) else "0" for name in errors),
        "same" if all(shape["greedy_text_equal"] for shape in shapes) else "**differs**",
        f"{worst('bf16_error_over_the_reference_s'):.2f}",
    ]


def _described(shapes: list[dict[str, Any]]) -> str:
    ratios = dict.fromkeys(f"{shape['query_heads']}:{shape['key_heads']}" for shape in shapes)
    parts = [" ".join(ratios), _both("head tied", {shape["tied_head"] for shape in shapes})]
    biased = {shape["attention_bias"] or shape["mlp_bias"] for shape in shapes}
    parts += [_both("biases", biased)] if True in biased else []
    parts += ["windows"] if any(shape["windows"] for shape in shapes) else []
    experts = ["{} of {}".format(*shape["experts"]) for shape in shapes if shape["experts"]]
    return ", ".join(parts + ([f"experts {' '.join(experts)}"] if experts else []))


def _both(what: str, seen: set[bool]) -> str:
    return f"{what} or not" if len(seen) == 2 else what if True in seen else f"not {what}"


def published(report: Report) -> str:
    rows = []
    for name, found in report["configs"].items():
        if "refused" in found:
            rows.append([name, "refused", "", found["refused"].removeprefix("config.json: ").partition(" (supp")[0]])
            continue
        stated = found["published_millions"]
        same = "as published" if stated else "not compared"
        rows.append([name, found["family"], f"{found['parameters'] / 1e6:,.1f}M", same])
    return table(["config.json", "family", "parameters", ""], rows)


def catalogue(report: Report) -> str:
    """`config.json` read: the fixtures have it, and it gives the parameters that the catalogue states."""
    rows = []
    for model in catalog_models():
        found = report["configs"].get(model.id.partition("/")[2], {})
        same = found.get("parameters") == model.parameters
        size = (
            f"{model.weight_bytes / 1e9:,.1f} GB" if model.weight_bytes >= 1e9 else f"{model.weight_bytes / 1e6:.0f} MB"
        )
        rows.append(
            [
                f"`{model.id}`",
                f"{model.parameters / 1e6:,.0f}M",
                size if model.bytes else f"~{size}",
                f"{model.context:,}",
                model.licence,
                "yes" if model.gated else "no",
                "read here" if same else "not seen",
                "yes" if model.verified else "no",
            ]
        )
    head = ["model", "parameters", "weights", "context", "licence", "gated", "its config.json", "compared with the Hub"]
    return table(head, rows)
