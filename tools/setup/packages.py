"""What pip is asked for: first what the screen needs, the engine's torch later."""

import os
import subprocess
import sys

# Printed by the environment's own Python, since an old one cannot read TOML.
REQUIREMENTS = """
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    print("\\n".join(tomllib.load(file)["project"]["dependencies"]))
"""


def requirements(project):
    """(what the screen needs, what only the engine needs), as pyproject.toml says them."""
    command = [project.python, "-c", REQUIREMENTS, os.path.join(project.root, "pyproject.toml")]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if said.returncode != 0:
        sys.exit("pyproject.toml cannot be read; its message is above")
    lines = said.stdout.split("\n")
    engine = [line for line in lines if line.startswith("torch")]
    return [line for line in lines if line and line not in engine], engine


def environment(project):
    """For a pip that is run in the project: it splits the name of the pins at spaces, and a path may have some."""
    pins = os.path.relpath(project.venv_pins, project.root)
    return dict(os.environ, PIP_CONSTRAINT=pins, PIP_DISABLE_PIP_VERSION_CHECK="1")


def pip(project, *arguments):
    """Install quietly; exits with a sentence below pip's own message."""
    command = [project.python, "-m", "pip", "install", "--quiet", *arguments]
    if subprocess.run(command, env=environment(project), cwd=project.root).returncode != 0:
        sys.exit("pip could not install %s; its message is above" % arguments[-1])


def install_screen(project):
    """All the screen needs, in seconds: nothing is compiled ahead, and the package comes without its torch."""
    screen, _ = requirements(project)
    print("installing the screen, some seconds", flush=True)
    pip(project, "--no-compile", "setuptools", *screen)
    pip(project, "--no-build-isolation", "--no-deps", "--editable", project.root)


def build_kernels(project):
    """Compiled ahead where there is a compiler, half a minute; without them everything runs on PyTorch."""
    subprocess.run([project.python, "-m", "loralab_core.ops.native"], cwd=project.root)


def install_all(project, extra):
    """Nothing is compiled ahead here either: of what large packages have, tests import a small part."""
    pip(project, "--no-compile", "setuptools")
    pip(project, "--no-compile", "--no-build-isolation", "--editable", project.root + extra)
