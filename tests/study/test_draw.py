"""The page to draw on as a file: its weights, its size, its content security policy, and the command that writes it."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

from tinygrad_np import serialization

import examples_as_run
import numpy as np
import pytest

import mnist_fcn
from mnist_study import draw
from mnist_study.application import LARGEST_PAGE, SURE, draw_page
from mnist_study.models import load_model

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def network(hidden: int, seed: int = 0) -> mnist_fcn.Sequential:
    return mnist_fcn.network(784, hidden, 10, np.random.default_rng(seed))


def decoded(layer: dict[str, object]) -> np.ndarray:
    """The weights in a layer of the page, by the rule that `draw.encoded` states."""
    text, scale = str(layer["weight"]), np.array(layer["scale"])
    integers = [64 * BASE64.index(text[i]) + BASE64.index(text[i + 1]) - 2048 for i in range(0, len(text), 2)]
    return np.array(integers).reshape(-1, len(scale)) * scale


def network_of(page: str) -> dict[str, object]:
    return json.loads(re.search(r'id="network">(.*?)</script>', page).group(1))


def test_weights_are_as_precise_as_said() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((30, 7)).astype(np.float32) * np.float32([1e-20, 1e-3, 0.1, 1, 5, 1e20, 0])
    restored = decoded(draw.encoded(weight, np.zeros(7, np.float32)))
    largest = np.abs(weight).max(axis=0)
    assert np.all(np.abs(restored - weight) <= largest * (0.5 / 2047 + 1e-6))
    assert np.all(restored[:, 6] == 0)


def test_the_page_is_below_two_megabytes_with_the_default_network() -> None:
    page = draw_page(network(mnist_fcn.Settings().hidden), {})
    print(f"{len(page):,} bytes")
    assert len(page) < LARGEST_PAGE == 2_000_000


def test_the_page_holds_the_network_and_what_it_is() -> None:
    model = network(12)
    page = draw_page(model, {"image_shape": (14, 56), "test_accuracy": [0.5, 0.75]}).decode()
    inside = network_of(page)
    assert (inside["shape"], inside["sure"]) == ([14, 56], SURE)
    for layer, name in zip(inside["layers"], ("0", "2"), strict=True):
        weight = model.state_dict()[f"{name}.weight"]
        assert np.abs(decoded(layer) - weight).max() < 3e-4 * np.abs(weight).max()
        assert np.allclose(layer["bias"], model.state_dict()[f"{name}.bias"])
    assert "a network of 784 pixels, 12 hidden units and 10 classes, with a test accuracy of 75.00%." in page


def test_only_the_pages_own_script_and_style_are_allowed_and_nothing_is_loaded() -> None:
    page = draw_page(network(4), {}).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    for source, tag in (("script-src", "script"), ("style-src", "style")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert allowed[source] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert not re.search(r"\b(src|href|srcset|style|on\w+)=", page.split("<script")[0])
    assert "http:" not in page
    assert "https:" not in page


def test_text_in_the_page_is_escaped() -> None:
    weights = network(2).state_dict()
    about = "</p><script>alert(1)</script> $network"
    page = draw.page(weights, (28, 28), 0.9, about).decode()
    assert html.escape(about) in page
    assert page.count("<script") == 2


@pytest.mark.slow
def test_the_command_writes_the_page_beside_the_model_or_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs/mine").mkdir(parents=True)
    serialization.save(tmp_path / "runs/mine/model.safetensors", network(8).state_dict())
    serialization.save(tmp_path / "other", network(8, seed=1).state_dict())
    written = examples_as_run.run("mnist_fcn.py", tmp_path, "--page")
    page = tmp_path / "runs/mine/draw.html"
    assert written.stderr == ""
    assert written.stdout == (
        f"open runs/mine/draw.html in a browser, and draw ({page.stat().st_size / 1e6:.2f} MB, with the network of"
        " runs/mine/model.safetensors)\n"
    )
    assert page.read_bytes() == draw_page(network(8), {})
    examples_as_run.run("mnist_fcn.py", tmp_path, "--page", "--model", "other", "--out", "there")
    assert (tmp_path / "there/draw.html").read_bytes() == draw_page(network(8, seed=1), {})


@pytest.mark.slow
def test_a_training_leaves_the_page_of_its_network_unless_that_is_large(tmp_path: Path) -> None:
    examples_as_run.write_subset(tmp_path / "data")
    for hidden, found in ((8, True), (1300, False)):
        trained = examples_as_run.run(
            "mnist_fcn.py", tmp_path, "--data", "data", "--epochs", 1, "--hidden", hidden, "--out", "out", "--overwrite"
        )
        assert trained.returncode == 0, trained.stderr
        page = tmp_path / "out/draw.html"
        assert page.exists() == found  # the second time, that of the first network is gone
        if found:
            model, record = load_model(tmp_path / "out/model.safetensors", mnist_fcn.network)
            assert page.read_bytes() == draw_page(model, record)
    asked = examples_as_run.run("mnist_fcn.py", tmp_path, "--page", "--model", "out/model.safetensors")
    assert asked.returncode == 0, asked.stderr
    assert page.stat().st_size > LARGEST_PAGE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no model of this script under runs/; train one first, or give its file with --model"),
        (["--model", "nowhere"], "nowhere: no such file"),
        (["--model", "text"], "text: not a safetensors file"),
        (["--model", "cnn"], "cnn: not a network of this script, two linear layers; it holds 0.weight (8, 1, 3, 3)"),
        (["--model", "small"], "small: a network of 20 pixels, not of images of (28, 28)"),
        (["--model", "good", "--out", "text"], "--out text is a file, not a folder"),
        (["--model", "good", "--out", "text/below"], "--out text/below: cannot write there: Not a directory"),
        (["--model", "taken/good"], "taken/draw.html: cannot write there: cannot replace what is not a file; give"),
        (["--resume"], "--resume and --checkpoint-every: they are for training, not for --test, --predict and --page"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "text").write_text("not a model", encoding="utf-8")
    (tmp_path / "taken/draw.html").mkdir(parents=True)
    for file in ("good", "taken/good"):
        serialization.save(tmp_path / file, network(4).state_dict())
    serialization.save(tmp_path / "cnn", {"0.weight": np.ones((8, 1, 3, 3), np.float32)})
    serialization.save(tmp_path / "small", mnist_fcn.network(20, 4, 10, np.random.default_rng(0)).state_dict())
    refused = examples_as_run.run("mnist_fcn.py", tmp_path, "--page", *arguments)
    assert refused.returncode in (1, 2)
    assert message in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.glob("**/draw.html"))[1:]
