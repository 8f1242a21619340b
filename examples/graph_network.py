"""A graph network that finds the two camps of a karate club: `python examples/graph_network.py`.

W. Zachary watched a club whose 34 members broke up over a quarrel between the instructor and the president (1977, "An
information flow model for conflict and fission in small groups"). The network knows who met whom outside the club, and
the camps of two members only, the two who quarrel. In each layer every member gets the average of what its friends
send (T. Kipf and M. Welling 2017, "Semi-supervised classification with graph convolutional networks"). The picture
shows the friendships, laid out by gradients as well, and which camp the network expects of each member.
"""

import argparse
import itertools
import signal
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, cross_entropy, nn, no_grad, softmax
from tinygrad_np.optim import Adam, minimize

import numpy as np

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    sys.exit(f'graph_network.py needs {error.name}: python -m pip install -e ".[examples]"')

INSTRUCTOR, PRESIDENT = 0, 33
FRIENDS = [  # of each member, those with higher numbers
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31], [2, 3, 7, 13, 17, 19, 21, 30],
    [3, 7, 8, 9, 13, 27, 28, 32], [7, 12, 13], [6, 10], [6, 10, 16], [16], [], [30, 32, 33], [33], [], [], [], [33],
    [32, 33], [32, 33], [], [], [32, 33], [33], [32, 33], [], [32, 33], [25, 27, 29, 32, 33], [25, 27, 31], [31],
    [29, 33], [33], [31, 33], [32, 33], [32, 33], [32, 33], [33], [],
]  # fmt: skip
PRESIDENTS_CAMP = {9, 14, 15, 18, 20, *range(22, 34)}
MEMBERS = len(FRIENDS)
CAMPS = np.array([member in PRESIDENTS_CAMP for member in range(MEMBERS)]).astype(int)
PAIRS = np.array([(a, b) for a, friends in enumerate(FRIENDS) for b in friends])
SENDERS, RECEIVERS = np.concatenate([PAIRS, PAIRS[:, ::-1], np.arange(MEMBERS)[:, np.newaxis].repeat(2, axis=1)]).T
NUMBERS_OF_FRIENDS = np.bincount(RECEIVERS)  # each is its own friend as well
WEIGHTS = (NUMBERS_OF_FRIENDS[SENDERS] * NUMBERS_OF_FRIENDS[RECEIVERS]).astype(np.float32)[:, np.newaxis] ** -0.5


class GraphLayer(nn.Module):
    """Features of the members, (34, inputs), to new ones, (34, outputs): the sum of what their friends send."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.linear = nn.Linear(inputs, outputs, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        messages = self.linear(x)[SENDERS] * WEIGHTS
        return Tensor(np.zeros((MEMBERS, messages.shape[1]), np.float32)).at[RECEIVERS].add(messages)


def network(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(GraphLayer(MEMBERS, 16, rng), nn.Tanh(), GraphLayer(16, 2, rng))


def train(model: nn.Sequential, steps: int) -> list[float]:
    """The loss of each step, that of the two members whose camps are known."""
    known = [INSTRUCTOR, PRESIDENT]
    everyone = np.eye(MEMBERS, dtype=np.float32)  # a member has no feature but being itself
    optimizer = Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        loss = cross_entropy(model(everyone)[known], CAMPS[known])
        optimizer.minimize(loss)
        losses.append(loss.item())
    return losses


def probabilities(model: nn.Sequential) -> np.ndarray:
    """Of each member, (34,), that of the president's camp."""
    with no_grad():
        return softmax(model(np.eye(MEMBERS, dtype=np.float32))).data[:, 1]


def distances() -> np.ndarray:
    """How many friendships are between each two members (34, 34), by the shortest way."""
    apart = np.full((MEMBERS, MEMBERS), np.inf)
    apart[SENDERS, RECEIVERS] = SENDERS != RECEIVERS
    for through in range(MEMBERS):
        apart = np.minimum(apart, apart[:, [through]] + apart[through])
    return apart


def layout(rng: np.random.Generator) -> np.ndarray:
    """Places (34, 2) whose distances are those in the graph, as well as a plane allows (Kamada and Kawai 1989)."""
    first, second = np.triu_indices(MEMBERS, 1)
    wanted = distances()[first, second]

    def stress(places: Tensor) -> Tensor:
        apart = np.linalg.norm(places[first] - places[second], axis=1)
        return np.mean(np.square(apart / wanted - 1))

    return minimize(stress, rng.normal(size=(MEMBERS, 2)), method=Adam, lr=0.05, steps=500).x


def draw(places: np.ndarray, president: np.ndarray) -> Figure:
    """The graph: the colour of a member is the probability of the president's camp, its shape the camp it joined."""
    figure = Figure((3.75, 4.1), layout="compressed")
    axes = figure.subplots()
    for pair in PAIRS:
        axes.plot(*places[pair].T, color="0.8", linewidth=0.8, zorder=0)
    for camp, marker, name in ((0, "o", "joined the instructor"), (1, "s", "joined the president")):
        x, y = places[camp == CAMPS].T
        colours = president[camp == CAMPS]
        dots = axes.scatter(
            x, y, c=colours, cmap="coolwarm", vmin=0, vmax=1, s=140, marker=marker, label=name, edgecolors="0.3"
        )
    for member, (x, y) in enumerate(places):
        bold = "bold" if member in (INSTRUCTOR, PRESIDENT) else "normal"
        dark = abs(president[member] - 0.5) > 0.4
        color = "white" if dark else "black"
        axes.text(x, y, str(member + 1), ha="center", va="center", fontsize=9, fontweight=bold, color=color)
    figure.colorbar(dots, ax=axes, location="bottom", label="probability of the president's camp")
    axes.set_aspect("equal")
    axes.margins(0.05, 0.08)
    axes.set_axis_off()
    figure.legend(loc="outside lower center", markerscale=0.6)
    axes.set_title("It knows the camps of 1 and 34 only", fontsize=10)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "(default %(default)s)"
    parser.add_argument("--steps", type=positive_integer, default=200, help=f"of training {default}")
    parser.add_argument("--seed", type=natural, default=0, help=f"of the weights and the layout {default}")
    parser.add_argument("--out", type=Path, help="folder for the picture (default: a new one under runs/)")
    options = parser.parse_args()
    try:
        folder = options.out or new_folder("graph_network")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # whether files can be written there
    except OSError as error:
        sys.exit(f"graph_network.py: {error}")

    rng = np.random.default_rng(options.seed)
    model = network(rng)
    print(model)
    losses = train(model, options.steps)
    president = probabilities(model)
    right = np.sum((president > 0.5) == CAMPS)
    draw(layout(rng), president).savefig(folder / "graph.png", dpi=200)
    print(f"the loss fell from {losses[0]:.3f} to {losses[-1]:.3f}; {right} of {MEMBERS} members are put in their camp")
    print(f"the picture is in {folder}")


def positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, not {text!r}")
    return int(text)


def new_folder(name: str) -> Path:
    """The folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(Path("runs", name) for name in names if not Path("runs", name).exists())


if __name__ == "__main__":
    main()
