"""One command that proves the kernels on a GPU box: `make gpu`, or python3 -m benchmarks.gpu.

Needs torch and a GPU; uses nvcc, transformers and peft where they are. No installation, no network.
"""
