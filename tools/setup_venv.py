"""Create .venv and install LoRA Lab into it: `python3 tools/setup_venv.py run|test`. Standard library only.

Picks a Python of 3.11 or newer; prefers one whose torch already drives this computer's GPU, and then shares that
torch instead of downloading another. A stamp file makes the second call return at once.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
PINS = os.path.join(ROOT, "constraints.txt")
VENV_PINS = os.path.join(VENV, "constraints.txt")
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


def choose_interpreter():
    """The first suitable Python; one with a working GPU torch goes first. Exits with a sentence if there is none."""
    names = [os.path.basename(sys.executable or ""), "python3", "python3.12", "python3.13", "python3.11", "python3.14"]
    paths = [sys.executable] + [shutil.which(name) for name in names]
    unique = [path for path in dict.fromkeys(paths) if path and not path.startswith(VENV + os.sep)]
    found = [one for one in (probe(path, has_gpu()) for path in unique) if one is not None]
    if not found:
        sys.exit("LoRA Lab needs Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python3")
    return next((one for one in found if one.drives_gpu), found[0])


def create(chosen):
    """Make the empty environment; returns whether it shares `chosen`'s torch, tried first where that drives a GPU."""
    if chosen.drives_gpu:
        make_venv(chosen, ["--system-site-packages"] if not chosen.site_packages else [])
        if chosen.site_packages:
            add_path(chosen.site_packages)
        if works_on_gpu():
            return True
    make_venv(chosen, [])
    return False


def make_venv(chosen, flags):
    if subprocess.run([chosen.path, "-m", "venv", "--clear", *flags, VENV]).returncode != 0:
        sys.exit("%s cannot create .venv; on Debian and Ubuntu: apt install python3-venv" % chosen.path)


def add_path(site_packages):
    """Virtual environments do not nest: a path file puts the other one's packages behind our own."""
    for own in glob.glob(os.path.join(VENV, "lib", "python*", "site-packages")):
        with open(os.path.join(own, "_shared_torch.pth"), "w") as file:
            file.write(site_packages + "\n")


def works_on_gpu():
    check = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([VENV_PYTHON, "-c", check], stderr=subprocess.DEVNULL).returncode == 0


def is_usable():
    """Whether .venv is already a working environment, to be brought up to date rather than made anew."""
    return os.path.exists(VENV_PYTHON) and probe(VENV_PYTHON, with_torch=False) is not None


def shares_torch():
    """Whether the existing .venv was made on a shared torch: then its pins have no line for torch."""
    try:
        with open(VENV_PINS) as file:
            return "torch==" not in file.read()
    except OSError:
        return False


def prepare():
    """Have a working environment; returns whether it shares this computer's torch."""
    if is_usable():
        return shares_torch()
    chosen = choose_interpreter()
    print("setting up .venv with Python %d.%d (%s)" % (*chosen.version, chosen.path), flush=True)
    shared = create(chosen)
    own = "the pinned torch is installed"
    said = "%s of this computer is shared, it drives the GPU" % chosen.torch_version
    print("torch: " + (said if shared else own), flush=True)
    return shared


def write_pins(shared):
    """The constraints of this environment: all pins, without torch's where a shared one is used."""
    with open(PINS) as file:
        lines = [line for line in file if not (shared and line.startswith("torch=="))]
    with open(VENV_PINS, "w") as file:
        file.writelines(lines)


def install(extra):
    target = ROOT + ("[test]" if extra == "test" else "")
    environment = dict(os.environ, PIP_CONSTRAINT=VENV_PINS, PIP_DISABLE_PIP_VERSION_CHECK="1")
    pip = [VENV_PYTHON, "-m", "pip", "install", "--quiet"]
    for arguments in (["setuptools"], ["--no-build-isolation", "--editable", target]):
        if subprocess.run(pip + arguments, env=environment, cwd=ROOT).returncode != 0:
            sys.exit("pip could not install %s; its message is above" % arguments[-1])


def fingerprint(extra):
    digest = hashlib.sha256(extra.encode())
    for name in ("pyproject.toml", "setup.py", "constraints.txt"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def stamp_path(extra):
    return os.path.join(VENV, ".installed-" + extra)


def is_installed(extra):
    """Whether the environment was already made from these very files (the test set includes the run set)."""
    for made in {extra, "test"}:
        try:
            with open(stamp_path(made)) as file:
                if file.read() == fingerprint(made) and os.path.exists(VENV_PYTHON):
                    return True
        except OSError:
            continue
    return False


def main():
    extra = sys.argv[1] if len(sys.argv) > 1 else "run"
    if extra not in ("run", "test"):
        sys.exit("usage: python3 tools/setup_venv.py run|test")
    if os.name == "nt":
        sys.exit("LoRA Lab runs under WSL on Windows: install it with `wsl --install` and run make there")
    if is_installed(extra):
        return
    shared = prepare()
    write_pins(shared)
    install(extra)
    with open(stamp_path(extra), "w") as file:
        file.write(fingerprint(extra))


if __name__ == "__main__":
    main()
