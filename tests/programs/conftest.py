"""The programs run on one thread: their products are small, and a second thread would stall where others need it."""

from collections.abc import Iterator

from tinygrad_np import get_num_threads, set_num_threads

import pytest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)
