"""The shorter examples, as their users run them or in small: on real data, with the results that they state."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tinygrad_np import Tensor
from tinygrad_np import schedules as package_schedules
from tinygrad_np.data import Dataset, load_mnist

import examples_as_run
import numpy as np
import pytest
from examples_as_run import EXAMPLES
from machine import blas_threads

import char_transformer
import gaussian_process
import graph_network
import mnist_cnn
import mnist_diffusion
import mnist_vae
import schedules
import second_order

TRAIN, TEST = load_mnist(EXAMPLES / "data/mnist")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
SCRIPTS = [
    "quickstart",
    "custom_op",
    "mnist_cnn",
    "mnist_vae",
    "mnist_diffusion",
    "char_transformer",
    "graph_network",
    "gaussian_process",
    "second_order",
    "schedules",
]
WITHOUT_TQDM = ("quickstart", "schedules", "graph_network", "gaussian_process")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """OpenBLAS's second thread would stall where the machine has other work."""
    with blas_threads(1):
        yield


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_it_shows(script: str, tmp_path: Path) -> None:
    done = examples_as_run.run(f"{script}.py", tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    assert f"`python examples/{script}.py`" in done.stdout
    assert not any(tmp_path.iterdir())


def test_the_quickstart_reads_digits(tmp_path: Path) -> None:
    done = examples_as_run.run("quickstart.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1].partition("%")[0]) >= 96.5
    assert (tmp_path / "runs/quickstart/loss_by_step.png").exists()


def test_an_operation_of_ones_own_is_proved_and_used(tmp_path: Path) -> None:
    done = examples_as_run.run("custom_op.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "agrees with finite differences, to second order" in done.stdout
    assert float(done.stdout.partition("a network with it reads ")[2].partition("%")[0]) >= 94
    assert (tmp_path / "runs/custom_op/operation.png").exists()


def test_schedules_are_drawn_each_under_the_call_that_makes_it(tmp_path: Path) -> None:
    done = examples_as_run.run("schedules.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/schedules/schedules.png").exists()
    for schedule in schedules.SCHEDULES:
        again = eval(schedules.call(schedule), vars(package_schedules).copy())
        assert again == schedule


def test_the_convolutional_network_learns_from_a_few_thousand_images() -> None:
    rng = np.random.default_rng(0)
    model = mnist_cnn.network(rng)
    few = type(TRAIN)(TRAIN.images[:6000], TRAIN.labels[:6000])
    losses = list(mnist_cnn.train(model, few, 2, rng))
    assert losses[1] < losses[0] / 3
    assert mnist_cnn.accuracy(model, TEST) > 0.96


def test_the_oscillator_is_found_from_its_equation() -> None:
    rng = np.random.default_rng(0)
    solution = second_order.Solution(rng)
    losses = second_order.train(solution, 1500, rng)
    t = np.linspace(0, second_order.END, 50)
    assert np.mean(losses[-100:]) < np.mean(losses[:10]) / 100
    assert np.max(np.abs(solution(t[:, np.newaxis]).data[:, 0] - second_order.exact(t))) < 0.35  # u goes from 1 to -0.7
    step = 1e-4  # the solution in closed form does solve the equation
    before, here, after = (second_order.exact(t + s) for s in (-step, 0, step))
    speed, acceleration = (after - before) / (2 * step), (after - 2 * here + before) / step**2
    rest = acceleration + 2 * second_order.DAMPING * speed + second_order.FREQUENCY**2 * here
    assert np.max(np.abs(rest)) < 1e-5
    assert here[0] == 1


def test_the_autoencoder_comes_to_know_digits() -> None:
    rng = np.random.default_rng(0)
    pixels = TRAIN.images[:10_000].reshape(-1, 784) / np.float32(255)
    model = mnist_vae.Autoencoder(rng)
    losses = mnist_vae.train(model, pixels, 2, rng)
    assert np.mean(losses[-20:]) < 195  # a decoder that always returns the mean image has 206
    assert mnist_vae.negative_elbo(model, TEST.images[:1000].reshape(-1, 784) / np.float32(255), rng).item() < 195


def test_the_transformer_learns_letters_from_letters_before() -> None:
    rng = np.random.default_rng(0)
    text = char_transformer.read_text()
    alphabet = sorted(set(text))
    numbers = np.array([alphabet.index(letter) for letter in text[:60_000]])
    model = char_transformer.Transformer(len(alphabet), length=32, features=32, layers=1, rng=rng)
    before = char_transformer.held_out(model, numbers[-5000:])
    assert before == pytest.approx(np.log(len(alphabet)), rel=0.05)  # a uniform prediction
    char_transformer.train(model, numbers[:-5000], 120, rng)
    assert char_transformer.held_out(model, numbers[-5000:]) < 3
    window = rng.integers(0, len(alphabet), (1, 32))
    changed = window.copy()
    changed[0, 20:] = 0
    np.testing.assert_allclose(model(window).data[0, :20], model(changed).data[0, :20], atol=1e-5)  # no look ahead
    assert len(char_transformer.write(model, window[0], 5, rng)) == 37


def test_n_grams_are_counted_right() -> None:
    """By hand: after "ab" comes "a" twice of twice, one kind of letter; the order below says a half, and so on down."""
    found = char_transformer.n_gram("ababab", "aba", letters=2, order=2)
    a = (3 + 2 * 1 / 2) / (6 + 2)  # unigrams: three of six, two kinds
    b_after_a = (3 + 1 * a) / (3 + 1)
    a_after_b = (2 + 1 * a) / (2 + 1)
    assert found == pytest.approx(-np.mean(np.log([a, b_after_a, a_after_b])))


def test_the_diffusion_model_learns_to_tell_noise_from_image() -> None:
    rng = np.random.default_rng(0)
    model = mnist_diffusion.UNet(rng)
    images, labels = mnist_diffusion.pixels(TEST.images[:256]), TEST.labels[:256]
    before = mnist_diffusion.error(model, images, labels, rng).item()
    errors = mnist_diffusion.train(model, Dataset(TRAIN.images[:4000], TRAIN.labels[:4000]), 2, rng)
    after = np.mean([mnist_diffusion.error(model, images, labels, rng).item() for _ in range(5)])
    assert 0.7 < before < 2  # noise and pixels have a mean square of about 1
    assert after < 0.4
    assert np.mean(errors[-10:]) < 0.4
    drawn = mnist_diffusion.draw_digits(model, np.arange(4), rng)
    assert len(drawn) == mnist_diffusion.STEPS + 1
    assert np.abs(drawn[-1]).max() < 1.1  # the last step adds no noise, and a pixel is from -1 to 1
    assert np.std(drawn[0]) == pytest.approx(1, abs=0.1)


def test_who_knows_the_noise_gets_the_image_back() -> None:
    """A prediction that is right at each step, since it knows the image, leads to the image."""
    image = mnist_diffusion.pixels(TEST.images[:1])

    def knowing(x: np.ndarray, steps: np.ndarray, labels: np.ndarray) -> Tensor:
        kept = mnist_diffusion.KEPT[steps[0]]
        noise = (x - np.sqrt(kept) * image) / np.sqrt(1 - kept)
        return Tensor(np.sqrt(kept) * noise - np.sqrt(1 - kept) * image)

    drawn = mnist_diffusion.draw_digits(knowing, np.arange(3), np.random.default_rng(0))
    np.testing.assert_allclose(drawn[-1], np.broadcast_to(image, (3, 28, 28)), atol=1e-5)
    for step in (20, 80):  # on the way, the image and noise of the variance that is due
        kept = mnist_diffusion.KEPT[mnist_diffusion.STEPS - step - 1]
        np.testing.assert_allclose(np.std(drawn[step] - np.sqrt(kept) * image), np.sqrt(1 - kept), rtol=0.05)


def test_guidance_goes_beyond_what_the_label_says() -> None:
    """Expecting images of 0 without a label, and of a tenth of the label with it, leads to 1 + guidance tenths."""

    def half_knowing(x: np.ndarray, steps: np.ndarray, labels: np.ndarray) -> Tensor:
        kept = mnist_diffusion.KEPT[steps[0]]
        image = np.where(labels == mnist_diffusion.UNTOLD, 0, labels / 10)[:, np.newaxis, np.newaxis]
        noise = (x - np.sqrt(kept) * image) / np.sqrt(1 - kept)
        return Tensor(np.sqrt(kept) * noise - np.sqrt(1 - kept) * image)

    labels = np.array([0, 1, 3, 9])
    drawn = mnist_diffusion.draw_digits(half_knowing, labels, np.random.default_rng(0))[-1]
    expected = np.minimum(labels / 10 * (1 + mnist_diffusion.GUIDANCE), 1)  # no pixel is above 1
    np.testing.assert_allclose(drawn, np.broadcast_to(expected[:, np.newaxis, np.newaxis], drawn.shape), atol=1e-5)


def test_a_tenth_of_the_images_is_without_a_label() -> None:
    seen = []

    def listening(x: np.ndarray, steps: np.ndarray, labels: np.ndarray) -> Tensor:
        seen.append(labels)
        return Tensor(np.zeros_like(x))

    labels = np.resize(np.arange(10), 10_000)
    mnist_diffusion.error(listening, np.zeros((10_000, 1, 1), np.float32), labels, np.random.default_rng(0))
    untold = seen[0] == mnist_diffusion.UNTOLD
    assert np.mean(untold) == pytest.approx(0.1, abs=0.01)
    np.testing.assert_array_equal(seen[0][~untold], labels[~untold])


def test_the_steps_of_the_diffusion_go_from_an_image_to_noise() -> None:
    """One step after the other: kept_t = kept_(t-1) * (1 - added_t)."""
    assert mnist_diffusion.KEPT[0] > 0.99
    assert mnist_diffusion.KEPT[-1] < 1e-3
    np.testing.assert_allclose(np.cumprod(1 - mnist_diffusion.ADDED), mnist_diffusion.KEPT, rtol=1e-12)


def test_the_club_is_that_of_zachary_and_its_camps_are_found(tmp_path: Path) -> None:
    friends = np.zeros((34, 34), int)
    friends[tuple(graph_network.PAIRS.T)] = 1
    friends += friends.T
    assert friends.sum() == 2 * 78
    assert np.trace(np.linalg.matrix_power(friends, 3)) == 6 * 45  # triangles
    assert friends[[0, 32, 33]].sum(axis=1).tolist() == [16, 12, 17]
    distances = graph_network.distances()
    assert distances.max() == 5
    np.testing.assert_array_equal(distances == 1, friends == 1)
    done = examples_as_run.run("graph_network.py", tmp_path, "--out", "here")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.partition(" of 34 members")[0].split()[-1]) >= 31
    assert (tmp_path / "here/graph.png").exists()


def test_a_graph_layer_averages_over_friends() -> None:
    """As a matrix: D^-1/2 (A + I) D^-1/2, where D has the numbers of friends."""
    friends = np.eye(34)
    friends[tuple(graph_network.PAIRS.T)] = friends[tuple(graph_network.PAIRS.T[::-1])] = 1
    degrees = friends.sum(axis=1) ** -0.5
    layer = graph_network.GraphLayer(3, 2, np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(34, 3)).astype(np.float32)
    expected = degrees[:, None] * friends * degrees @ layer.linear(x).data
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-5, atol=1e-6)


def test_the_gaussian_process_is_sure_where_it_should_be(tmp_path: Path) -> None:
    done = examples_as_run.run("gaussian_process.py", tmp_path, "--out", "here")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here/process.png").exists()
    inside, close = [], []
    for seed in range(10):
        x, y = gaussian_process.observations(np.random.default_rng(seed))
        logarithms = gaussian_process.fit(x, y)
        points = np.linspace(0, 10, 101)
        mean, deviation = gaussian_process.predict(logarithms, x, y, points)
        inside.append(np.mean(np.abs(mean - gaussian_process.truth(points)) < 1.96 * deviation))
        close.append(np.exp(logarithms["noise"]))
        assert deviation[50] > 2 * deviation[20]  # in the gap, and beside it
    assert 0.85 < np.mean(inside) <= 1
    assert np.mean(close) == pytest.approx(gaussian_process.NOISE, rel=0.15)


def test_the_slope_of_the_gaussian_process_is_that_of_finite_differences() -> None:
    """Of the mean, and of the variance of a difference of two values that are close to each other."""
    x, y = gaussian_process.observations(np.random.default_rng(0))
    logarithms = {"amplitude": 0.5, "length": 0.3, "noise": -1.5}
    points, h = np.array([-0.5, 1.0, 5.5, 9.0]), 1e-3
    mean, deviation = gaussian_process.predict(logarithms, x, y, points, slope=True)
    for i, point in enumerate(points):
        both = np.array([point - h, point + h])
        before, after = gaussian_process.predict(logarithms, x, y, both)[0]
        assert mean[i] == pytest.approx((after - before) / (2 * h), rel=1e-4)
        cross = gaussian_process.covariance(logarithms, both[:, None], x)
        known = gaussian_process.of_observations(logarithms, x)
        joint = gaussian_process.covariance(logarithms, both[:, None], both) - cross @ np.linalg.solve(known, cross.T)
        variance = joint[0, 0] + joint[1, 1] - 2 * joint[0, 1]
        assert deviation[i] == pytest.approx(np.sqrt(variance) / (2 * h), rel=1e-3)


HIDE = """
import runpy, sys
from importlib.machinery import PathFinder
hidden, find = sys.argv[1].split(","), PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.split(".")[0] in hidden else find(name, *rest)
sys.path[0] = sys.argv[2].rpartition("/")[0]
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without(packages: str, folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that does not find these packages."""
    command = [sys.executable, "-c", HIDE, packages, str(EXAMPLES / script), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("script", "packages"),
    [
        *((f"{name}.py", "tqdm") for name in SCRIPTS if name not in WITHOUT_TQDM),
        *((f"{name}.py", "matplotlib") for name in SCRIPTS if name != "quickstart"),
        *(("mnist_fcn.py", name) for name in ("matplotlib", "PIL", "sklearn", "threadpoolctl", "tqdm")),
        *(("mnist_search.py", name) for name in ("matplotlib", "PIL", "threadpoolctl", "tqdm")),
    ],
)
def test_a_missing_package_is_one_line_that_says_how_to_install_it(script: str, packages: str, tmp_path: Path) -> None:
    refused = run_without(packages, tmp_path, script)
    assert refused.returncode == 1
    assert refused.stderr == f'{script} needs {packages}: python -m pip install -e ".[examples]"\n'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "script", sorted({path.name for path in EXAMPLES.glob("*.py")} - {"quickstart.py", "graph.py", "logging_hook.py"})
)
def test_with_the_package_alone_a_script_says_in_one_line_what_to_install(script: str, tmp_path: Path) -> None:
    refused = run_without("matplotlib,PIL,sklearn,threadpoolctl,tqdm,scipy,mpi4py", tmp_path, script)
    assert refused.returncode == 1
    assert re.fullmatch(rf'{script} needs [\w, ]+: python -m pip install -e "\.\[examples\]"\n', refused.stderr)
    assert (refused.stdout, list(tmp_path.iterdir())) == ("", [])


def test_a_script_does_not_ask_for_what_it_does_not_use(tmp_path: Path) -> None:
    for script, packages in (
        ("schedules.py", "tqdm,sklearn,threadpoolctl"),
        ("graph_network.py", "tqdm,sklearn,threadpoolctl"),
        ("gaussian_process.py", "tqdm,sklearn,scipy,threadpoolctl"),
        ("mnist_search.py", "sklearn"),
    ):
        assert run_without(packages, tmp_path, script, "--help").returncode == 0


def test_the_quickstart_needs_only_the_package(tmp_path: Path) -> None:
    done = run_without("tqdm,matplotlib,sklearn,threadpoolctl,PIL", tmp_path, "quickstart.py")
    assert done.returncode == 0
    assert done.stderr == ""
    first, *_, last = done.stdout.splitlines()
    assert first == (
        'no progress bar without tqdm, no picture without matplotlib: python -m pip install -e ".[examples]"'
    )
    assert float(last.partition("%")[0]) >= 96.5
    assert list(tmp_path.iterdir()) == []


def test_scripts_leave_the_search_path_alone() -> None:
    for path in EXAMPLES.rglob("*.py"):
        assert "sys.path" not in path.read_text(encoding="utf-8"), path


def test_the_short_scripts_import_nothing_of_their_neighbours() -> None:
    neighbours = {path.stem for path in EXAMPLES.iterdir()}
    for name in SCRIPTS:
        for node in ast.walk(ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not {module.partition(".")[0] for module in modules} & neighbours, name
