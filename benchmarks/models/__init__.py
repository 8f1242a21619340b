"""The networks of the benchmarks: `ours` and `pytorch` define the same ones, as a user of each would write them.

Both modules have a dict `NETWORKS` of pairs: a function that makes the network, and its loss on a batch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

LETTERS = 103  # as many as Python's manual has

BATCHES: dict[str, Callable[[Any], tuple[np.ndarray, ...]]] = {  # drawn by a NumPy generator
    "mnist_cnn": lambda rng: (rng.random((64, 1, 28, 28), np.float32), rng.integers(0, 10, 64)),
    "residual": lambda rng: (rng.random((32, 3, 32, 32), np.float32), rng.integers(0, 10, 32)),
    "vae": lambda rng: (rng.random((128, 784), np.float32), rng.standard_normal((128, 20), np.float32)),
    "lstm": lambda rng: letters(rng, 50),
    "char_transformer": lambda rng: letters(rng, 64),
}
PROGRAMS: dict[str, Callable[[Any], tuple[np.ndarray, ...]]] = {  # smaller ones, of tests/programs
    "u_net": lambda rng: (rng.random((16, 1, 32, 32), np.float32), rng.integers(0, 2, (16, 1, 32, 32)).astype("f")),
    "graph": lambda rng: (rng.standard_normal((500, 32), np.float32), *rng.integers(0, 500, (2, 4000))),
    "vision_transformer": lambda rng: (rng.random((64, 16, 49), np.float32), rng.integers(0, 10, 64)),
    "wgan_gp": lambda rng: (*rng.standard_normal((2, 256, 2), np.float32), rng.random((256, 1), np.float32)),
    "real_nvp": lambda rng: (rng.standard_normal((256, 2), np.float32),),
    "maml": lambda rng: (*rng.standard_normal((4, 10, 20, 1), np.float32),),
    "nt_xent": lambda rng: (*rng.standard_normal((2, 128, 100), np.float32),),
    "mixture_density": lambda rng: (*rng.standard_normal((2, 256, 1), np.float32),),
    "hidden_markov": lambda rng: (rng.integers(0, 3, (50, 12)),),
    "n_body": lambda rng: (rng.standard_normal((8, 2), np.float32),),
}


def letters(rng: "np.random.Generator", length: int) -> tuple[np.ndarray, np.ndarray]:
    """32 texts, and the letter that follows each of theirs."""
    texts = rng.integers(0, LETTERS, (32, length + 1))
    return texts[:, :-1], texts[:, 1:]
