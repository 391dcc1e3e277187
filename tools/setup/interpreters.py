"""The Pythons of this computer: one that is new enough, best one whose torch already drives the GPU."""

import glob
import os
import shutil
import subprocess
import sys

MINIMUM = (3, 11)

# Printed by a candidate: its version, whether its torch drives a GPU, and where a virtual environment keeps packages.
PROBE = """
import sys, sysconfig
print("%d.%d" % sys.version_info[:2])
try:
    import torch
    print("gpu" if torch.cuda.is_available() else "no", torch.__version__)
except Exception:
    print("no -")
print(sysconfig.get_paths()["purelib"] if sys.prefix != sys.base_prefix else "")
"""


class Interpreter:
    """A Python found on this computer."""

    def __init__(self, path, version, drives_gpu, torch_version, site_packages):
        self.path = path
        self.version = version
        self.drives_gpu = drives_gpu
        self.torch_version = torch_version
        self.site_packages = site_packages  # empty unless it is itself a virtual environment


def probe(path, with_torch):
    """What the Python at `path` is, or None if it does not run or is too old."""
    program = PROBE if with_torch else PROBE.replace("import torch", "raise ImportError")
    found = subprocess.run([path, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = found.stdout.splitlines()
    if found.returncode != 0 or len(lines) < 2:
        return None
    version = tuple(int(part) for part in lines[0].split("."))
    gpu, torch_version = lines[1].split()
    site_packages = lines[2] if len(lines) > 2 else ""
    return Interpreter(path, version, gpu == "gpu", torch_version, site_packages) if version >= MINIMUM else None


def has_gpu():
    """Whether an NVIDIA device is visible; only then is a present torch worth sharing."""
    return bool(glob.glob("/dev/nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


def choose(venv):
    """The first suitable Python outside `venv`; one with a working GPU torch goes first. Exits with a sentence."""
    names = [os.path.basename(sys.executable or ""), "python3", "python3.12", "python3.13", "python3.11", "python3.14"]
    paths = [sys.executable] + [shutil.which(name) for name in names]
    unique = [path for path in dict.fromkeys(paths) if path and not path.startswith(venv + os.sep)]
    found = [one for one in (probe(path, has_gpu()) for path in unique) if one is not None]
    if not found:
        sys.exit("LoRA Lab needs Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python3")
    return next((one for one in found if one.drives_gpu), found[0])
