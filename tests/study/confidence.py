"""Choose the probability from which a reading counts as sure, on training images that are held out.

PYTHONPATH=.:examples python tests/study/confidence.py                      # the settings of mnist_fcn.py
PYTHONPATH=.:examples python tests/study/confidence.py --stage-length 8000

It trains a network on 50,000 of the training images, and takes the least limit from which 99.5 % of the readings of the
other 10,000 are correct. Then it reads the test set with that limit. The test set has no part in the choice.
"""

import argparse
from dataclasses import fields

from tinygrad_np import softmax
from tinygrad_np.data import load_mnist

import numpy as np

import mnist_fcn
from mnist_search import split
from mnist_study import command_line
from mnist_study.application import DATA, SURE

LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
CORRECT = 0.995  # the fraction of the sure that is asked for


def train(settings: mnist_fcn.Settings, dataset: mnist_fcn.Dataset) -> mnist_fcn.Sequential:
    model, loader, optimizer = mnist_fcn.prepare(settings, dataset, classes=10)
    bar = command_line.progress(settings.epochs * len(loader), "step", quiet=False)
    with bar:
        mnist_fcn.train(model, loader, optimizer, settings.epochs, lambda *step: bar.update())
    return model


def of_the_sure(model: mnist_fcn.Sequential, dataset: mnist_fcn.Dataset, limit: float) -> tuple[float, float]:
    """The accuracy of the readings from this probability, and the fraction of those below it, which are not sure."""
    probabilities = np.asarray(softmax(mnist_fcn.predict(model, dataset.images).astype(np.float64)))
    sure = probabilities.max(axis=1) >= limit
    return float((probabilities.argmax(axis=1) == dataset.labels)[sure].mean()), float(1 - sure.mean())


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_settings(parser, mnist_fcn.Settings)
    options: argparse.Namespace = parser.parse_args()
    settings = mnist_fcn.Settings(**{each.name: getattr(options, each.name) for each in fields(mnist_fcn.Settings)})
    train_set, held_out = split(DATA, 10_000, settings.seed)
    model = train(settings, train_set)
    test_set = load_mnist(DATA)[1]
    print(f"{'limit':>5}  held out: sure and correct, not sure  test set: sure and correct, not sure")
    for limit in LIMITS:
        (correct, unsure), (test_correct, test_unsure) = (of_the_sure(model, s, limit) for s in (held_out, test_set))
        print(f"{limit:5}  {correct:26.2%}  {unsure:8.2%}  {test_correct:26.2%}  {test_unsure:8.2%}")
    enough = [limit for limit in LIMITS if of_the_sure(model, held_out, limit)[0] >= CORRECT]
    print(f"the least from which {CORRECT:.1%} of the held-out readings are correct: {enough[0] if enough else 'none'}")
    print(f"SURE is {SURE}")


if __name__ == "__main__":
    main()
