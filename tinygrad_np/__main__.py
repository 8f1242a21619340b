"""`python -m tinygrad_np`: the version, what NumPy's matrix products run on, and where to go next."""

from . import __version__, show_config

NEXT = """
Where to go next:
  README.md                             what this is, and how to start
  python examples/quickstart.py         tensors, gradients and a training loop by hand
  python examples/mnist_fcn.py          a network that reads handwritten digits, with figures
  tinygrad_np/docs/                     gradients, layers, examples, accuracy, costs, the map of the code
  tinygrad_np/OPERATIONS.md             every differentiable function
  python -m pytest                      the proof of every gradient
  python -m benchmarks.mnist_step       what a training step costs, beside PyTorch and JAX"""

if __name__ == "__main__":
    print(f"tinygrad_np {__version__}")
    show_config()
    print(NEXT)
