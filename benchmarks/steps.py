"""Time of training steps of the networks and programs in tests/programs, compared with PyTorch, one thread each.

    python -m benchmarks.steps
    python -m benchmarks.steps --networks graph u_net

A step is forward pass, backward pass and AdamW, in float32, from the same weights, as in `benchmarks.networks`.
*wgan_gp* is the critic's step, with its gradient penalty; *maml* goes through a gradient step for each of 10 tasks;
*n_body* goes through 20 steps of 8 bodies.
"""

from benchmarks import turns
from benchmarks.models import PROGRAMS

NAMES = [turns.OURS, "pytorch"]
STEPS = {"residual": 5, "u_net": 5, "lstm": 10, "char_transformer": 5, "vae": 50} | dict.fromkeys(PROGRAMS, 50)
STEPS |= {"u_net": 5, "vision_transformer": 20}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def main() -> None:
    options = turns.arguments(__doc__, networks=list(STEPS), rounds=7, names=NAMES)
    raced = {}
    for network in options.networks:
        settings = {"network": network, "steps": STEPS[network]}
        results = turns.race("benchmarks.networks", options.names, options.rounds, settings, ONE_THREAD)
        turns.report(f"steps, {network}, {STEPS[network]} steps", results, **settings)
        raced[network] = results, STEPS[network]
        turns.agree(f"{network}: the losses", results, 2e-5)
    turns.table(raced)


if __name__ == "__main__":
    main()
