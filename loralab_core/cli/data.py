"""`loralab data show`: what a corpus is taken for, samples with what is trained marked, and token statistics."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loralab_core.text.dataset import TokenizedCorpus
    from loralab_core.text.tokenizer import Tokenizer

_OPEN, _CLOSE = "⟦", "⟧"
_GREEN, _PLAIN = "\033[32m", "\033[0m"
# A corpus may hold escape sequences; the terminal gets pictures of them.
_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
_LONGEST = 600  # characters of one stretch shown to a person


def add_parser(subparsers: Any) -> None:
    """Register `data` with its subcommands."""
    parser = subparsers.add_parser("data", help="look at a corpus as training will see it")
    commands = parser.add_subparsers(dest="data_command", metavar="COMMAND", required=True)
    show = commands.add_parser("show", help="detected format, rendered samples with the loss mask, token statistics")
    show.add_argument("corpus", nargs="+", metavar="FILE", help=".txt, .md, .jsonl or .json, a folder or a glob")
    show.add_argument("--model", required=True, help="directory, .gguf file or Hub id, for its tokenizer and template")
    show.add_argument("--rows", type=int, default=3, metavar="N", help="samples to show (default 3)")
    show.add_argument("--seq-len", type=int, default=512, metavar="N", help="window in tokens (default 512)")
    show.add_argument("--prompt-loss", action="store_true", help="train on the prompts of chats too")
    show.add_argument("--val", type=float, default=0.0, metavar="FRACTION", help="share held out (default none)")
    show.add_argument("--json", action="store_true", help="one JSON object on stdout")
    show.add_argument("--stream", action="store_true", help="with --json: progress before it, one JSON object a line")
    show.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; raises BadInput for a corpus or model that cannot be used."""
    from loralab_core.catalog.hub import resolve_model
    from loralab_core.errors import BadInput
    from loralab_core.paths import cache_dir
    from loralab_core.text.dataset import prepare
    from loralab_core.text.tokenizer import Tokenizer

    if not 0 <= args.val < 1:
        raise BadInput(f"--val {args.val:g} does not fit: it must be at least 0 and below 1")
    tokenizer = Tokenizer.load(resolve_model(args.model, weights=False))
    corpus = prepare(
        args.corpus,
        tokenizer,
        seq_len=args.seq_len,
        val=args.val,
        cache=cache_dir(),
        prompt_loss=args.prompt_loss,
        progress=_progress_lines if args.stream else _progress if sys.stderr.isatty() else None,
    )
    if args.json:
        print(_as_json(_facts(corpus, tokenizer, args)))
    else:
        _print(corpus, tokenizer, args)
    return 0


def _progress(event: dict[str, Any]) -> None:
    share = event["done_bytes"] / max(1, event["total_bytes"])
    end = "\n" if event["done_bytes"] >= event["total_bytes"] else ""
    print(f"\rtokenising {share:4.0%}  {event['rows']:,} rows  {event['tokens']:,} tokens", end=end, file=sys.stderr)


def _progress_lines(event: dict[str, Any]) -> None:
    print(_as_json(event), flush=True)


def _facts(corpus: "TokenizedCorpus", tokenizer: "Tokenizer", args: argparse.Namespace) -> dict[str, Any]:
    from dataclasses import asdict

    from loralab_core.text.packing import pack
    from loralab_core.text.showing import histogram, samples

    windows = pack(corpus.train, args.seq_len)
    return {
        "format": corpus.format,
        "chat_template": "own" if tokenizer.has_template else "plain",
        "notes": list(corpus.notes),
        "fingerprint": corpus.fingerprint,
        "rows": corpus.rows,
        "skipped": corpus.skipped,
        "first_skipped": corpus.store.info.first_skipped,
        "refusal": corpus.store.info.refusal,
        "split": corpus.split,
        "cut": corpus.cut,
        "dropped_pieces": corpus.dropped_pieces,
        "pieces": len(corpus.train),
        "validation_pieces": len(corpus.validation),
        "windows": len(windows),
        "fill": round(windows.fill, 4),
        "seq_len": args.seq_len,
        "tokens": corpus.tokens,
        "trained_tokens": corpus.trained_tokens,
        "lengths": asdict(corpus.lengths),
        "histogram": asdict(histogram(corpus, args.seq_len)),
        "samples": samples(corpus, tokenizer, args.rows, args.seq_len),
    }


def _as_json(facts: dict[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(facts).decode()


def _print(corpus: "TokenizedCorpus", tokenizer: "Tokenizer", args: argparse.Namespace) -> None:
    from loralab_core.text.showing import samples

    print(f"format   {corpus.format}")
    for note in corpus.notes:
        print(f"note     {note}")
    print(f"mask     {_marked('trained', _coloured())} is trained, the rest is only read")
    for sample in samples(corpus, tokenizer, args.rows, args.seq_len):
        print(f"\n── row {sample['row']:,} · {_extent(sample)}")
        print("".join(_part_text(part) for part in sample["parts"]).rstrip())
    print()
    _print_statistics(corpus, args.seq_len)


def _extent(sample: dict[str, Any]) -> str:
    shown, tokens = sample["shown_tokens"], sample["tokens"]
    part = f", {shown:,} of them here (part {sample['piece']:,} of {sample['pieces']:,})" if shown < tokens else ""
    return f"{tokens:,} tokens{part}, {sample['trained_tokens']:,} trained"


def _part_text(part: dict[str, Any]) -> str:
    text = part["text"].translate(_VISIBLE)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST * 2 // 3]} … {text[-_LONGEST // 3 :]}"
    return _marked(text, _coloured()) if part["trained"] else text


def _marked(text: str, coloured: bool) -> str:
    """Brackets always, so that the mask is visible without colour; colour where a terminal shows it."""
    marked = f"{_OPEN}{text}{_CLOSE}"
    return f"{_GREEN}{marked}{_PLAIN}" if coloured else marked


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _print_statistics(corpus: "TokenizedCorpus", seq_len: int) -> None:
    from loralab_core.text.statistics import histogram_line

    lengths = corpus.lengths
    share = corpus.trained_tokens / max(1, corpus.tokens)
    first = f" (the first: {corpus.store.info.first_skipped})" if corpus.store.info.first_skipped else ""
    pieces = f"{len(corpus.train):,} pieces of ≤ {seq_len} tokens"
    print(f"rows     {corpus.rows:,} kept, {corpus.skipped:,} skipped{first}; {pieces}")
    print(f"tokens   {corpus.tokens:,}, of them trained {corpus.trained_tokens:,} ({share:.0%})")
    print("lengths  " + "  ".join(f"{name} {value:,}" for name, value in lengths.quantiles.items()))
    print(f"         {lengths.edges[0]:,} {histogram_line(lengths.counts)} {lengths.edges[-1] - 1:,} tokens a row")
