"""The engine's part of the installation (torch), beside a screen that is already open."""

import subprocess
import sys

from . import packages
from .progress import Progress

RAW_PROGRESS = (24, 1)  # the first pip that prints its bytes for a program to read


def start(project, script, lock):
    """Begin in a process of its own, which outlives the terminal and holds the lock until it ends."""
    again = [project.python, script, "engine"]
    Progress(project.progress, project.log, again).say("starting")
    with open(project.log, "w") as log:
        subprocess.Popen(
            again + [str(lock)],
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )


def install(project, script, lock):
    """Fetch and unpack torch, telling how far it is. Returns the exit status."""
    progress = Progress(project.progress, project.log, [project.python, script, "engine"])
    progress.say("starting")
    try:
        why = fetch(project, progress, lock) or check(project, progress)
    except (OSError, SystemExit) as error:
        why = str(error)
    if why:
        progress.say("failed", why=why)
        return 1
    project.write_stamp("run")
    progress.say("done")
    packages.build_kernels(project)  # nobody waits for this: who needs them earlier waits for this very process
    return 0


def fetch(project, progress, lock):
    """Run pip, heard line by line; it holds the lock too, should it outlive us. Returns why it failed, or nothing."""
    _, engine = packages.requirements(project)
    flags = ["--progress-bar", "raw"] if pip_that_counts(project) else ["--progress-bar", "off"]
    command = [project.python, "-u", "-m", "pip", "install", "--no-compile", *flags, *engine]
    pip = subprocess.Popen(
        command,
        env=packages.environment(project),
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(lock,),
    )
    for line in pip.stdout:
        progress.hear(line)
        if not line.startswith("Progress "):
            print(line, end="", flush=True)
    return (progress.said["why"] or "pip ended with an error") if pip.wait() else ""


def pip_that_counts(project):
    """Whether pip can say how far a download is; an older one is renewed first, which takes a second."""
    if pip_version(project) >= RAW_PROGRESS:
        return True
    command = [project.python, "-m", "pip", "install", "--quiet", "--no-compile", "--upgrade", "pip"]
    subprocess.run(command, env=packages.environment(project), cwd=project.root)
    return pip_version(project) >= RAW_PROGRESS


def pip_version(project):
    said = subprocess.run(
        [project.python, "-c", "import pip; print(pip.__version__)"], stdout=subprocess.PIPE, text=True
    )
    numbers = said.stdout.strip().split(".")[:2]
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else (0, 0)


def check(project, progress):
    """A first import shows whether it works here, and leaves it compiled. Returns why it does not, or nothing."""
    progress.say("checking", what="PyTorch", done=0, total=0)
    tried = subprocess.run([project.python, "-c", "import torch"], stderr=subprocess.PIPE, text=True)
    last = tried.stderr.strip().split("\n")[-1]
    print(tried.stderr, end="", file=sys.stderr)
    return ("PyTorch is installed but does not start: %s" % last) if tried.returncode else ""
