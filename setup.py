"""Wheels: csrc/ always, and compiled kernels where torch and a compiler are there while building; never required."""

import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # an isolated build leaves it out


def kernels_can_be_built() -> bool:
    """Importing asks for torch; an isolated build has none."""
    try:
        from loralab_core.ops.native.build import require_compiler

        require_compiler()
    except Exception as error:  # whatever it is, a wheel without them works
        print(f"no compiled kernels in this wheel: {error}", file=sys.stderr)
        return False
    return True


class WithSources(build_py):
    """The sources travel inside the package, so that kernels can be compiled where it is installed."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            place = Path(self.build_lib) / "loralab_core" / "csrc"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(ROOT / "csrc", place)


class Kernels(build_ext):
    """The library is no Python module: torch loads it. An editable install compiles beside the package instead."""

    def run(self) -> None:
        if not self.inplace and not self.editable_mode:
            from loralab_core.ops.native.build import build_beside

            build_beside(Path(self.build_lib) / "loralab_core" / "ops" / "native" / "built")

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class AnyPython(bdist_wheel):
    """The library knows torch's stable ABI and nothing of Python's."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[Extension("loralab_core.ops.native.built.cpu", [])] if kernels_can_be_built() else [],
    cmdclass={"build_py": WithSources, "build_ext": Kernels, "bdist_wheel": AnyPython},
)
