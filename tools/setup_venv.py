"""Create .venv and install LoRA Lab into it: `python3 tools/setup_venv.py run|test`. Standard library only.

Picks a Python of 3.11 or newer; prefers one whose torch already drives this computer's GPU, and then shares that
torch instead of downloading another. `run` returns as soon as the screen can open and leaves the engine's part to a
process of its own. Stamp files make the second call return at once.
"""

import os
import sys

SCRIPT = os.path.abspath(__file__)

if __name__ == "__main__":
    if os.name == "nt":
        sys.exit("LoRA Lab runs under WSL on Windows: install it with `wsl --install` and run make there")
    sys.path.insert(0, os.path.dirname(SCRIPT))  # PYTHONSAFEPATH leaves it out
    from setup.main import main
    from setup.project import Project

    try:
        sys.exit(main(Project(os.path.dirname(os.path.dirname(SCRIPT))), SCRIPT, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit("LoRA Lab cannot be set up here: %s; make .venv writable, or free some space" % error)
