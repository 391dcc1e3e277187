"""How Pocket is made: a generator of text about one small village, a tokenizer, a training run, a report."""
