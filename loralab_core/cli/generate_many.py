"""Many prompts answered by `loralab generate`: some at a time, printed in their order. Imports torch."""

import argparse
from collections.abc import Sequence

from loralab_core.cli.opening import progress_bar
from loralab_core.cli.prompt_file import Question
from loralab_core.cli.sampling_options import told
from loralab_core.cli.terminal import INTERRUPTED, Interrupts, print_json, say
from loralab_core.errors import BadInput
from loralab_core.inference.batch import batches, draw_together
from loralab_core.inference.generate import Answer, as_read, prompt_ids
from loralab_core.inference.room import room_bytes
from loralab_core.lora import Adapter, LoadedModel
from loralab_core.wire.messages import Sampling


def ids_of(lm: LoadedModel, question: Question, arguments: argparse.Namespace) -> list[int]:
    """Raises BadInput, naming where the question was given."""
    try:
        return prompt_ids(lm, **question.asked(arguments.chat, arguments.begin))
    except BadInput as error:
        raise BadInput(f"{question.where}: {error}") from None


def answer_to(
    lm: LoadedModel,
    question: Question,
    ids: list[int],
    sampling: Sampling,
    adapter: Adapter | None,
    arguments: argparse.Namespace,
) -> Answer:
    begun = as_read(arguments.begin, lm.text().decode(ids)) if arguments.begin else ""
    continues = bool(begun) or "prompt" in question.asked(arguments.chat)
    return Answer(lm, ids, sampling, adapter, continues=continues, begun=begun)


def answer_all(
    lm: LoadedModel,
    adapter: Adapter | None,
    questions: Sequence[Question],
    sampling: Sampling,
    arguments: argparse.Namespace,
) -> int:
    """The exit code. Answers are printed as soon as those before them are; Ctrl-C keeps all that are whole."""
    prompts = [ids_of(lm, question, arguments) for question in questions]
    whole = cut = 0
    with Interrupts().counted(at_most=1) as interrupts:
        for batch in batches(lm.model, prompts, sampling.max_new_tokens, arguments.batch_size, room_bytes(lm.device)):
            answers = [answer_to(lm, questions[each], prompts[each], sampling, adapter, arguments) for each in batch]
            _draw(answers, batch.start, len(questions), interrupts)
            for each, answer in zip(batch, answers, strict=True):
                if answer.ended:
                    _print(each, questions[each], answer, as_json=arguments.json)
            whole += sum(answer.ended for answer in answers)
            cut += sum(answer.finish in ("length", "context") for answer in answers)
            if interrupts.count:
                break
    if cut:
        say(f"{cut} of {whole} answers were cut by --max-new-tokens or the model's {lm.model.config.context} tokens")
    if whole == len(questions):
        return 0
    say(f"stopped: {whole} of {len(questions)} prompts were answered")
    return INTERRUPTED


def _draw(answers: Sequence[Answer], before: int, total: int, interrupts: Interrupts) -> None:
    """The bar is gone before anything is printed: both may be on one terminal, or the answers in a file."""
    with progress_bar(f"answering {total} prompts") as move:
        move(before, total)
        for ended in draw_together(answers):
            move(before + ended, total)
            if interrupts.count:
                return


def _print(number: int, question: Question, answer: Answer, *, as_json: bool) -> None:
    if as_json:
        given = {"prompt": question.prompt} if question.messages is None else {"messages": question.messages}
        print_json({"index": number, **given, **told(answer)})
        return
    last = question.messages[-1].get("content") if question.messages else question.prompt
    print(f"── {number + 1} · {' '.join(str(last).split())[:100]}\n{answer.text.strip(chr(10))}\n", flush=True)
