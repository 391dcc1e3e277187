"""The conversation itself: lines in, streamed answers out, one branch of history for each speaker."""

import sys
from io import TextIOWrapper
from typing import Any

import msgspec

from loralab_core.cli.sampling_options import say_ending
from loralab_core.cli.terminal import INTERRUPTED, Interrupts, print_json, say, size
from loralab_core.errors import LoraLabError
from loralab_core.runs.numerics import Compute
from loralab_core.text.turns import whole_characters
from loralab_core.wire.client import Client
from loralab_core.wire.messages import (
    CUT,
    Cancel,
    EngineStatus,
    Failed,
    Generate,
    Generated,
    GenerationStarted,
    Loading,
    Piece,
    Sampling,
    Status,
)
from loralab_core.wire.sampling import SEEDS

POLL_S = 0.1
MORE = "/more goes on, --max-new-tokens allows more"
Turn = dict[str, Any]


class Conversation:
    """Who may speak, who does, and what was said. Speakers hear only their own answers."""

    def __init__(
        self,
        client: Client,
        sampling: Sampling,
        run: str | None = None,
        adapter: str | None = None,
        system: str | None = None,
        continues: bool = False,
        as_json: bool = False,
        compute: Compute = "auto",
    ) -> None:
        self.client = client
        self.compute = compute
        self.as_json = as_json
        self.run = run
        self.continues = continues
        self.has_adapter = bool(run or adapter)
        self.speaking = ["lora"] if self.has_adapter else ["base"]
        self._speakers = {"base": "base", "lora": adapter or "lora"}
        self._sampling = sampling
        self._system = system
        self.context = 0  # tokens the model reads; known once it greeted
        self._turns = 0
        self._histories: dict[str, list[Turn]] = {}
        self._cut: list[str] = []  # who would have said more in the last round
        self.forget()

    def forget(self) -> None:
        start = [{"role": "system", "content": self._system}] if self._system else []
        self._histories, self._cut = {"base": list(start), "lora": list(start)}, []

    def ask(self, text: str, interrupts: Interrupts) -> None:
        """One round: everybody who speaks answers. Ctrl-C ends the round."""
        self._turns += 1
        self._cut = []
        for speaker in self.speaking:
            self._answer(speaker, text, "", interrupts)
            if interrupts.count:
                return

    def more(self, interrupts: Interrupts) -> None:
        """Everybody whose last answer was cut or stopped goes on with it."""
        cut, self._cut = self._cut, []
        if not cut:
            say("no answer was cut; /more goes on with one that --max-new-tokens or Ctrl-C has ended")
        for speaker in cut:
            if interrupts.count:
                self._cut.append(speaker)
                continue
            question, answer = self._histories[speaker][-2:]
            del self._histories[speaker][-2:]
            self._answer(speaker, question["content"], answer["content"], interrupts)

    def _answer(self, speaker: str, text: str, said: str, interrupts: Interrupts) -> None:
        """Into the speaker's history. `said` already, the model goes on with it; it stays where that fails."""
        if len(self.speaking) > 1:
            self._print(f"{speaker}: ")
        answer = self._stream(self._send(speaker, text, said), said, interrupts)
        if answer is not None and self.as_json:
            facts = {key: value for key, value in msgspec.to_builtins(answer).items() if key not in ("type", "id")}
            print_json({"event": "answer", "speaker": speaker, "step": answer.step, **facts})
        if answer is not None or said:
            whole = answer.text if answer is not None else said
            self._histories[speaker] += [_turn("user", text), _turn("assistant", whole)]
            if whole and (answer is None or answer.finish in CUT):
                self._cut.append(speaker)

    def _send(self, speaker: str, text: str, said: str) -> int:
        """The number of the request."""
        begun = whole_characters(said)
        turns = [*self._histories[speaker], _turn("user", text), *([_turn("assistant", begun)] if begun else [])]
        request = Generate(
            id=self.client.next_id(),
            speaker=self._speakers[speaker],
            run=self.run,
            messages=None if self.continues else turns,
            prompt=text + begun if self.continues else None,
            sampling=msgspec.structs.replace(self._sampling, seed=(self._sampling.seed + self._turns - 1) % SEEDS),
            continue_final_message=bool(begun) and not self.continues,
            compute=self.compute,
        )
        self.client.send(request)
        return request.id

    def _print(self, text: str, end: str = "") -> None:
        if not self.as_json:
            print(text, end=end, flush=True)

    def _stream(self, id: int, said: str, interrupts: Interrupts) -> Generated | None:
        """Print the pieces of answer `id`; its end with the whole text, `said` before included; None if it failed."""
        cancelled, said = False, whole_characters(said)
        while True:
            response = self.client.receive(POLL_S)
            if interrupts.count and not cancelled:
                cancelled = True
                self.client.send(Cancel(id=self.client.next_id(), target=id))
            if isinstance(response, Loading) and response.done >= response.total > 0:
                say(f"{response.what}: {size(response.total)}")
            if getattr(response, "id", None) != id:
                continue
            if isinstance(response, GenerationStarted):
                said = response.begun or said
                self._print(f"[step {response.step}] " if response.step is not None else "")
            elif isinstance(response, Piece):
                self._print(response.text)
            elif isinstance(response, Generated):
                self._print(" (stopped)" if response.finish == "cancelled" else "", end="\n")
                say_ending(response.finish, self.context, self._sampling.max_new_tokens, MORE)
                return msgspec.structs.replace(response, text=said + response.text)
            elif isinstance(response, Failed):
                say(response.sentence)
                return None

    def greeting(self) -> str:
        status = self.client.ask(Status(id=self.client.next_id()))
        if not isinstance(status, EngineStatus):
            raise LoraLabError("the engine did not say what it is doing")
        self.context = status.context
        plain = status.loaded and status.chat_template == "plain" and not self.continues
        hint = "; it has no chat template, so a plain one is used (--continue continues texts instead)" if plain else ""
        training = f", training at step {status.step}" if status.run else ""
        return f"{status.model} ({status.base}, {status.device}{training}){hint}. /quit leaves."

    def command(self, line: str) -> bool:
        """Obey a line that begins with a slash; False to leave."""
        if line in ("/quit", "/exit", "/q"):
            return False
        if line in ("/lora", "/both") and not self.has_adapter:
            say("there is no adapter here; start with --adapter or --run")
        elif line in ("/base", "/lora"):
            self.speaking = [line[1:]]
            say(f"{line[1:]} answers")
        elif line == "/both":
            self.speaking = ["base", "lora"]
            say("base and lora answer")
        elif line == "/new":
            self.forget()
            say("a new conversation")
        else:
            say("/base /lora /both choose who answers, /more goes on with a cut answer, /new forgets, /quit leaves")
        return True


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


def talk(conversation: Conversation) -> int:
    """Until /quit, the end of the input, or Ctrl-C twice; the exit code."""
    say(conversation.greeting())
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # else one bad byte takes the lines behind it with it
    pressed = False
    while True:
        try:
            line = input("> " if sys.stdin.isatty() and not conversation.as_json else "").strip()
            line.encode()  # bytes that are no UTF-8 are read as half characters, which no message can hold
        except EOFError:
            return 0
        except UnicodeEncodeError:
            say("this line is not UTF-8 text; write it anew")
            continue
        except KeyboardInterrupt:
            if pressed:
                return INTERRUPTED
            pressed = True
            say("\nCtrl-C again or /quit leaves")
            continue
        if line.startswith("/") and line != "/more":
            pressed = False
            if not conversation.command(line):
                return 0
        elif line:
            with Interrupts().counted() as interrupts:
                if line == "/more":
                    conversation.more(interrupts)
                else:
                    conversation.ask(line, interrupts)
            if interrupts.count > 1:
                return INTERRUPTED
            pressed = bool(interrupts.count)
