"""A network that solves a differential equation: `python examples/second_order.py`.

A swing with friction, u'' + 2 d u' + w^2 u = 0 with u(0) = 1 and u'(0) = 0, is not simulated: a network u(t) is trained
until its own second derivative, which `grad(..., create_graph=True)` finds, fits the equation at every t (M. Raissi et
al. 2019, "Physics-informed neural networks"). Training differentiates that once more. The solution is known, so that
the error is too: below 0.01 everywhere.
"""

from typing import Any

from tinygrad_np import Tensor, grad, nn, optim

import numpy as np

import command_line
import figures

FRICTION, FREQUENCY, END = 0.3, 3.0, 3.0


def exact(t: np.ndarray) -> np.ndarray:
    """The solution in closed form."""
    damped = np.sqrt(FREQUENCY**2 - FRICTION**2)
    return np.exp(-FRICTION * t) * (np.cos(damped * t) + FRICTION / damped * np.sin(damped * t))


class Solution(nn.Module):
    """u(t) = 1 + t^2 * network(t), which begins as it must whatever the network is."""

    def __init__(self, rng: "np.random.Generator") -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 32), (32, 32), (32, 1)):
            layers += [nn.Linear(inputs, outputs, rng=rng, dtype=np.float64), nn.Tanh()]
        self.network = nn.Sequential(*layers[:-1])

    def forward(self, t: Any) -> Any:
        return 1 + t * t * self.network(4 * t / END - 2)


def residual(solution: Solution, t: Tensor) -> Any:
    """What is left of the equation at each t; zero for a solution."""
    u = solution(t)
    speed = grad(u.sum(), t, create_graph=True)
    acceleration = grad(speed.sum(), t, create_graph=True)
    return acceleration + 2 * FRICTION * speed + FREQUENCY**2 * u


def train(solution: Solution, steps: int, rng: "np.random.Generator", bar: Any) -> list[float]:
    """The mean square of the residual, step by step."""
    schedule = optim.CosineScheduler(1e-2, steps=steps)
    optimizer = optim.Adam(solution.parameters(), lr=schedule)
    losses = []
    for _ in range(steps):
        t = Tensor(rng.uniform(0, END, (128, 1)), requires_grad=True)
        loss = np.mean(np.square(residual(solution, t)))
        optimizer.minimize(loss)
        losses.append(loss.item())
        bar.update()
    return losses


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add(parser, "--steps", "of training", type=command_line.positive_integer, default=8000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    solution = Solution(rng)
    with command_line.progress(options.steps, "step", quiet=False) as bar:
        losses = train(solution, options.steps, rng, bar)
    t = np.linspace(0, END, 301)
    found = solution(t[:, np.newaxis]).data[:, 0]
    error = float(np.max(np.abs(found - exact(t))))
    path = command_line.save_picture(
        command_line.new_folder("second_order"), figures.solution(t, found, exact(t), losses)
    )
    print(f"the largest error is {error:.2g}; the solution is drawn in {path}")


if __name__ == "__main__":
    command_line.run(main)
