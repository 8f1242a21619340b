"""The programs run on one thread: their products are small, and a second thread would stall where others need it."""

from collections.abc import Iterator

import pytest
from machine import blas_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with blas_threads(1):
        yield
