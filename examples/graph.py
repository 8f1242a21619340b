"""Draw a computation graph with its values and gradients: `python examples/graph.py`.

The graph is that of loss = (w * x + b - y)**2, the squared error of a line at one point. Values are computed from top
to bottom, gradients of the loss from bottom to top. The picture is written to graph.svg, or to the file that you name.
Drawing needs Graphviz's program `dot`.
"""

import argparse
import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, viz


def expression() -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and every Tensor that has a name in the picture."""
    x, y = Tensor(2.0), Tensor(7.0)
    w, b = Tensor(3.0, requires_grad=True), Tensor(-1.0, requires_grad=True)
    prediction = w * x + b
    error = prediction - y
    loss = error**2
    return loss, {"w": w, "x": x, "b": b, "y": y, "prediction": prediction, "error": error, "loss": loss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", default="graph.svg", help="the SVG file to write (default: %(default)s)")
    path = parser.parse_args().path
    loss, names = expression()
    try:
        viz.render(loss, path, names, gradients=True)
    except (OSError, RuntimeError, ValueError) as error:  # no Graphviz, say, or a path that cannot be written
        sys.exit(f"graph.py: {error}")
    loss.backward()
    print(f"dloss/dw = {names['w'].grad.item():g}, dloss/db = {names['b'].grad.item():g}; the graph is drawn in {path}")


if __name__ == "__main__":
    main()
