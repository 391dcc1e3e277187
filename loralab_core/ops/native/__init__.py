"""Compiled kernels: building, loading, testing and choosing them. Without a compiler everything runs on PyTorch."""
