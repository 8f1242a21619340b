"""One training of `mnist_fcn.py`, seen from its callback: progress, checkpoints, and results in files.

    with Training(model, loader, optimizer, epochs=epochs, ...) as training:
        training.begin(resume=True)
        train(model, loader, optimizer, epochs, after_step=training)

The folder gets the model and its metrics after every epoch, and checkpoints in between.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from tinygrad_np import Tensor
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.data import DataLoader
from tinygrad_np.nn import Sequential
from tinygrad_np.optim import SGD
from tinygrad_np.serialization import save, write_atomically

import numpy as np

from .command_line import progress
from .evaluation import remove_pictures
from .folders import CHECKPOINTS
from .record import with_epoch

AfterStep: TypeAlias = Callable[[Tensor, Tensor, np.ndarray], None]  # of the loss, the logits and the labels


class DivergenceError(ValueError):
    """The loss is no longer a finite number."""


class EpochMeans:
    """The mean loss and the accuracy over the steps of an epoch.

    Args:
        images: their number in an epoch.
    """

    def __init__(self, images: int) -> None:
        self.images, self.loss_sum, self.correct = images, 0.0, 0

    def add(self, step: int, loss: Tensor, logits: Tensor, labels: np.ndarray) -> None:
        """Count one batch.

        Raises:
            DivergenceError: its loss is infinite or not a number.
        """
        if not np.isfinite(loss.item()):
            raise DivergenceError(f"the loss is {loss.item()} at step {step}; try a smaller --lr or --weight-decay")
        self.loss_sum += loss.item() * len(labels)
        self.correct += int(np.count_nonzero(logits.argmax(axis=1) == labels))

    def finish(self) -> tuple[float, float]:
        """The mean loss and the accuracy; the next epoch starts at zero."""
        means = self.loss_sum / self.images, self.correct / self.images
        self.loss_sum, self.correct = 0.0, 0
        return means


class Training:
    """The callback of a training: shows how far it is, and saves it.

    If the training ends with an exception, it prints what is left in the folder.

    Args:
        model, loader, optimizer: the parts of the training.
        epochs: how many there will be.
        record: see `record.new_record`.
        test: returns the loss and the accuracy of the model on the test set.
        folder: for the files.
        checkpoint_every: steps between checkpoints; None saves none.
        quiet: whether to show no progress bar.
    """

    def __init__(
        self,
        model: Sequential,
        loader: DataLoader,
        optimizer: SGD,
        *,
        epochs: int,
        record: dict[str, Any],
        test: Callable[[], tuple[float, float]],
        folder: Path,
        checkpoint_every: int | None,
        quiet: bool,
    ) -> None:
        self.model, self.loader, self.optimizer = model, loader, optimizer
        self.epochs, self.record, self.test = epochs, record, test
        self.folder, self.checkpoint_every = folder, checkpoint_every
        self.means = EpochMeans(record["images"])
        self.checkpoints = Checkpoints(
            folder / CHECKPOINTS, model=model, optimizer=optimizer, loader=loader, rng=loader.rng
        )
        self.data_digest, self.begun = "", False
        self.bar = progress(epochs * len(loader), "step", quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.close()
        if error is not None:
            self._print_what_is_saved()

    def begin(self, resume: bool) -> None:
        """Show the network, return to the newest checkpoint if asked to, and save a first one if there is none.

        Raises:
            ValueError: the checkpoint is of a training with other settings or images, or all checkpoints are damaged.
        """
        self.bar.write(f"{self.model}\n{self.record['images']:,} images", file=sys.stdout)
        sys.stdout.flush()
        self.bar.set_description(f"epoch 1/{self.epochs}")
        if resume or self.checkpoint_every:
            self.data_digest = _digest(*self.loader.arrays)
        if resume:
            self._resume()
        self.begun = True
        if self.checkpoint_every and self.optimizer.steps == 0:
            self._save_checkpoint()
        epochs = len(self.record["train_loss"])
        if epochs < self.epochs and self.optimizer.steps == (epochs + 1) * len(self.loader):
            self._finish_epoch()  # the checkpoint was saved in the last step of an epoch, before this

    def __call__(self, loss: Tensor, logits: Tensor, labels: np.ndarray) -> None:
        """Record one step."""
        step = self.optimizer.steps
        self.means.add(step, loss, logits, labels)
        self.bar.update()
        if step % 50 == 0:
            self.bar.set_postfix(loss=f"{loss.item():.4f}", lr=f"{self.optimizer.lr:.2g}", refresh=False)
        if self.checkpoint_every and step % self.checkpoint_every == 0:
            self._save_checkpoint()
        if step % len(self.loader) == 0:
            self._finish_epoch()

    def _finish_epoch(self) -> None:
        """Test the model, and save it with its metrics."""
        train_loss, train_accuracy = self.means.finish()
        test_loss, test_accuracy = self.test()
        longer = with_epoch(self.record, (train_loss, test_loss, train_accuracy, test_accuracy))
        content = json.dumps(longer, indent=1)
        remove_pictures(self.folder)  # those of an earlier run, under --overwrite
        save(self.folder / "model.safetensors", self.model.state_dict(), {"metrics": content})
        write_atomically(self.folder / "metrics.json", content.encode())
        self.record = longer  # only now, so that it never claims more than the files hold
        epoch = len(longer["test_loss"])
        self.bar.write(
            f"epoch {epoch:3d}  train loss {train_loss:.4f}  accuracy {train_accuracy:.2%}"
            f"  test loss {test_loss:.4f}  accuracy {test_accuracy:.2%}",
            file=sys.stdout,
        )
        sys.stdout.flush()  # a log shows each epoch as it ends
        self.bar.set_description(f"epoch {min(epoch + 1, self.epochs)}/{self.epochs}")

    def _save_checkpoint(self) -> None:
        means = {"loss_sum": self.means.loss_sum, "right": self.means.correct}
        record = self.record | {"image_shape": list(self.record["image_shape"])}  # which JSON gives back as it is
        self.checkpoints.save(self.optimizer.steps, {"epochs": record, "data": self.data_digest, **means})

    def _resume(self) -> None:
        found = self.checkpoints.resume()
        if found is None:
            self.bar.write(f"no checkpoint in {self.checkpoints.folder}: from the beginning", file=sys.stdout)
            return
        before = found.record["epochs"]
        before["image_shape"] = tuple(before["image_shape"])
        was, now = before["hyperparameters"], self.record["hyperparameters"]
        others = [f"{n} {was.get(n)}, not {now[n]}" for n in now if n != "epochs" and was.get(n) != now[n]]
        if found.record["data"] != self.data_digest:
            others.append("other images")
        if others:
            raise ValueError(f"{self.checkpoints.folder}: of a training with {'; '.join(others)}")
        if before["environment"] != self.record["environment"]:
            self.bar.write(
                f"results may differ in the last bits: the checkpoint is from {before['environment']}", file=sys.stderr
            )
        for why in found.damaged:
            self.bar.write(f"passed over: {why}", file=sys.stderr)
        self.bar.write(f"going on from step {found.step}", file=sys.stdout)
        self.record |= before | {"hyperparameters": now}  # with more epochs than before, perhaps
        self.means.loss_sum, self.means.correct = found.record["loss_sum"], found.record["right"]
        self.bar.update(found.step)

    def _print_what_is_saved(self) -> None:
        epochs = len(self.record["test_loss"])
        resumable = self.begun and any(self.checkpoints.folder.glob("step-*"))
        if epochs:
            print(f"model and metrics after {epochs} epochs are in {self.folder}")
        elif not resumable:
            print(f"nothing is saved in {self.folder}")
        if resumable:
            print(
                f"there are checkpoints in {self.folder}: the same command with --out {self.folder} --resume"
                " goes on from there"
            )


def _digest(*arrays: np.ndarray) -> str:
    """The SHA-256 of the contents of arrays, without copying them."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
