"""Learning-rate schedules, drawn: `python examples/schedules.py`.

A schedule is a function from the step to the learning rate, and an optimiser takes it in place of a number. Each curve
has the call that makes it as its title.
"""

import argparse
import itertools
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np.schedules import (
    CosineScheduler,
    ExponentialScheduler,
    InverseSquareRootScheduler,
    JoinedScheduler,
    MultiStepScheduler,
    OneCycleScheduler,
    PolynomialScheduler,
    RestartScheduler,
    WarmupScheduler,
    WarmupStableDecayScheduler,
)

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    sys.exit(f'schedules.py needs {error.name}: python -m pip install -e ".[examples]"')

STEPS = 1000
BLUE = "#0072b2"
SCHEDULES = [
    ExponentialScheduler(0.1, decay=0.5, stage_length=200),
    ExponentialScheduler(0.1, decay=0.5, stage_length=200, staircase=False),
    MultiStepScheduler(0.1, milestones=(300, 800), gamma=0.5),
    CosineScheduler(0.1, steps=900, minimum=0.01),
    WarmupScheduler(0.1, steps=200),
    JoinedScheduler((WarmupScheduler(0.1, steps=200), CosineScheduler(0.1, steps=800)), milestones=(200,)),
    OneCycleScheduler(0.1, steps=1000),
    OneCycleScheduler(0.1, steps=1000, anneal_strategy="linear"),
    RestartScheduler(0.1, steps=150, growth=2),
    PolynomialScheduler(0.1, steps=900, power=2.0, minimum=0.01),
    InverseSquareRootScheduler(0.1, warmup_steps=100),
    WarmupStableDecayScheduler(0.1, steps=1000, warmup_steps=100, decay_steps=200, anneal_strategy="sqrt"),
]


def call(schedule: Callable[[int], float]) -> str:
    """The call that makes a schedule, without the arguments that have their default values."""
    if isinstance(schedule, JoinedScheduler):
        return f"JoinedScheduler([{', '.join(map(call, schedule.schedules))}], milestones={schedule.milestones})"
    (_, lr), *options = vars(schedule).items()
    given = [f"{name}={value!r}" for name, value in options if value != getattr(type(schedule), name, None)]
    return f"{type(schedule).__name__}({', '.join([f'{lr}', *given])})"


def draw(schedules: list[Callable[[int], float]]) -> Figure:
    """The learning rate at each step, in a panel for each schedule."""
    figure = Figure((3.75, 1.05 * len(schedules) + 0.6), layout="constrained")
    panels = figure.subplots(len(schedules), sharex=True, sharey=True)
    for axes, schedule in zip(panels, schedules, strict=True):
        axes.plot([schedule(step) for step in range(STEPS + 1)], color=BLUE)
        axes.set_title(textwrap.fill(call(schedule), 43), family="monospace", fontsize=9)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    figure.supylabel("learning rate", fontsize=10)
    return figure


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        path = new_folder("schedules") / "schedules.png"
    except OSError as error:
        sys.exit(f"schedules.py: {error}")
    draw(SCHEDULES).savefig(path, dpi=160)
    print(f"drawn in {path}")


def new_folder(name: str) -> Path:
    """Make the folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    folder = next(Path("runs", name) for name in names if not Path("runs", name).exists())
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
