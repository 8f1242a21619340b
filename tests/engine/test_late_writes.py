"""Writes that come late, in between, or from elsewhere, and that a backward pass has to notice all the same."""

import os
import signal
import threading
from typing import Any

from tinygrad_np import Tensor, differentiable, grad, optim
from tinygrad_np._machine import writes

import numpy as np
import pytest


class _Bare:
    """Memory that another library shows, without NumPy's own way back to its owner."""

    def __init__(self, array: Any) -> None:
        self.array, self.__array_interface__ = array, array.__array_interface__


@pytest.mark.parametrize("share", [lambda a: np.asarray(_Bare(a)), np.from_dlpack])
@pytest.mark.parametrize("parameter_is_owner", [True, False])
def test_a_write_is_noticed_through_memory_that_another_library_shows(share: Any, parameter_is_owner: bool) -> None:
    owner = np.ones((3, 3))
    pair = (owner, share(owner)) if parameter_is_owner else (share(owner), owner)
    if not pair[0].flags.writeable:
        pytest.skip("a read-only view is no parameter")
    w, used = Tensor(pair[0], requires_grad=True), Tensor(pair[1])
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = (x @ used).sum()
    w.grad = Tensor(np.ones((3, 3)))
    optim.SGD([w], lr=1.0).step()
    with pytest.raises(RuntimeError, match="was changed after the operation"):
        grad(y, x)


def test_minimize_computes_products_of_memory_that_another_library_shows_before_it_writes() -> None:
    rng = np.random.default_rng(0)
    start, factor = rng.normal(size=(100, 100)), rng.normal(size=(100, 100))
    results = []
    for lazily in (False, True):
        owner = start.copy()
        w, v = Tensor(np.asarray(_Bare(owner)), requires_grad=True), Tensor(factor.copy(), requires_grad=True)
        loss = (Tensor(owner) @ v).sum() * 0.01 + (w * w).sum()
        optimizer = optim.SGD([w, v], lr=0.3)
        if lazily:
            optimizer.minimize(loss)
        else:
            loss.backward()
            optimizer.step()
        results.append(v.data)
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_what_an_average_holds_is_written_by_update_and_load() -> None:
    w = Tensor(np.ones(3), requires_grad=True)
    ema = optim.EMA([w], decay=0.5)
    state = {name: np.copy(array) for name, array in ema.state_dict().items()}
    for write in (ema.update, lambda: ema.load_state_dict(state)):
        x = Tensor(np.ones(3), requires_grad=True)
        y = (x * Tensor(ema.averages[0])).sum()
        write()
        with pytest.raises(RuntimeError, match="was changed after the operation"):
            grad(y, x)


def test_a_step_that_is_interrupted_has_written() -> None:
    class Interrupted(optim.Optimizer):
        def update(self, weights: Any, gradient: Any, state: Any, **hyperparameters: Any) -> None:
            weights -= 5
            raise KeyboardInterrupt

    w, x = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2), requires_grad=True)
    y = (x * w[:]).sum()
    w.grad = Tensor(np.ones(2))
    with pytest.raises(KeyboardInterrupt):
        Interrupted([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="was changed after the operation"):
        grad(y, x)


def test_arrays_that_are_saved_or_in_a_dict_are_looked_at() -> None:
    memory = np.ones(2)
    saving = differentiable(lambda g, y, x, *, saved: g * saved)(lambda x: (x * memory, memory))
    by_name = differentiable(lambda g, y, x, *, options: g * options["k"])(lambda x, options: x * options["k"])
    for function in (saving, lambda x: by_name(x, options={"k": memory})):
        w, x = Tensor(memory, requires_grad=True), Tensor(np.ones(2), requires_grad=True)
        y = function(x).sum()
        w.grad = Tensor(np.ones(2))
        optim.SGD([w], lr=0.1).step()
        with pytest.raises(RuntimeError, match="was changed after the operation"):
            grad(y, x)


def test_a_signal_may_be_handled_in_the_middle_of_a_write() -> None:
    assert writes._lock.acquire()
    try:
        Tensor(np.ones(1), requires_grad=True)._changed()  # as a handler does it, in the same thread
    finally:
        writes._lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_may_write_although_another_thread_was_writing_when_it_was_forked() -> None:
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with writes._lock:
            ready.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # which ends the child if it hangs
        Tensor(np.ones(1), requires_grad=True)._changed()
        os._exit(0)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
