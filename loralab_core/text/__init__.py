"""Text into numbers and back: tokenizers, chat templates, corpora, packing. Never imports torch.

Read in this order: tokenizer, chat_template, readers, formats, samples, encode, dataset, packing.
"""
