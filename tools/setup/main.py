"""What `python3 tools/setup_venv.py run|test|engine` does."""

import os
import sys

from . import engine, environment, lock, packages


def main(project, script, arguments):
    part = arguments[0] if arguments else "run"
    if part == "engine":
        return install_engine(project, script, arguments[1:])
    if part not in ("run", "test"):
        sys.exit("usage: python3 tools/setup_venv.py run|test")
    if project.has(part):
        return 0
    return install_run(project, script) if part == "run" else install_test(project)


def install_run(project, script):
    """The screen now; the engine follows in a process of its own, unless one is at it already."""
    held = lock.take(project, lambda: project.has("screen"))
    if held is None:
        return 0
    if not project.has("screen"):
        shared = environment.prepare(project)
        project.write_pins(shared)
        packages.install_screen(project)
        if shared:
            project.write_stamp("run")
        project.write_stamp("screen")
    if not project.has("run"):
        engine.start(project, script, held)
    os.close(held)
    return 0


def install_test(project):
    """Everything, in the foreground; what another `make run` has begun is waited for."""
    held = lock.take(project, lambda: False)
    if not project.has("test"):
        project.write_pins(environment.prepare(project))
        packages.install_all(project, "[test]")
        packages.build_kernels(project)
        project.write_stamp("test")
        if os.path.exists(project.progress):
            os.remove(project.progress)  # an engine that failed to install before is there now
    os.close(held)
    return 0


def install_engine(project, script, inherited):
    """In the background. Started with the lock in hand, or by a screen that tries again and takes it here."""
    held = int(inherited[0]) if inherited else lock.take(project, lambda: True)
    if held is None:
        return 0
    return 0 if project.has("run") else engine.install(project, script, held)
