"""What was said beside a run, one exchange a line of its chat.jsonl."""

import json
import time
from typing import Any

from loralab_core.runs.directory import RunDirectory
from loralab_core.wire.messages import Generate, Generated


def keep_exchange(run: RunDirectory, request: Generate, reply: Generated, begun: str) -> None:
    """The question, and the whole answer with the beginning it goes on from. A full disk costs the record, not the
    answer."""
    asked: dict[str, Any]
    if request.messages is None:
        asked = {"prompt": request.prompt}
    elif request.continue_final_message:
        asked = {"messages": request.messages[:-1], "begun": begun}
    else:
        asked = {"messages": request.messages}
    said = {"text": begun + reply.text, "step": reply.step, "finish": reply.finish, "new_tokens": reply.new_tokens}
    line = json.dumps({"time": time.time(), "speaker": request.speaker, **asked, **said}, ensure_ascii=False)
    try:
        with run.chat_path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        print(f"the conversation could not be kept in {run.chat_path}: {error}")
