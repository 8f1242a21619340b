"""The search as its users run it: real digits, real processes, killed and resumed."""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import examples_as_run
import pytest
from examples_as_run import GUARD, started, wait_until, write_subset

import mnist_search
from mnist_fcn import Settings
from mnist_study.candidates import train_side_by_side
from mnist_study.workers import make_executor, stop

run = functools.partial(examples_as_run.run, "mnist_search.py")
pytestmark = pytest.mark.slow
# 2 + 2 + 3 candidates, of which the last and the first of a step are the same as one of an earlier step
SMALL = ("--data", "data", "--validation", 500, "--epochs", 2, "--lr", "0.005,0.05", "--hidden", "8,32",
         "--weight-decay", "0.01,0.001,0")  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("search")
    write_subset(folder / "data")
    return folder, run(folder, *SMALL, "--out", "out", "--report")


def records(folder: Path) -> dict[str, dict[str, object]]:
    """What the candidates in a folder came to, without the time that it took.

    A worker that is killed before it writes leaves an empty file, which is not removed: it may be another's in use.
    """
    paths = [path for path in (folder / "candidates").iterdir() if path.name[0] != "." or path.stat().st_size]
    found = {path.name: json.loads(path.read_bytes()) for path in paths}
    return {name: {key: value for key, value in record.items() if key != "seconds"} for name, record in found.items()}


def test_the_best_of_each_step_goes_on_to_the_next(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, finished = searched
    assert finished.returncode == 0, finished.stderr
    steps = json.loads((folder / "out/search.json").read_bytes())["steps"]
    assert [step["parameter"] for step in steps] == ["lr", "hidden", "weight_decay"]
    best = {"lr": 0.005, "hidden": 8, "weight_decay": 0.0}  # the smallest, until their turn comes
    for step in steps:
        accuracies = [candidate["validation_accuracy"][-1] for candidate in step["candidates"]]
        assert accuracies[step["best"]] == max(accuracies)
        for candidate in step["candidates"]:
            others = {name: value for name, value in best.items() if name != step["parameter"]}
            assert others.items() <= candidate["settings"].items()
            assert len(candidate["train_loss"]) == len(candidate["validation_loss"]) == 2
        best[step["parameter"]] = step["candidates"][step["best"]]["settings"][step["parameter"]]
    assert best["lr"] == 0.05
    assert best["hidden"] == 32
    assert len(records(folder / "out")) == 5  # of 7: what is the same is trained once
    assert finished.stdout.count("<- best") == 3
    assert finished.stderr == ""  # no bar without a terminal


def test_it_ends_with_the_command_of_the_winner(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, finished = searched
    line = finished.stdout.splitlines()[-1]
    winner = r"python \S*examples/mnist_fcn.py --hidden 32 --epochs 30 --batch-size 64 --lr 0.05 --decay 0.5"
    assert re.match(winner, line)
    command = line.replace("python", f"{sys.executable} -W error", 1).replace("--epochs 30", "--epochs 1")
    final = subprocess.run(command + " --quiet --out final", shell=True, cwd=folder, capture_output=True, text=True)
    assert final.returncode == 0, final.stderr
    page = (folder / "final/report.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 3 + 7
    assert "Step 3: weight decay" in page


def test_pictures_and_report(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, finished = searched
    names = {
        "step-1-lr.png",
        "step-2-hidden.png",
        "step-3-weight_decay.png",
        "report.html",
        "search.json",
        "candidates",
    }
    assert {path.name for path in (folder / "out").iterdir()} == names
    page = (folder / "out/report.html").read_text(encoding="utf-8")
    assert page.count("<img src='data:image/png") == page.count("<source media=") == 3
    assert page.count("<tr class=best>") == 3
    winner, again = re.findall("<pre>(.*?)</pre>", re.sub("</?span.*?>", "", page), flags=re.DOTALL)
    assert winner == finished.stdout.splitlines()[-1]
    assert "--weight-decay 0.01,0.001,0" in again
    assert page.index("The winner") < page.index(winner[:30]) < page.index("Step 1")


def test_a_longer_list_trains_only_what_is_new(searched: tuple[Path, object]) -> None:
    folder, _ = searched
    before = {path: path.stat().st_mtime_ns for path in (folder / "out/candidates").iterdir()}
    longer = run(folder, *SMALL, "--out", "out", "--stage-length", "500,1000", "--quiet")
    assert longer.returncode == 0, longer.stderr
    after = {path: path.stat().st_mtime_ns for path in (folder / "out/candidates").iterdir()}
    assert before.items() < after.items()
    assert len(after) == len(before) + 1
    assert {path.name for path in (folder / "out").glob("step-4*")} == {"step-4-stage_length.png"}
    shutil.copytree(folder / "out", folder / "fewer steps")
    fewer = run(folder, *SMALL, "--out", "fewer steps", "--lr", 0.05, "--quiet")
    assert fewer.returncode == 0, fewer.stderr
    assert sorted(path.name for path in (folder / "fewer steps").glob("*.png")) == [
        "step-1-hidden.png", "step-2-weight_decay.png"]  # fmt: skip


def test_two_searches_in_one_folder_come_to_the_same(searched: tuple[Path, object]) -> None:
    folder, _ = searched
    command = ("mnist_search.py", folder, *SMALL, "--out", "shared", "--quiet")
    with started(*command) as first:
        wait_until((folder / "shared/candidates").exists, first)
        with started(*command) as second:
            tables = [process.communicate()[0].split(" s in all")[0] for process in (first, second)]
    assert first.returncode == second.returncode == 0
    chosen = [re.findall("(.*?) +[0-9.]+  <- best", table) for table in tables]
    assert chosen[0] == chosen[1]
    assert records(folder / "shared").items() <= records(folder / "out").items()


def test_a_search_and_a_training_do_not_share_a_folder(searched: tuple[Path, object]) -> None:
    folder, _ = searched
    refused = examples_as_run.run("mnist_fcn.py", folder, "--data", "data", "--out", "out")
    assert "out holds the results of a run; give another --out" in refused.stderr
    examples_as_run.run("mnist_fcn.py", folder, "--data", "data", "--out", "trained", "--epochs", 1, "--hidden", 8)
    refused = run(folder, *SMALL, "--out", "trained", "--report")
    assert refused.stderr == "mnist_search.py: trained holds a trained model; give another --out\n"


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes that train the candidates of a search, oldest first. It has another child: the resource tracker."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one of them has just ended
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


@pytest.mark.parametrize("results", [None, 0, 1, 3])  # killed at once; when the workers are there; after so many more
def test_a_killed_search_is_resumed_to_the_same_results(searched: tuple[Path, object], results: int | None) -> None:
    folder, _ = searched
    out = folder / f"killed-{results}"

    def count() -> int:
        return len(list(out.glob("candidates/*.json")))

    for _ in range(3):
        before = count()
        with started("mnist_search.py", folder, *SMALL, "--out", out) as process:

            def far_enough(process: subprocess.Popen[str] = process, before: int = before) -> bool:
                if process.poll() is not None or results is None:
                    return True
                return bool(workers(process)) and count() >= before + results

            wait_until(far_enough, process)
            process.kill()  # the parent alone; its workers have to notice
            process.communicate()
            wait_until_none_is_left(process.pid)
    (out / "candidates").mkdir(parents=True, exist_ok=True)
    (out / "candidates/.half.json.1").write_bytes(b'{"train_loss": [')  # as of a worker that was killed while it wrote
    resumed = run(folder, *SMALL, "--out", out)
    assert resumed.returncode == 0, resumed.stderr
    expected = {name: record for name, record in records(folder / "out").items() if "stage_length=500" in name}
    assert records(out) == expected


def wait_until_none_is_left(group: int) -> None:
    deadline = time.monotonic() + GUARD
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError("worker processes go on after their parent has been killed")


def takes_interrupts(process: subprocess.Popen[str]) -> bool:
    """Whether it does not ignore ctrl-C, as it does while it starts a worker."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    ignored = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)
    return not ignored >> (signal.SIGINT - 1) & 1


@pytest.mark.parametrize("results", [0, 1])  # before the workers are up, most likely, and after
def test_an_interrupted_search_says_how_to_go_on(searched: tuple[Path, object], results: int) -> None:
    folder, _ = searched
    out = folder / f"interrupted-{results}"
    options = (*SMALL, "--epochs", 10_000, "--workers", 2, "--out", out)
    with started("mnist_search.py", folder, *options) as process:
        wait_until(lambda: len(workers(process)) == 2 and takes_interrupts(process), process)
        wait_until(lambda: len(list(out.glob("candidates/*.json"))) >= results, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, errors = process.communicate(timeout=GUARD)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.endswith("mnist_search.py: interrupted\n")
    assert output.endswith(f"candidates are trained or begun in {out}; the same command goes on from there\n")


@pytest.mark.parametrize("which", [0, -1])
def test_a_killed_worker_is_reported(searched: tuple[Path, object], which: int) -> None:
    folder, _ = searched
    out = f"worker{which}"
    options = (*SMALL, "--epochs", 10_000, "--workers", 2, "--out", out, "--quiet")
    with started("mnist_search.py", folder, *options) as process:
        wait_until(lambda: len(list((folder / out / "candidates").glob("*.json"))) == 2, process)
        os.kill(workers(process)[which], signal.SIGKILL)
        _, errors = process.communicate(timeout=GUARD)
    assert process.returncode == 1
    assert errors == "mnist_search.py: a worker process was killed, or ran out of memory\n"


def test_the_end_of_every_worker_is_noticed_at_once() -> None:
    for which in (0, 1, 2):
        threads = threading.active_count()
        with make_executor("processes", 3) as executor:
            for _ in range(3):
                executor.submit(time.sleep, GUARD)
            executor.check()  # all are there
            executor.started[which].kill()
            executor.started[which].join()
            with pytest.raises(BrokenProcessPool, match="a worker process has ended"):
                executor.check()
            stop(executor)
            assert threading.active_count() == threads  # none that could meet the end of the process


def test_another_search_is_refused_with_the_difference(searched: tuple[Path, object]) -> None:
    folder, _ = searched
    before = records(folder / "out")
    refused = run(folder, *SMALL, "--out", "out", "--epochs", 3, "--decay", 0.9)
    assert refused.returncode == 1
    assert refused.stderr == (
        "mnist_search.py: out holds a search with other settings: epochs is 2 there, 3 here;"
        " decay is 0.5 there, 0.9 here; give another --out\n"
    )
    write_subset(folder / "fewer", classes=9)
    refused = run(folder, *SMALL, "--out", "out", "--data", "fewer")
    assert re.search(r"images is 3000, SHA-256 \w+ there, 3000, SHA-256 \w+ here; give another", refused.stderr)
    assert records(folder / "out") == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged; delete it to train this candidate again"),
        ("[]", "damaged; delete it"),
        ('{"settings": {}}', "damaged; delete it"),
        ("half", "its metrics are not as many numbers each"),
    ],
)
def test_a_damaged_result_is_refused_and_kept(searched: tuple[Path, object], content: str, message: str) -> None:
    folder, _ = searched
    file = next(path for path in sorted((folder / "out/candidates").iterdir()) if "lr=0.005" in path.name)
    good = file.read_text(encoding="utf-8")
    if content == "half":
        content = json.dumps(json.loads(good) | {"train_loss": [0.1]})
    try:
        file.write_text(content, encoding="utf-8")
        refused = run(folder, *SMALL, "--out", "out", "--quiet")
        assert refused.returncode == 1
        assert f"{file.relative_to(folder)}: " in refused.stderr
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
        assert file.read_text(encoding="utf-8") == content
    finally:
        file.write_text(good, encoding="utf-8")


def test_what_diverges_is_not_chosen(searched: tuple[Path, object]) -> None:
    folder, _ = searched
    settings = ("--data", "data", "--validation", 500, "--epochs", 1, "--hidden", 8, "--weight-decay", 0, "--quiet")
    finished = run(folder, *settings, "--lr", "1e30,0.5", "--out", "diverging", "--report")
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"1e\+30 +diverged +diverged +diverged +diverged", finished.stdout)
    assert "--lr 0.5" in finished.stdout.splitlines()[-1]
    failed = run(folder, *settings, "--lr", "1e30,1e31", "--out", "diverging")
    assert failed.returncode == 1
    assert "all candidates for lr diverge, the first so: the loss is" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", ""], "argument --lr: must be values with commas between them, as 1,2,3, not ''"),
        (["--lr", "0.1,,0.5"], "argument --lr: must be values with commas between them"),
        (["--lr", "0.1,fast"], "argument --lr: must be a finite number of at least 0, not 'fast'"),
        (["--hidden", "64,0"], "argument --hidden: must be a positive integer, not '0'"),
        (["--weight-decay", "0,0.1,0.0"], "argument --weight-decay: 0.0 is there twice in '0,0.1,0.0'"),
        (["--lr", "1", "--hidden", "1", "--weight-decay", "1"], "nothing to search: give several candidates to one of"),
        (["--validation", "60000"], "--validation 60000: there are only 60000 images"),
        (["--data", "nowhere"], "nowhere: there is neither"),
        (["--out", "file"], "--out file is a file, not a folder"),
        (["--out", "text"], "text/search.json: not the record of a search, or a damaged one"),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "file").write_text("no search", encoding="utf-8")
    (tmp_path / "text").mkdir()
    (tmp_path / "text/search.json").write_text("no search", encoding="utf-8")
    refused = run(tmp_path, *arguments)
    assert refused.returncode in (1, 2)
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "runs").exists()


def test_the_final_training_refuses_what_is_no_search_before_it_starts(tmp_path: Path) -> None:
    refused = examples_as_run.run("mnist_fcn.py", tmp_path, "--report", "--search", "nowhere")
    assert refused.returncode == 1
    assert "nowhere/search.json" in refused.stderr
    assert list(tmp_path.iterdir()) == []


class OneAfterTheOther(futures.Executor):
    """The simplest executor there is."""

    def submit(self, function, /, *arguments, **keywords):  # type: ignore[no-untyped-def]
        future: futures.Future[object] = futures.Future()
        future.set_result(function(*arguments, **keywords))
        return future


@pytest.mark.parametrize("make", [OneAfterTheOther, lambda: futures.ThreadPoolExecutor(2)])
def test_any_executor_will_do(searched: tuple[Path, object], tmp_path: Path, make: object) -> None:
    folder, _ = searched
    (tmp_path / "candidates").mkdir()
    candidates = [Settings(epochs=2, hidden=8, weight_decay=0.0, lr=lr) for lr in (0.005, 0.05)]

    class Bar:
        n = 0

        def update(self, count: int) -> None:
            self.n += count

    bar = Bar()
    with make() as executor:
        train = functools.partial(mnist_search.train_candidate, folder / "data", 500)
        trained = train_side_by_side(candidates, executor, train, tmp_path, bar)
    assert bar.n == 4
    assert [record["settings"]["lr"] for record in trained] == [0.005, 0.05]
    assert records(tmp_path).items() <= records(folder / "out").items()
