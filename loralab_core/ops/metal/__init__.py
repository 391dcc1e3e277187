"""Kernels for Apple's GPUs: csrc/metal, compiled by torch when a tensor first lies there. Elsewhere none of it runs."""
