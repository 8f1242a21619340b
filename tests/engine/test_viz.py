"""Pictures of computation graphs: what stands in their source, and that Graphviz draws it."""

import re
import runpy
import shutil
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, cross_entropy, differentiable, grad, nn, viz

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

EXAMPLES = Path(tinygrad_np.__file__).parent.parent / "examples"
SVG = "{http://www.w3.org/2000/svg}"
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def nodes(source: str) -> dict[str, str]:
    """The label of each node, by its name."""
    lines = [line.strip() for line in source.splitlines() if "[label=" in line]
    return {line.split()[0]: line.split('label="')[1].split('", ')[0] for line in lines}


def edges(source: str) -> list[tuple[str, str]]:
    """The labels at both ends of each edge."""
    labels = nodes(source)
    return [
        tuple(labels[end] for end in line.split(" -> "))
        for line in source.replace("  ", "").splitlines()
        if "->" in line
    ]


def network() -> tuple[nn.Module, Tensor]:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.ReLU(), nn.Linear(4, 2, rng=rng))
    return model, cross_entropy(model(np.ones((5, 3), np.float32)), np.zeros(5, int))


def test_the_graph_of_a_network() -> None:
    model, loss = network()
    assert edges(viz.graph(loss, model)) == [
        (r"float32[5, 3]", r"linear\nfloat32[5, 4]"),
        (r"0.weight\nfloat32[3, 4]", r"linear\nfloat32[5, 4]"),
        (r"0.bias\nfloat32[4]", r"linear\nfloat32[5, 4]"),
        (r"linear\nfloat32[5, 4]", r"relu\nfloat32[5, 4]"),
        (r"relu\nfloat32[5, 4]", r"linear\nfloat32[5, 2]"),
        (r"2.weight\nfloat32[4, 2]", r"linear\nfloat32[5, 2]"),
        (r"2.bias\nfloat32[2]", r"linear\nfloat32[5, 2]"),
        (r"linear\nfloat32[5, 2]", r"cross_entropy\nfloat32[]"),
        (r"int64[5]", r"cross_entropy\nfloat32[]"),
    ]


def test_the_same_computation_gives_the_same_text() -> None:
    (model, loss), (other, again) = network(), network()
    assert viz.graph(loss, model) == viz.graph(again, other)
    assert viz.graph(loss, model) == viz.graph(loss, dict(model.named_tensors()))
    assert "layers" not in viz.graph(loss)


def test_each_tensor_and_array_is_one_node() -> None:
    x, array = Tensor([1.0, 2.0], requires_grad=True), np.ones(2, np.float32)
    source = viz.graph(x * array + x * array + Tensor(array) * x)
    assert list(nodes(source).values()).count("float32[2]") == 3  # x, the array, and the Tensor of it
    assert len(edges(source)) == 10
    assert edges(viz.graph(x * x)) == [("float32[2]", r"multiply\nfloat32[2]")] * 2


def test_numbers_indices_and_keywords_stand_with_their_operation() -> None:
    x = Tensor(np.ones((3, 4)), requires_grad=True)

    def title(y: Tensor) -> str:
        return list(nodes(viz.graph(y)).values())[-1].split(r"\n")[0]

    assert title(2.5 * x) == "multiply(2.5, ·)"
    assert title(x * np.array(2.5)) == "multiply(·, 2.5)"
    assert title(x.sum(axis=(0, 1), keepdims=True)) == "sum(·, axis=(0, 1), keepdims=True)"
    assert title(x.sum(axis=(0,))) == "sum(·, axis=(0,))"
    assert title(x[1]) == "[1]"
    assert title(x[..., 1:, None]) == "[..., 1:, None]"
    assert title(x[::2, np.array([0, 1, 1])]) == "[::2, int64[3]]"
    assert title(x[np.array([0, 1, 1])]) == "[int64[3]]"
    assert title(x.reshape((1,) * 11 + (12,))) == "reshape(·, shape=(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 12))"
    assert title(x * 10**40) == "multiply(·, 10000000000000000000000000000…)"


def test_computed_tensors_can_be_named() -> None:
    x = Tensor([1.0], requires_grad=True)
    hidden = x * 2
    assert list(nodes(viz.graph(hidden + 1, {"hidden": hidden, "in": x})).values()) == [
        r"in\nfloat32[1]",
        r"hidden\nmultiply(·, 2)\nfloat32[1]",
        r"add(·, 1)\nfloat32[1]",
    ]


def test_a_tensor_that_was_not_computed_stands_alone() -> None:
    assert list(nodes(viz.graph(Tensor([1.0]), {})).values()) == ["float32[1]"]
    x = Tensor([1.0], requires_grad=True)
    assert list(nodes(viz.graph(x, {"x": x})).values()) == [r"x\nfloat32[1]"]


def test_graphs_of_gradients_can_be_drawn() -> None:
    x = Tensor([1.0], requires_grad=True)
    slope = grad(np.sin(x).sum(), x, create_graph=True)
    assert r"cos\nfloat32[1]" in nodes(viz.graph(slope)).values()


def test_a_long_chain_does_not_recurse() -> None:
    y = x = Tensor([1.0], requires_grad=True)
    for _ in range(100_000):
        y = y + 1
    source = viz.graph(y, {"x": x})
    assert source.count("->") == 100_000


def test_a_freed_graph_raises_as_a_backward_does() -> None:
    x = Tensor([1.0], requires_grad=True)
    loss = np.exp(x * 2).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="the graph was freed by an earlier backward .found at sum.*retain_graph"):
        viz.graph(loss)
    again = np.exp(x * 2).sum()
    again.backward(retain_graph=True)
    viz.graph(again)


def test_what_is_no_tensor_is_refused() -> None:
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="not of ndarray"):
        viz.graph(np.ones(3))
    with pytest.raises(TypeError, match="'x' is of type ndarray"):
        viz.graph(x * 2, {"x": x.data})


def test_small_tensors_show_their_values_and_gradients() -> None:
    w, x = Tensor([1.0, 2.5], requires_grad=True), np.array([3, -4])
    squares = (w * x) ** 2
    loss = squares.sum()
    source = viz.graph(loss, {"w": w, "squares": squares}, gradients=True)
    assert list(nodes(source).values()) == [
        r"w\nvalue [1, 2.5]\ngradient [18, 80]",
        r"value [3, -4]",
        r"multiply\nvalue [3, -10]\ngradient [6, -20]",
        r"squares\nsquare\nvalue [9, 100]\ngradient [1, 1]",
        r"sum\nvalue 109\ngradient 1",
    ]
    assert viz.graph(loss, {"w": w, "squares": squares}, gradients=True) == source  # the graph is kept
    assert "value" not in viz.graph(loss)
    loss.backward()
    np.testing.assert_array_equal(w.grad.data, [18, 80])


def test_larger_tensors_show_their_shapes_only() -> None:
    model, loss = network()
    shown = list(nodes(viz.graph(loss, model, gradients=True)).values())
    assert [label for label in shown if "gradient" not in label] == [
        r"float32[5, 3]",
        r"0.weight\nfloat32[3, 4]",
        r"linear\nfloat32[5, 4]",
        r"relu\nfloat32[5, 4]",
        r"2.weight\nfloat32[4, 2]",
        r"linear\nfloat32[5, 2]",
        r"value [0, 0, 0, 0, 0]",
    ]
    assert [label.split(r"\n")[0] for label in shown if "gradient" in label] == ["0.bias", "2.bias", "cross_entropy"]


def test_integers_and_booleans_show_their_values() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = np.where(np.array([True, False]), x, 0) * np.array([12345, 7])
    assert {"value [True, False]", "value [12345, 7]"} < set(nodes(viz.graph(y.sum(), gradients=True)).values())


def test_gradients_of_no_scalar_are_refused() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="only for a scalar"):
        viz.graph(x * 2, gradients=True)
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        viz.graph(Tensor(1.0), gradients=True)


def test_values_stand_on_one_line() -> None:
    x = Tensor([[1.0, np.nan], [-np.inf, 1 / 3]], requires_grad=True)
    label = next(iter(nodes(viz.graph(x.sum(), gradients=True)).values()))
    assert label == r"value [[1, nan], [-inf, 0.3333]]\ngradient [[1, 1], [1, 1]]"


def test_the_picture_on_the_front_page_is_current() -> None:
    loss, names = runpy.run_path(str(EXAMPLES / "graph.py"))["expression"]()
    labels = nodes(viz.graph(loss, names, gradients=True)).values()
    picture = xml.etree.ElementTree.parse(EXAMPLES / "images/graph.svg")
    drawn = sorted(text.text.replace("\xa0", " ") for text in picture.iter(f"{SVG}text"))
    assert drawn == sorted(line for label in labels for line in label.split(r"\n"))
    width = float(picture.getroot().get("width").removesuffix("pt"))
    for text in picture.iter(f"{SVG}text"):  # on a telephone of 360 pixels, which are 270 points
        assert float(text.get("font-size")) * min(1, 270 / width) >= 9


@needs_dot
def test_a_horizontal_picture_goes_from_left_to_right(tmp_path: Path) -> None:
    x = Tensor([1.0], requires_grad=True)
    viz.render(np.exp(x).sum(), tmp_path / "graph.svg", gradients=True, horizontal=True)
    places = {t.text: float(t.get("x")) for t in xml.etree.ElementTree.parse(tmp_path / "graph.svg").iter(f"{SVG}text")}
    assert places["value [1]"] < places["exp"] < places["sum"]


@needs_dot
def test_a_picture_is_written(tmp_path: Path) -> None:
    model, loss = network()
    viz.render(loss, tmp_path / "graph.svg", model)
    texts = [
        t.text for t in xml.etree.ElementTree.parse(tmp_path / "graph.svg").iter("{http://www.w3.org/2000/svg}text")
    ]
    assert texts.count("linear") == 2
    assert {"0.weight", "float32[3, 4]", "cross_entropy"} <= set(texts)
    places = {
        t.text: float(t.get("y")) for t in xml.etree.ElementTree.parse(tmp_path / "graph.svg").iter() if t.get("y")
    }
    assert places["float32[5, 3]"] < places["relu"] < places["cross_entropy"]  # from above to below


@needs_dot
@given(name=st.text(st.sampled_from('\\"&<>{}|;ngrNGEHTLé\u4e2d\n\r\t\0\x1b\u202e\ud800#[]='), min_size=1, max_size=8))
@example(name='&lt;\\N"')
def test_any_name_is_drawn_as_it_is(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    x = Tensor([1.0], requires_grad=True)
    path = tmp_path_factory.mktemp("names") / "graph.svg"
    viz.render(x * 2, path, {name: x})
    texts = [t.text for t in xml.etree.ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert "".join(c if c.isprintable() else repr(c)[1:-1] for c in name) in texts


def test_without_graphviz_an_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for ending in ("svg", "png", "pdf"):
        with pytest.raises(RuntimeError, match=f"^{ending.upper()} files .*`dot`, which is not installed: apt install"):
            viz.graph(network()[1]).save(tmp_path / f"graph.{ending}")
    with pytest.raises(RuntimeError, match="apt install graphviz"):
        viz.render(network()[1], tmp_path / "graph.svg")
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho no fonts >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(RuntimeError, match="dot failed with status 3: no fonts"):
        viz.render(network()[1], tmp_path / "graph.svg")
    assert not (tmp_path / "graph.svg").exists()


@needs_dot
@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph")]
)
def test_a_graph_is_saved_in_four_formats(tmp_path: Path, ending: str, start: bytes) -> None:
    model, loss = network()
    viz.graph(loss, model).save(tmp_path / f"graph.{ending}")
    assert (tmp_path / f"graph.{ending}").read_bytes().startswith(start)


@needs_dot
def test_a_notebook_shows_the_picture() -> None:
    model, loss = network()
    drawn = xml.etree.ElementTree.fromstring(viz.graph(loss, model)._repr_svg_())
    assert {"0.weight", "cross_entropy"} <= {text.text for text in drawn.iter(f"{SVG}text")}


def test_a_notebook_shows_the_text_without_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    graph = viz.graph(Tensor(1.0))
    assert graph._repr_svg_() is None
    assert repr(graph) == str(graph) == graph
    with pytest.raises(RuntimeError, match="Graphviz"):
        graph.save(tmp_path / "graph.png")
    graph.save(tmp_path / "graph.dot")
    assert [path.name for path in tmp_path.iterdir()] == ["graph.dot"]


def test_long_arguments_are_shortened() -> None:
    x = Tensor(np.ones(200), requires_grad=True)
    label = list(nodes(viz.graph(x.reshape((1,) * 60 + (200,)))).values())[-1].split(r"\n")[0]
    assert label.startswith("reshape(·, ")
    assert "…" in label
    assert len(label) <= viz.CALL + len("reshape()")


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        (np.ones((200, 300)), "float64[200, 300]"),
        ([np.ones(200), np.ones(300)], "[float64[200], float64[300]]"),
        ((np.ones(200), 3), "(float64[200], 3)"),
        (tuple(range(50)), f"({', '.join(map(str, range(50)))[: viz.TUPLE - 1]}…)"),
        ("word " * 20, "word word word word word word…"),
        (network, "network"),
        (np.float32, "<class 'numpy.float32'>"),
        (np.random.default_rng(0), "Generator(PCG64)"),
        ({"key": "value" * 10}, "{'key': 'valuevaluevaluevalue…"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_keywords_of_any_kind_are_short_and_without_addresses(option: Any, shown: str) -> None:
    @differentiable(lambda g, y, x, *, option: g)  # here, since other files test all operations that are registered
    def with_option(x: np.ndarray[Any, Any], *, option: Any) -> np.ndarray[Any, Any]:
        return x + 0

    x = Tensor(np.ones(200), requires_grad=True)
    label = list(nodes(viz.graph(with_option(x, option=option))).values())[-1]
    assert label == rf"with_option(·, option={shown})\nfloat64[200]"


def test_of_a_long_name_the_end_is_shown() -> None:
    x = Tensor([1.0], requires_grad=True)
    name = f"{'layers.0.' * 20}weight"
    label = next(iter(nodes(viz.graph(x * 2, {name: x})).values())).split(r"\n")[0]
    assert label == f"…{name[-viz.CALL + 1 :]}"
    assert len(label) == viz.CALL


@pytest.mark.parametrize("name", ["graph.gif", "graph", "graph.svg.gz", ".svg", "graph.SVG", "folder/"])
def test_files_that_end_otherwise_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"saved as .svg, .png, .pdf or .dot, not as"):
        viz.graph(Tensor(1.0)).save(tmp_path / name)
    with pytest.raises(ValueError, match=r"must end in .svg, not"):
        viz.render(Tensor(1.0), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@needs_dot
@pytest.mark.parametrize("ending", ["svg", "png", "pdf", "dot"])
def test_a_folder_that_is_not_there_or_no_folder_is_named(ending: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for folder in ("missing", "file"):
        path = tmp_path / folder / f"graph.{ending}"
        with pytest.raises(OSError, match=re.escape(str(path))):
            viz.graph(Tensor(1.0)).save(path)
