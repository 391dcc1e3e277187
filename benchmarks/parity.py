"""How close every family is to transformers and PEFT, on random tiny models: docs/models.md is made from the report.

    python benchmarks/parity.py [--fixtures ../shared/fixtures] [--out FILE.json]

Three shapes a family or more, those and the measures of tests/models, whose tests bound what is recorded here. With
`--fixtures` also which published config.json's are read, and as models of how many parameters.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from report import command_line, machine, publish

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.models, which is not installed


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--fixtures", type=Path, help="the folder that holds configs/")
    arguments = parser.parse_args()
    report: dict[str, object] = {
        "machine": machine(),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "families": families(),
    }
    if arguments.fixtures:
        report["configs"] = configs(arguments.fixtures / "configs")
    publish(report, arguments.out)


def families() -> dict[str, list[dict[str, object]]]:
    from tests.models.families import FAMILIES

    found: dict[str, list[dict[str, object]]] = {}
    for family, makers in FAMILIES.items():
        found[family] = [measured(family, number) for number in range(len(makers))]
        print(family, file=sys.stderr)
    return found


def measured(family: str, number: int) -> dict[str, object]:
    """Of one shape: what it is, and every measure, each of a model of its own, for some use theirs up."""
    from tests.models import parity
    from tests.models.families import saved

    measures = {
        "float32_logit_error": parity.float32_logits,
        "float32_logit_error_with_the_cache": parity.float32_logits_with_the_cache,
        "lora_gradient_error": parity.lora_gradients,
        "greedy_text_equal": parity.greedy_is_equal,
        "bf16_error_over_the_reference_s": parity.bf16_ratio,
    }
    row: dict[str, object] = {}
    for name, measure in measures.items():
        with tempfile.TemporaryDirectory() as place:
            figure = measure(*saved(family, number, Path(place)))
            row["shape"] = shape(Path(place))
            row[name] = figure if isinstance(figure, bool) else float(f"{figure:.3g}")
    return row


def shape(model: Path) -> dict[str, object]:
    from loralab_core.architecture.families import read_config

    config = read_config(model)
    return {
        "query_heads": config.heads,
        "key_heads": config.kv_heads,
        "tied_head": config.tied_head,
        "attention_bias": config.qkv_bias,
        "mlp_bias": config.mlp_bias,
        "windows": [window for window in config.distinct_windows if window],
        "experts": [config.experts.active, config.experts.count] if config.experts else None,
    }


def configs(folder: Path) -> dict[str, dict[str, object]]:
    """By name: family and parameters, or the sentence that refuses it."""
    from tests.models.published import reading

    return {file.stem: reading(file.stem, json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))}


if __name__ == "__main__":
    main()
