"""How objects show themselves, with and without a notebook, and that a printed model fits a terminal."""

import html.parser
import inspect
import re
import runpy
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, checkpoint, data, nn, optim, schedules, stats, viz
from tinygrad_np.data import DataLoader
from tinygrad_np.optim import SGD, Adam

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from test_settings import CALLS, call
from test_structure import MODULES

# --- every public class ----------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
LAYER = nn.TransformerEncoderLayer(4, 2, rng=RNG)
WEIGHT = Tensor(np.ones((2, 3)), requires_grad=True)
CLASSES = {
    thing
    for module in MODULES
    for name, thing in inspect.getmembers(module, inspect.isclass)
    if name in getattr(module, "__all__", [name]) and not name.startswith("_")
    if thing.__module__.startswith(module.__name__) and not issubclass(thing, Exception)
}
MAKE: dict[type, Callable[[], Any]] = {
    kind: lambda kind=kind: call(kind) for kind, _, _ in CALLS if inspect.isclass(kind)
}
MAKE |= {
    Tensor: lambda: Tensor([1.0, 2.0]),
    type(WEIGHT.at): lambda: WEIGHT.at[1, :2],
    checkpoint.Checkpoints: lambda: checkpoint.Checkpoints("folder", rng=RNG),
    checkpoint.Resumed: lambda: checkpoint.Resumed(1, None, []),
    data.Dataset: lambda: data.Dataset(np.zeros((200, 28, 28), np.uint8), np.zeros(200, np.uint8)),
    nn.Checkpoint: lambda: nn.Checkpoint(LAYER),
    nn.ModuleDict: lambda: nn.ModuleDict({"<a>": LAYER}),
    nn.ModuleList: lambda: nn.ModuleList([LAYER]),
    nn.Sequential: lambda: nn.Sequential(LAYER),
    nn.TransformerDecoder: lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, rng=RNG), 2),
    nn.TransformerEncoder: lambda: nn.TransformerEncoder(LAYER, 2),
    optim.Minimum: lambda: optim.Minimum(np.ones(2), 0.5, 10),
    optim.Optimizer: lambda: type("Own", (optim.Optimizer,), {})([WEIGHT], lr=0.1),
    stats.Frozen: lambda: stats.norm(WEIGHT, scale=2),
    viz.Graph: lambda: viz.graph(WEIGHT),
}
SHOWN = (Tensor, nn.Module, optim.Optimizer, optim.LBFGS, optim.Lookahead, optim.SAM, optim.EMA, optim.SWA, DataLoader)
SHOWN += (data.Dataset, schedules._Scheduler, schedules.PlateauScheduler, stats.Frozen)
IN_A_NOTEBOOK = [kind for kind in sorted(CLASSES | MAKE.keys(), key=str) if issubclass(kind, SHOWN)]


def made(kind: type) -> Any:
    return MAKE[kind]() if kind in MAKE else kind()  # where it takes no arguments


@pytest.mark.parametrize("kind", sorted(CLASSES | MAKE.keys(), key=str), ids=lambda kind: kind.__name__)
def test_every_public_class_shows_what_it_is(kind: type) -> None:
    assert kind.__repr__ is not object.__repr__
    text = repr(made(kind))
    assert " at 0x" not in text
    assert len(text) < 1000
    if kind.__module__.startswith(("tinygrad_np.nn", "tinygrad_np.optim", "tinygrad_np.schedules", "tinygrad_np.data")):
        assert kind in IN_A_NOTEBOOK or kind is optim.Minimum


SVG = {"width", "height", "role", "d", "points", "x", "y", "opacity", "stroke-width", "font-size", "font-family",
       "text-anchor"}  # fmt: skip
ATTRIBUTES = {  # those that may stand in a fragment, with their values: it takes the colours of the page around it
    "style": "(color: inherit|font-family: monospace|text-align: left|white-space: nowrap|margin-left: \\d+em|"
    "border-bottom: 1px solid currentColor|[; ])*",
    "fill": "none|currentColor",
    "stroke": "none|currentColor",
    "xmlns": "http://www.w3.org/2000/svg",
    **dict.fromkeys(SVG, "[-\\w.,# ]*"),
}
TAGS = {"div", "b", "pre", "code", "table", "thead", "tbody", "tr", "th", "td", "svg", "path", "polyline", "text"}


class Checker(html.parser.HTMLParser):
    """Refuses HTML that is no fragment by itself, or that would load something or change the page around it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        self.open.append(tag)
        for name, value in attrs:
            assert re.fullmatch(ATTRIBUTES[name], value or ""), name

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "br":
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(fragment: str) -> str:
    """The text of a fragment of HTML that may stand in any page."""
    checker = Checker()
    checker.feed(fragment)
    checker.close()
    assert not checker.open
    return checker.text


@pytest.mark.parametrize(
    "fragment",
    [
        "<div>",
        "</div>",
        "<div><b></div></b>",
        "<script></script>",
        '<td style="color: #000"></td>',
        '<path fill="black"/>',
        '<div onclick="f()"></div>',
        '<svg xmlns="https://example.org"/>',
    ],
)
def test_the_checker_refuses_what_would_harm_a_page(fragment: str) -> None:
    with pytest.raises((AssertionError, IndexError, KeyError)):
        checked(fragment)


@pytest.mark.parametrize("kind", IN_A_NOTEBOOK, ids=lambda kind: kind.__name__)
def test_what_a_notebook_shows_stands_in_any_page(kind: type) -> None:
    thing = made(kind)
    name = type(thing.distribution if kind is stats.Frozen else thing).__name__
    assert name in checked(thing._repr_html_())


NAME = "<b>&amp;\"'"  # a class may have any


@pytest.mark.parametrize("kind", [kind for kind in IN_A_NOTEBOOK if kind not in (Tensor, stats.Frozen)])
def test_names_of_classes_are_escaped(kind: type) -> None:
    thing = made(kind)
    derived = type(NAME, (type(thing),), {"__slots__": ()} if kind is data.Dataset else {})
    if kind is data.Dataset:
        thing = derived(*thing)
    else:
        object.__setattr__(thing, "__class__", derived)
    assert NAME in checked(thing._repr_html_())


# --- each kind -------------------------------------------------------------------------------------------------------

EXAMPLES = Path(tinygrad_np.__file__).parent.parent / "examples"


def parsed(thing: Any) -> xml.etree.ElementTree.Element:
    return xml.etree.ElementTree.fromstring(thing._repr_html_())


def cells(thing: Any) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in parsed(thing).iter("tr")]


@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.complex64, np.bool_, np.int64]),
        arrays.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4),
    )
)
def test_a_tensor_shows_its_dtype_shape_and_numbers(array: np.ndarray[Any, Any]) -> None:
    text = "".join(parsed(Tensor(array)).itertext())
    assert f"{array.dtype}{list(array.shape)}" in text
    assert np.array2string(array, separator=", ", threshold=200) in text
    assert "requires_grad" not in text


def test_a_long_tensor_is_shortened() -> None:
    text = Tensor(np.zeros((1000, 1000)), requires_grad=True)._repr_html_()
    assert "requires_grad=True" in text
    assert "..." in text
    assert len(text) < 2000
    assert "..." in Tensor(np.zeros(201))._repr_html_()
    assert "..." not in Tensor(np.zeros(200))._repr_html_()


def test_a_module_shows_as_a_table() -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=np.random.default_rng(0)), nn.ReLU())
    assert [[cell.strip() for cell in row] for row in cells(model)] == [
        ["module", "shapes", "parameters"],
        ["Sequential", "", "16"],
        ["0: Linear(3, 4)", "weight 3 x 4, bias 4", "16"],
        ["1: ReLU()", "", ""],
    ]


def test_modules_are_indented_and_numbers_stand_below_each_other() -> None:
    deep = nn.Sequential(nn.Sequential(nn.ReLU()), nn.ReLU())
    assert re.findall(r"margin-left: (\d+)em", deep._repr_html_()) == ["2", "4", "2"]
    assert '<pre style="font-family: monospace">' in Tensor([1.0])._repr_html_()
    (lr,) = re.findall("<td[^>]*>1e-05</td>", SGD([WEIGHT], lr=1e-5)._repr_html_())
    assert "nowrap" in lr


def test_names_are_escaped() -> None:
    kind = type("<b>&", (nn.Module,), {})
    model = kind()
    setattr(model, "<script>", Tensor(1.0, requires_grad=True))
    assert cells(model)[1] == ["<b>&(<script>: float32[])", "<script> scalar", "1"]
    assert "<script>" not in model._repr_html_()


def test_an_optimiser_shows_its_groups() -> None:
    a, b = Tensor(np.ones(3), requires_grad=True), Tensor(np.ones((2, 5)), requires_grad=True)
    head, first, second = cells(SGD([{"parameters": [a]}, {"parameters": [b], "lr": 0.5}], lr=0.1))
    place = head.index("lr")
    assert (first[:2], first[place], second[:2], second[place]) == (["0", "3"], "0.1", ["1", "10"], "0.5")
    assert "CosineScheduler" in "".join(parsed(Adam([a], lr=schedules.CosineScheduler(0.1, 20))).itertext())


def test_a_loader_shows_its_arrays_and_settings() -> None:
    loader = DataLoader(np.zeros((10, 2)), np.zeros(10, np.int8), batch_size=4)
    assert cells(loader)[1:] == [["0", "float64", "10 x 2"], ["1", "int8", "10"]]
    assert "DataLoader of 3 batches: batch_size=4" in "".join(parsed(loader).itertext())


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.ExponentialScheduler(0.5),
        schedules.CosineScheduler(0.1, 900),
        schedules.WarmupScheduler(0.1, 20),
        schedules.MultiStepScheduler(0.1, (300, 800)),
        schedules.JoinedScheduler((schedules.WarmupScheduler(0.1, 20), schedules.CosineScheduler(0.1, 80)), (20,)),
        schedules.WarmupScheduler(0.0, 5),
    ],
)
def test_a_schedule_shows_its_plot(schedule: Any) -> None:
    (line,) = parsed(schedule).iter("{http://www.w3.org/2000/svg}polyline")
    places = np.array([point.split(",") for point in line.get("points").split()], float)
    assert (np.diff(places[:, 0]) > 0).all()
    assert places.min() >= 10
    highest = np.argmax([schedule(step) for step in range(1000)])
    assert (places[:, 1].min() == 20) == (schedule(int(highest)) > 0)


def test_a_printed_model_fits_80_columns_and_keeps_its_shapes() -> None:
    rng = np.random.default_rng(0)
    model = nn.Module()
    model.a_name_that_goes_on_and_on_and_on = nn.Sequential(nn.LSTM(300, 400, 3, rng=rng), nn.Linear(4, 4, rng=rng))
    for i in range(40):
        setattr(model, f"tensor_{i}", Tensor(np.zeros((2, 3)), requires_grad=True))
    lines = str(model).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(f"tensor_{i} 2 x 3" in str(model) for i in range(40))
    assert lines[0].endswith("parameters")


def fits(model: nn.Module) -> bool:
    """Whether a printed model has at most 80 columns, and a line for each of its modules."""
    lines = str(model).splitlines()
    return max(map(len, lines)) <= 80 and len(lines) >= len(list(model.modules()))


@pytest.mark.parametrize("kind", [kind for kind in IN_A_NOTEBOOK if issubclass(kind, nn.Module)])
@pytest.mark.parametrize("name", ["", "layer", "name_" * 20])
def test_every_printed_layer_fits_80_columns(kind: type, name: str) -> None:
    layer = made(kind)
    assert fits(nn.ModuleDict({name: layer, "other": LAYER}) if name else layer)


def test_what_is_nested_deeply_is_still_named() -> None:
    model: nn.Module = nn.Linear(3, 4, rng=RNG)
    for _ in range(25):
        model = nn.Sequential(model)
    assert "0: Linear(3, 4)" in str(model).splitlines()[-1]


def wide(size: int) -> nn.Module:
    """A layer whose call and shapes are long."""
    return nn.LayerNorm((1,) * size, eps=1.23456789012345e-6)


@given(
    st.recursive(
        st.sampled_from(
            [*map(wide, (1, 20, 60)), nn.Linear(123_456, 3, rng=RNG), nn.MultiMarginLoss(weight=[0.1] * 40)]
        ),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda layers: nn.Sequential(*layers)),
            st.lists(inner, min_size=1, max_size=3).map(nn.ModuleList),
            st.dictionaries(
                st.text(st.sampled_from("ab_"), min_size=1, max_size=90), inner, min_size=1, max_size=3
            ).map(nn.ModuleDict),
        ),
    ),
    st.integers(0, 40),
)
def test_any_printed_model_fits_80_columns(model: nn.Module, depth: int) -> None:
    for _ in range(depth):
        model = nn.Sequential(model)
    assert max(map(len, str(model).splitlines())) <= 80
    checked(model._repr_html_())


@pytest.mark.parametrize(
    ("script", "network", "sizes"),
    [
        ("char_transformer", "Transformer", (60, 64, 128, 4)),
        ("mnist_diffusion", "UNet", ()),
        ("mnist_vae", "Autoencoder", ()),
    ],
)
def test_networks_of_the_examples_fit_80_columns(script: str, network: str, sizes: tuple[int, ...]) -> None:
    pytest.importorskip("matplotlib")  # which these scripts import
    kind = runpy.run_path(str(EXAMPLES / f"{script}.py"))[network]
    assert max(map(len, str(kind(*sizes, rng=np.random.default_rng(0))).splitlines())) <= 80
