"""Learning-rate schedules, drawn: `python examples/schedules.py`.

Each is a function from the step to the rate, which an optimiser takes in the place of a number; the words above a curve
are what makes it.
"""

from typing import Any

from tinygrad_np.optim import (
    CosineScheduler,
    ExponentialScheduler,
    JoinedScheduler,
    MultiStepScheduler,
    OneCycleScheduler,
    StepScheduler,
    WarmupScheduler,
)

import command_line
import figures

STEPS = 1000
SCHEDULES = [
    ExponentialScheduler(0.1, decay=0.5, stage_length=200),
    ExponentialScheduler(0.1, decay=0.5, stage_length=200, staircase=False),
    StepScheduler(0.1, step_size=400),
    MultiStepScheduler(0.1, milestones=(300, 800), gamma=0.5),
    CosineScheduler(0.1, steps=900, minimum=0.01),
    WarmupScheduler(0.1, steps=200),
    OneCycleScheduler(0.1, steps=1000),
    JoinedScheduler((WarmupScheduler(0.1, steps=200), CosineScheduler(0.1, steps=800)), milestones=(200,)),
]


def call(schedule: Any) -> str:
    """The call that makes a schedule, without what is left at its default."""
    if isinstance(schedule, JoinedScheduler):
        return f"JoinedScheduler([{', '.join(map(call, schedule.schedules))}], milestones={schedule.milestones})"
    (_, lr), *options = vars(schedule).items()
    given = [f"{name}={value}" for name, value in options if value != getattr(type(schedule), name, None)]
    return f"{type(schedule).__name__}({', '.join([f'{lr}', *given])})"


def main() -> None:
    command_line.parser(__doc__).parse_args()
    rates = {call(schedule): [schedule(step) for step in range(STEPS + 1)] for schedule in SCHEDULES}
    folder = command_line.new_folder("schedules")
    print(f"drawn in {command_line.save_picture(folder, figures.schedules(rates))}")


if __name__ == "__main__":
    command_line.run(main)
