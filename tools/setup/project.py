"""Where everything of one installation lies, and what was installed from which files."""

import hashlib
import os

COMPLETE = {"screen": ("screen", "run", "test"), "run": ("run", "test"), "test": ("test",)}  # what includes what


class Project:
    """A checkout and its .venv."""

    def __init__(self, root):
        self.root = root
        self.venv = os.path.join(root, ".venv")
        self.python = os.path.join(self.venv, "bin", "python")
        self.pins = os.path.join(root, "constraints.txt")
        self.venv_pins = os.path.join(self.venv, "constraints.txt")
        self.lock = os.path.join(self.venv, ".lock")
        self.progress = os.path.join(self.venv, "engine-install.json")
        self.log = os.path.join(self.venv, "engine-install.log")

    def fingerprint(self, part):
        digest = hashlib.sha256(part.encode())
        for name in ("pyproject.toml", "setup.py", "constraints.txt"):
            with open(os.path.join(self.root, name), "rb") as file:
                digest.update(file.read())
        return digest.hexdigest()

    def stamp(self, part):
        return os.path.join(self.venv, ".installed-" + part)

    def write_stamp(self, part):
        with open(self.stamp(part), "w") as file:
            file.write(self.fingerprint(part))

    def has(self, part):
        """Whether `part` ("screen", "run", "test") was already installed from these very files."""
        return os.path.exists(self.python) and any(self._is_stamped(made) for made in COMPLETE[part])

    def _is_stamped(self, part):
        try:
            with open(self.stamp(part)) as file:
                return file.read() == self.fingerprint(part)
        except OSError:
            return False

    def write_pins(self, shared):
        """The constraints of this environment: all pins, without torch's where a shared one is used."""
        with open(self.pins) as file:
            lines = [line for line in file if not (shared and line.startswith("torch=="))]
        with open(self.venv_pins, "w") as file:
            file.writelines(lines)

    def shares_torch(self):
        """Whether the existing .venv was made on a shared torch: then its pins have no line for torch."""
        try:
            with open(self.venv_pins) as file:
                return "torch==" not in file.read()
        except OSError:
            return False
