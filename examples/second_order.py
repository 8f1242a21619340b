"""A network that solves a differential equation: `python examples/second_order.py`.

The damped oscillator u'' + 2 d u' + w^2 u = 0 with u(0) = 1 and u'(0) = 0 is not simulated. A network u(t) is trained
until its own derivatives, which `grad(..., create_graph=True)` computes, satisfy the equation at every t (M. Raissi et
al. 2019, "Physics-informed neural networks"). Training differentiates them once more. The solution is known in closed
form, and so is the error of the network: below 0.01 everywhere.
"""

import argparse
import itertools
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, grad, nn
from tinygrad_np.optim import Adam
from tinygrad_np.schedules import CosineScheduler

import numpy as np

try:
    from matplotlib.figure import Figure
    from tqdm import tqdm, trange
except ModuleNotFoundError as error:
    sys.exit(f'second_order.py needs {error.name}: python -m pip install -e ".[examples]"')

BLUE, VERMILION = "#0072b2", "#d55e00"  # of M. Okabe and K. Ito, whose colours everyone can tell apart
DAMPING, FREQUENCY, END = 0.3, 3.0, 3.0


def exact(t: np.ndarray) -> np.ndarray:
    """The solution in closed form."""
    damped = np.sqrt(FREQUENCY**2 - DAMPING**2)
    return np.exp(-DAMPING * t) * (np.cos(damped * t) + DAMPING / damped * np.sin(damped * t))


class Solution(nn.Module):
    """u(t) = 1 + t^2 * network(t), which satisfies the initial conditions whatever the network is."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.network = nn.Sequential(
            nn.Linear(1, 32, rng=rng, dtype=np.float64),
            nn.Tanh(),
            nn.Linear(32, 32, rng=rng, dtype=np.float64),
            nn.Tanh(),
            nn.Linear(32, 1, rng=rng, dtype=np.float64),
        )

    def forward(self, t: Tensor) -> Tensor:
        return 1 + t * t * self.network(4 * t / END - 2)


def residual(solution: Solution, t: Tensor) -> Tensor:
    """The left-hand side of the equation at each t; zero for a solution."""
    u = solution(t)
    velocity = grad(u.sum(), t, create_graph=True)
    acceleration = grad(velocity.sum(), t, create_graph=True)
    return acceleration + 2 * DAMPING * velocity + FREQUENCY**2 * u


def train(solution: Solution, steps: int, rng: np.random.Generator) -> list[float]:
    """The mean squared residual of each step."""
    optimizer = Adam(solution.parameters(), lr=CosineScheduler(1e-2, steps=steps))
    losses = []
    for step in trange(1, steps + 1, unit="step", disable=None):
        t = Tensor(rng.uniform(0, END, (128, 1)), requires_grad=True)
        loss = np.mean(np.square(residual(solution, t)))
        optimizer.minimize(loss)
        losses.append(loss.item())
        if step % 500 == 0:
            tqdm.write(f"step {step}/{steps}  loss {np.mean(losses[-500:]):.4g}")
            sys.stdout.flush()  # a log shows the line now
    return losses


def draw(t: np.ndarray, found: np.ndarray, losses: list[float]) -> Figure:
    """The network's solution and the exact one, their difference, and the loss of each step."""
    figure = Figure((3.75, 5.4), layout="constrained")
    top, middle, bottom = figure.subplots(3, height_ratios=(3, 1.5, 1.5))
    top.plot(t, exact(t), color=VERMILION, linewidth=4, alpha=0.5, label="exact")
    top.plot(t, found, color=BLUE, label="found")
    top.set(ylabel="u(t)")
    figure.legend(loc="outside upper center", ncols=2)
    middle.plot(t, found - exact(t), color=BLUE)
    middle.set(xlabel="t", ylabel="found - exact")
    bottom.semilogy(losses, color=BLUE, linewidth=0.8)
    bottom.yaxis.set_major_formatter("{x:g}")  # powers of ten have small exponents
    bottom.set(xlabel="step", ylabel="squared residual")
    for axes in (top, middle, bottom):
        axes.grid(alpha=0.3)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=positive_integer, default=8000, help="of training (default %(default)s)")
    options = parser.parse_args()
    try:  # now, not after the training
        path = new_folder("second_order") / "solution.png"
    except OSError as error:
        sys.exit(f"second_order.py: {error}")
    rng = np.random.default_rng(0)
    solution = Solution(rng)
    losses = train(solution, options.steps, rng)
    t = np.linspace(0, END, 301)
    found = solution(t[:, np.newaxis]).data[:, 0]
    error = np.max(np.abs(found - exact(t)))
    draw(t, found, losses).savefig(path, dpi=160)
    print(f"the largest error is {error:.2g}; the solution is drawn in {path}")


def positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def new_folder(name: str) -> Path:
    """Make the folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    folder = next(Path("runs", name) for name in names if not Path("runs", name).exists())
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
