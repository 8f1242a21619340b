"""Feed random bytes to the readers of files, states and options: only documented errors may be raised.

    export PYTHONPATH=examples                         # options are those of examples/mnist_fcn.py
    python tests/training/fuzz.py                      # a million inputs, guided by coverage; needs atheris
    python tests/training/fuzz.py --target read_idx --inputs 100000

It starts from valid inputs, in `SEEDS`, and allows 1 GB of memory and 10 s for an input. `test_fuzz.py` does less of
it, with Hypothesis.
"""

import argparse
import atexit
import contextlib
import gzip
import io
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tinygrad_np import checkpoint, data, nn, optim, serialization

import numpy as np

import mnist_fcn
from mnist_study import command_line

PLACE = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)
RNG = np.random.default_rng(0)
MODEL = nn.Linear(2, 2, rng=RNG)
OPTIMIZER = optim.SGD(MODEL.parameters(), lr=0.1, momentum=0.9)


def read_idx(content: bytes) -> None:
    (PLACE / "file").write_bytes(content)
    with contextlib.suppress(ValueError):
        array = data.read_idx(PLACE / "file")
        assert array.nbytes <= len(content) * 1100  # what gzip can make of it


def load_mnist(content: bytes) -> None:
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    for name, part in zip(names, (content + b"\xff\xfe" * 3).split(b"\xff\xfe"), strict=False):
        (PLACE / name).write_bytes(part)
    with contextlib.suppress(ValueError):
        train, _ = data.load_mnist(PLACE)
        assert len(train.images) == len(train.labels)


def load_weights(content: bytes) -> None:
    (PLACE / "file").write_bytes(content)
    with contextlib.suppress(ValueError):
        arrays, _ = serialization.load(PLACE / "file")
        assert sum(array.nbytes for array in arrays.values()) <= len(content)
        load_state(arrays)


def load_checkpoint(content: bytes) -> None:
    """As if someone had made a checkpoint with a right digest."""
    folder = PLACE / "checkpoints"
    folder.mkdir(exist_ok=True)
    path = folder / "step-0000000001.safetensors"
    with contextlib.suppress(ValueError):
        text = content.decode()
        arrays = {f"model/{name}": array for name, array in MODEL.state_dict().items()}
        serialization.save(path, arrays, {"training": text})
        checkpoint.Checkpoints(folder, model=MODEL, rng=RNG).resume()


def load_state(state: dict[str, object] | bytes) -> None:
    """A state dict, or the bytes of one: names, kinds and shapes."""
    if isinstance(state, bytes):
        words = state.split(b"\0")
        kinds = "?bhilqBHILQefdgFDOSUmM"
        state = {
            word[1:].decode(errors="replace"): np.zeros(tuple(word[:3]), kinds[len(word) % len(kinds)])
            if word[:1] < b"\x08"
            else [word, [1]]
            for word in words
        }
    for part in (MODEL, OPTIMIZER):
        before = {name: array.tobytes() for name, array in part.state_dict().items()}
        try:
            part.load_state_dict(state)  # type: ignore[arg-type]
        except ValueError:
            assert before == {name: array.tobytes() for name, array in part.state_dict().items()}


def options(content: bytes) -> None:
    words = [word.decode(errors="surrogateescape") for word in content.split(b"\0")]
    out, err = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with out, err, contextlib.suppress(SystemExit):
        mnist_fcn.parse(words)


def _idx(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(int(np.prod(shape)))


def _saved() -> bytes:
    serialization.save(PLACE / "seed", MODEL.state_dict(), {"note": "of a seed"})
    return (PLACE / "seed").read_bytes()


BOMB = gzip.compress(_idx((100,))[:-100] + bytes(30_000_000))
PROMISE = struct.pack(">BBBB3I", 0, 0, 14, 3, *(3 * [2**32 - 1]))
TRAINING = (
    '{"format": 3, "step": 1, "record": null, "settings": {}, '
    '"generators": {"rng": {"bit_generator": "PCG64", "state": {"state": 1, "inc": 3}, '
)
SEEDS: dict[Callable[[bytes], None], list[bytes]] = {
    read_idx: [_idx((2, 3, 3)), _idx((4,)), gzip.compress(_idx((2, 2))), PROMISE, gzip.compress(PROMISE), BOMB],
    load_mnist: [b"\xff\xfe".join([_idx((2, 3, 3)), _idx((2,)), _idx((1, 3, 3)), _idx((1,))])],
    load_weights: [_saved(), b'\x02\0\0\0\0\0\0\0{}', struct.pack("<Q", 2**63) + b"{}"],
    load_checkpoint: [(TRAINING + '"has_uint32": 0, "uinteger": 0}}}').encode(), b"[]", b'{"step": "x"}'],
    load_state: [b"\x02\x02\0weight\0\x02bias", b"abc\0def"],
    options: [b"--epochs\0002\0--lr\x000.5\0--quiet", b"--test\0file", b"--predict\0a\0b", b"--resume\0--help"],
}  # fmt: skip
TARGETS = {target.__name__: target for target in SEEDS}


def _fuzz(name: str, inputs: int) -> None:
    import resource

    import atheris

    for module in (data, serialization, checkpoint, nn.module, mnist_fcn, command_line):
        for thing in list(vars(module).values()):
            if getattr(thing, "__module__", None) == module.__name__ and hasattr(thing, "__code__"):
                setattr(module, thing.__name__, atheris.instrument_func(thing))
    corpus = PLACE / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS[TARGETS[name]]):
        (corpus / str(i)).write_bytes(seed)
    resource.setrlimit(resource.RLIMIT_CPU, (1800, 1800))
    limits = ["-rss_limit_mb=1024", "-malloc_limit_mb=512", "-timeout=10", "-max_len=100000", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], f"-runs={inputs}", *limits, f"-artifact_prefix={PLACE}/", str(corpus)], TARGETS[name])
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, help="one of them (default: all, by turns)")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all (default %(default)s)")
    options = parser.parse_args()
    if options.target:
        _fuzz(options.target, options.inputs)
    for name in TARGETS:
        each = -(-options.inputs // len(TARGETS))
        command = [sys.executable, __file__, "--target", name, "--inputs", str(each)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line or "peak_rss" in line]
        print(f"{name}: {'; '.join(said)}", flush=True)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
