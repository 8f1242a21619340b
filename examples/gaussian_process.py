"""A Gaussian process that says how sure it is: `python examples/gaussian_process.py`.

It sees 25 noisy values of a function, with a gap. Its three hyperparameters are those of the largest marginal
likelihood, found by its gradient (C. Rasmussen and C. Williams 2006, "Gaussian processes for machine learning", 5.4).
It also predicts the slope of the function, which it never sees: the covariance of slopes is the second derivative of
the covariance of values. The picture shows both, with the band in which they lie with a probability of 95 %.
"""

import argparse
import itertools
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, func
from tinygrad_np.optim import Adam, minimize

import numpy as np

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    sys.exit(f'gaussian_process.py needs {error.name}: python -m pip install -e ".[examples]"')

BLUE, VERMILION = "#0072b2", "#d55e00"  # of M. Okabe and K. Ito, whose colours everyone can tell apart
NOISE = 0.2  # its standard deviation, which the process does not know
START = {"amplitude": 0.0, "length": 0.0, "noise": 0.0}  # logarithms


def truth(x: np.ndarray) -> np.ndarray:
    return np.sin(x) + 0.3 * x


def slope_of_truth(x: np.ndarray) -> np.ndarray:
    return np.cos(x) + 0.3


def observations(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """25 points and the noisy values there; none is between 4 and 7."""
    x = np.sort(np.concatenate([rng.uniform(0, 4, 13), rng.uniform(7, 10, 12)]))
    return x, truth(x) + NOISE * rng.normal(size=len(x))


def covariance(logarithms: dict[str, Any], a: Any, b: Any) -> Any:
    """Of the values at points a and b, which broadcast."""
    return np.exp(2 * logarithms["amplitude"] - 0.5 * ((a - b) / np.exp(logarithms["length"])) ** 2)


def of_observations(logarithms: dict[str, Any], x: np.ndarray) -> Any:
    """The covariance matrix of the noisy values at points x."""
    return covariance(logarithms, x[:, np.newaxis], x) + np.exp(2 * logarithms["noise"]) * np.eye(len(x))


def negative_log_likelihood(logarithms: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Tensor:
    """-log p(y | x), per observation."""
    L = np.linalg.cholesky(of_observations(logarithms, x))
    white = np.linalg.solve(L, y)
    return np.mean(0.5 * white**2 + np.log(np.diag(L))) + 0.5 * np.log(2 * np.pi)


def fit(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The logarithms of amplitude, length scale and noise of the largest likelihood."""
    found = minimize(lambda p: negative_log_likelihood(p, x, y), START, method=Adam, lr=0.05, steps=500)
    return {name: float(value) for name, value in found.x.items()}


def predict(
    logarithms: dict[str, float], x: np.ndarray, y: np.ndarray, points: np.ndarray, *, slope: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of the function at some points, or of its slope."""

    def between(a: Any, b: Any) -> Any:
        return covariance(logarithms, a, b)

    own = between(points, points)
    if slope:
        in_a = func.elementwise_grad(between)
        own = func.elementwise_grad(in_a, 1)(points, points)
        between = in_a
    a, b = np.broadcast_arrays(points[:, np.newaxis], x)
    cross = between(a, b)
    known = of_observations(logarithms, x)
    variance = own - np.sum(cross * np.linalg.solve(known, cross.T).T, axis=1)
    return cross @ np.linalg.solve(known, y), np.sqrt(variance)


def draw(logarithms: dict[str, float], x: np.ndarray, y: np.ndarray) -> Figure:
    """The function and its slope: what is true, what is predicted, and how sure that is."""
    points = np.linspace(-1, 12, 400)
    figure = Figure((3.75, 5), layout="constrained")
    top, bottom = figure.subplots(2, sharex=True)
    draw_prediction(top, points, truth(points), *predict(logarithms, x, y, points))
    top.plot(x, y, "k.", label="observed")
    top.set(ylabel="function")
    draw_prediction(bottom, points, slope_of_truth(points), *predict(logarithms, x, y, points, slope=True))
    bottom.set(xlabel="x", ylabel="slope, never observed")
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def draw_prediction(axes: Axes, points: np.ndarray, true: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> None:
    axes.plot(points, true, color=VERMILION, linestyle="--", label="true")
    axes.plot(points, mean, color=BLUE, label="predicted")
    axes.fill_between(points, mean - 1.96 * deviation, mean + 1.96 * deviation, color=BLUE, alpha=0.2, label="95 %")
    axes.grid(alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=natural, default=0, help="of the observations (default %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the picture (default: a new one under runs/)")
    options = parser.parse_args()
    try:
        folder = options.out or new_folder("gaussian_process")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # whether files can be written there
    except OSError as error:
        sys.exit(f"gaussian_process.py: {error}")

    x, y = observations(np.random.default_rng(options.seed))
    logarithms = fit(x, y)
    for name, value in logarithms.items():
        print(f"{name:9} {np.exp(value):.3f}")
    points = np.linspace(0, 10, 1001)
    for name, true, slope in (("function", truth(points), False), ("slope", slope_of_truth(points), True)):
        mean, deviation = predict(logarithms, x, y, points, slope=slope)
        inside = np.mean(np.abs(mean - true) < 1.96 * deviation)
        print(f"the {name} is in the band of 95 % at {inside:.1%} of the points from 0 to 10")
    draw(logarithms, x, y).savefig(folder / "process.png", dpi=160)
    print(f"the picture is in {folder}")


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, not {text!r}")
    return int(text)


def new_folder(name: str) -> Path:
    """The folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(Path("runs", name) for name in names if not Path("runs", name).exists())


if __name__ == "__main__":
    main()
