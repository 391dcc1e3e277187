"""How good a model is on a text: loss and perplexity, with and without an adapter."""

from loralab_core.evaluation.perplexity import Perplexity, corpus_windows, perplexity

__all__ = ["Perplexity", "corpus_windows", "perplexity"]
