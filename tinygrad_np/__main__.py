"""`python -m tinygrad_np`: the version, what NumPy's matrix products run on, and where to go next."""

from . import __version__, show_config

NEXT = """
Where to go next:
  python examples/quickstart.py         tensors, gradients and a training loop by hand
  python examples/mnist_fcn.py          the network that this project began with, trained, tested and drawn
  python -m pytest                      every gradient of every operation, proved
  python -m benchmarks.mnist_step       what a step costs, beside PyTorch and JAX
  README.md                             a taste of it all, and the map of the code
  tinygrad_np/OPERATIONS.md             what is differentiable"""

if __name__ == "__main__":
    print(f"tinygrad_np {__version__}")
    show_config()
    print(NEXT)
