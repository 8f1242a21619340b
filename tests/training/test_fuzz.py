"""Random bytes in files, states and options raise only documented errors; `fuzz.py` tries a million inputs."""

import tracemalloc
from collections.abc import Callable

import fuzz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=9)), max_size=4)


def edited(seed: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Bytes put in, in the place of others, or left out, at some places."""
    for place, kind, put in edits:
        at = min(place, len(seed))
        seed = seed[:at] + (b"" if kind == 3 else put) + seed[at + (0 if kind == 0 else max(1, len(put))) :]
    return seed


@pytest.mark.parametrize("target", fuzz.SEEDS, ids=lambda target: target.__name__)
@given(data=st.data(), edits=EDITS)
@settings(max_examples=200)
def test_only_the_errors_that_are_documented_come_out(
    target: Callable[[bytes], None], data: st.DataObject, edits: list[tuple[int, int, bytes]]
) -> None:
    target(edited(data.draw(st.sampled_from(fuzz.SEEDS[target]) | st.binary(max_size=60)), edits))


def test_another_error_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(path: object) -> None:
        raise KeyError(path)

    monkeypatch.setattr(fuzz.data, "read_idx", careless)
    with pytest.raises(KeyError):
        fuzz.read_idx(b"")


def test_a_bomb_and_a_promise_take_no_memory() -> None:
    """30 MB behind a header of 100 bytes, and a header of 2 ** 99 bytes before nothing."""
    for content in (fuzz.BOMB, fuzz.PROMISE):
        tracemalloc.start()
        fuzz.read_idx(content)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5_000_000
