"""The environment itself: made once, on this computer's own torch where that drives the GPU."""

import glob
import os
import shutil
import subprocess
import sys

from .interpreters import choose


def prepare(project):
    """Have a working environment; returns whether it shares this computer's torch."""
    if is_usable(project):
        return project.shares_torch()
    chosen = choose(project.venv)
    print("setting up .venv with Python %d.%d (%s)" % (*chosen.version, chosen.path), flush=True)
    shared = create(project, chosen)
    own = "the pinned torch is installed"
    said = "%s of this computer is shared, it drives the GPU" % chosen.torch_version
    print("torch: " + (said if shared else own), flush=True)
    return shared


def is_usable(project):
    """Whether .venv is whole, to be brought up to date rather than made anew; one cut short has no pip."""
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    if not os.path.exists(project.python):
        return False
    return subprocess.run([project.python, "-c", check], stderr=subprocess.DEVNULL).returncode == 0


def create(project, chosen):
    """Make the empty environment; returns whether it shares `chosen`'s torch, tried first where that drives a GPU."""
    if chosen.drives_gpu:
        make_venv(project, chosen, ["--system-site-packages"] if not chosen.site_packages else [])
        if chosen.site_packages:
            add_path(project, chosen.site_packages)
        if works_on_gpu(project):
            return True
    make_venv(project, chosen, [])
    return False


def make_venv(project, chosen, flags):
    clear(project)
    if subprocess.run([chosen.path, "-m", "venv", *flags, project.venv]).returncode != 0:
        sys.exit("%s cannot create .venv; on Debian and Ubuntu: apt install python3-venv" % chosen.path)


def clear(project):
    """As `venv --clear`, but the lock stays: another process may be waiting on that very file."""
    for entry in os.listdir(project.venv) if os.path.isdir(project.venv) else []:
        path = os.path.join(project.venv, entry)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif path != project.lock:
            os.remove(path)


def add_path(project, site_packages):
    """Virtual environments do not nest: a path file puts the other one's packages behind our own."""
    for own in glob.glob(os.path.join(project.venv, "lib", "python*", "site-packages")):
        with open(os.path.join(own, "_shared_torch.pth"), "w") as file:
            file.write(site_packages + "\n")


def works_on_gpu(project):
    check = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([project.python, "-c", check], stderr=subprocess.DEVNULL).returncode == 0
