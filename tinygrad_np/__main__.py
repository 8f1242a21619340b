"""Print the version, the BLAS in use and where to go next: `python -m tinygrad_np`."""

from . import __version__, show_config

NEXT = """
Where to go next:
  README.md                             what this is, and how to start
  python examples/quickstart.py         tensors, gradients and a training loop by hand
  python examples/mnist_fcn.py          a network that reads handwritten digits, with figures
  tinygrad_np/docs/                     gradients, layers, examples, accuracy, performance, a map of the code
  tinygrad_np/OPERATIONS.md             every differentiable function
  python -m pytest                      tests that check every gradient
  python -m benchmarks.mnist_step       the time of a training step, compared with PyTorch and JAX"""

if __name__ == "__main__":
    print(f"tinygrad_np {__version__}")
    show_config()
    print(NEXT)
