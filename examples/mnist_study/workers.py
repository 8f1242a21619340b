"""The processes in which a search trains its candidates: those of this machine, or of an MPI launcher."""

import multiprocessing
import os
import signal
import threading
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

from threadpoolctl import threadpool_limits


def make_executor(kind: str, workers: int) -> futures.Executor:
    """An executor of `workers` processes, or, if `kind` is "mpi", of as many as mpiexec has started.

    Raises:
        ValueError: there is no MPI, or no mpiexec has started this process.
    """
    if kind == "mpi":
        try:  # an optional extra, which needs an MPI library
            from mpi4py import MPI
            from mpi4py.futures import MPIPoolExecutor
        except (ImportError, RuntimeError) as error:
            raise ValueError(f'--executor mpi: python -m pip install -e ".[mpi]" brings mpi4py ({error})') from error
        if MPI.COMM_WORLD.Get_size() == 1:
            raise ValueError("--executor mpi: start it with mpiexec -n 3 python -m mpi4py.futures, for 2 workers")
        return MPIPoolExecutor()
    return Workers(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)


class Workers(futures.ProcessPoolExecutor):
    """Processes that ignore ctrl-C: their parent handles it."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.started: list[multiprocessing.process.BaseProcess] = []

    def submit(self, *arguments: Any, **keywords: Any) -> Any:
        others = set(multiprocessing.active_children())
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a process that is started now inherits it
        try:
            return super().submit(*arguments, **keywords)
        finally:
            signal.signal(signal.SIGINT, before)
            self.started += set(multiprocessing.active_children()) - others

    def check(self) -> None:
        """Raise BrokenProcessPool if a process has ended: the executor may not watch the last one before a result."""
        if connection.wait([process.sentinel for process in self.started], timeout=0):
            raise BrokenProcessPool("a worker process has ended")


def _end_with_parent() -> None:
    """Make this process exit when its parent does, even if that is killed."""
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def use_one_core() -> None:
    """Limit this process's matrix products to one thread: of trainings side by side, each has a core."""
    threadpool_limits(1)


def stop(executor: futures.Executor) -> None:
    """Terminate the workers at once; their results are in files.

    Python's executor is waited for: if this process exits while the executor's thread ends, both use one pipe, which
    one of them has closed, and Python prints a traceback.
    """
    for process in multiprocessing.active_children():
        process.terminate()
    executor.shutdown(wait=isinstance(executor, Workers), cancel_futures=True)
