"""Benchmarks: run all with `python -m benchmarks`, or one with, for example, `python -m benchmarks.mnist_step`."""

BENCHMARKS = [
    "mnist_step",
    "products",
    "networks",
    "steps",
    "layers",
    "optimizers",
    "operations",
    "functions",
    "graphs",
    "odeint",
    "programs",
    "overhead",
    "scaling",
    "memory",
    "half",
    "startup",
    "contention",
    "watching",
    "accuracy",
]
