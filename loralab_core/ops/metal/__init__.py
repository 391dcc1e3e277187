"""Kernels for Apple's GPUs: csrc/metal, compiled by torch when a tensor first lies there. Elsewhere nothing of it runs."""
