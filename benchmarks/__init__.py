"""Benchmarks that anyone can run: all of them by `python -m benchmarks`, one by `python -m benchmarks.mnist_step`."""

BENCHMARKS = [
    "mnist_step",
    "products",
    "convolution",
    "networks",
    "operations",
    "overhead",
    "scaling",
    "memory",
    "startup",
    "contention",
    "watching",
    "accuracy",
]
