"""What pip is doing, for a screen that waits for it: its lines read as phases and bytes, kept in one small file."""

import json
import os
import re

NAMES = {"torch": "PyTorch"}
FETCHED = re.compile(r"\s*(?:Downloading|Processing|Using cached) (?:.*/)?([A-Za-z0-9_.]+)-([0-9][^-]*)-[^/]*\.whl")
BYTES = re.compile(r"Progress (\d+) of (\d+)")


class Progress:
    """`state`: "starting", "downloading", "unpacking", "checking", then "done" or "failed" with a sentence in `why`.

    `again` is the command that begins anew.
    """

    def __init__(self, path, log, again):
        self.path = path
        self.said = {"state": "starting", "what": "PyTorch", "done": 0, "total": 0, "why": "", "log": log}
        self.said["again"] = again

    def say(self, state, **more):
        """Readers never see half a file: it is written beside and moved into place."""
        self.said.update(more, state=state)
        beside = self.path + ".new"
        with open(beside, "w") as file:
            json.dump(self.said, file)
        os.replace(beside, self.path)

    def hear(self, line):
        """One line of pip's."""
        fetched, counted = FETCHED.match(line), BYTES.match(line)
        if fetched:
            self.say("downloading", what=title(*fetched.groups()), done=0, total=0)
        elif counted:
            self.say("downloading", done=int(counted.group(1)), total=int(counted.group(2)))
        elif line.startswith("Installing collected packages"):
            self.say("unpacking", what="PyTorch", done=0, total=0)
        elif line.startswith("ERROR:"):
            self.said["why"] = line[len("ERROR:") :].strip()


def title(name, version):
    """ "torch", "2.13.0+cpu" → "PyTorch 2.13"."""
    parts = version.split("+")[0].split(".")
    return "%s %s" % (NAMES.get(name, name.replace("_", "-")), ".".join(parts[:2]))
