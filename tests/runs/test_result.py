"""What a run has made: which directory, and how many steps it has learned for."""

import json
from pathlib import Path

from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.result import newest_result


def test_the_result_of_an_ended_run_says_its_steps(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.adapter.mkdir()
    for steps in (150, 225):  # extended after it was done
        with run.events_path.open("a") as file:
            file.write(json.dumps({"event": "done", "seq": steps, "steps": steps}) + "\n")
        assert newest_result(run) == ("adapter", run.adapter, steps)
