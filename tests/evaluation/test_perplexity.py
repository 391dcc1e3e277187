"""Perplexity is the reference's, and an adapter's is measured beside its base's."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import loralab_core as ll
from loralab_core.errors import BadInput
from loralab_core.evaluation import corpus_windows, perplexity
from tests.training.small_runs import losses, small


def test_equals_the_mean_loss_of_transformers(fixtures_dir: Path) -> None:
    directory, corpus = fixtures_dir / "models" / "stories260K", str(fixtures_dir / "corpora" / "the-verdict.txt")
    lm = ll.load(directory, "fp32", "cpu")
    ours = perplexity(lm, corpus_windows(lm, [corpus], 128), None)
    ids = lm.text().encode(Path(corpus).read_text()) + [lm.text().eos_id]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    total = count = 0.0
    with torch.no_grad():
        for start in range(0, len(ids), 128):
            window = torch.tensor([ids[start : start + 128]])
            if (predicted := window.shape[1] - 1) > 0:
                total += float(model(window, labels=window).loss) * predicted
                count += predicted
    assert ours.tokens == count
    assert ours.loss == pytest.approx(total / count, rel=1e-4)


def test_a_window_longer_than_the_model_s_context_is_refused(fixtures_dir: Path) -> None:
    lm = ll.load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")
    with pytest.raises(BadInput, match="longer than the"):
        corpus_windows(lm, [str(fixtures_dir / "corpora" / "the-verdict.txt")], lm.model.config.context + 1)


def test_a_trained_adapter_lowers_it(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, steps=20, val=0.1)
    events = list(ll.train(config))
    lm = ll.load(config.model, "fp32", "cpu")
    windows = corpus_windows(lm, config.corpus, 64)
    before = perplexity(lm, windows, None)
    after = perplexity(lm, windows, lm.attach(events[-1]["adapter"]))
    assert after.perplexity < 0.8 * before.perplexity
    assert after.loss == pytest.approx(losses(events, "eval")[-1], abs=0.4)
