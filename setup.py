"""Builds a pure wheel; compiled kernels are added here when csrc/ is present and torch and a compiler are."""

from setuptools import Extension, setup


def extensions() -> list[Extension]:
    """The compiled operators. None yet: every operator runs on its PyTorch reference."""
    return []


setup(ext_modules=extensions())
