"""A graph network: nodes send messages along edges, and each sums what it gets.

Its layers commute with any renumbering of the nodes. Without activations they are powers of the adjacency matrix. It
finds the two communities of a random graph from the labels of a few nodes.
"""

from typing import Any

from tinygrad_np import Tensor, cross_entropy, nn, no_grad, optim, relu

import numpy as np
import pytest

pytestmark = pytest.mark.slow


class Graph:
    """Nodes 0, 1, ... and edges from `senders` to `receivers`, both of shape (edges,)."""

    def __init__(self, nodes: int, senders: np.ndarray, receivers: np.ndarray) -> None:
        self.nodes, self.senders, self.receivers = nodes, senders, receivers

    def renumbered(self, number: np.ndarray) -> "Graph":
        """Node i gets the number `number[i]`; the edges come in another order."""
        order = np.random.default_rng(0).permutation(len(self.senders))
        return Graph(self.nodes, number[self.senders[order]], number[self.receivers[order]])


def random_graph(communities: np.ndarray, inside: float, across: float, rng: np.random.Generator) -> Graph:
    """Each two nodes are connected, in both directions, with a probability that depends on their communities."""
    probability = np.where(communities[:, None] == communities, inside, across)
    half = np.triu(rng.uniform(size=probability.shape) < probability, 1)
    return Graph(len(communities), *np.nonzero(half | half.T))


class MessagePassing(nn.Module):
    """Features of the nodes, (nodes, inputs), to new ones, by their own and the sum of what their neighbours send."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, dtype: Any) -> None:
        self.own, self.message = (nn.Linear(inputs, outputs, rng=rng, dtype=dtype) for _ in range(2))

    def forward(self, x: Any, graph: Graph) -> Tensor:
        own, messages = self.own(x), self.message(x)[graph.senders]
        return own.at[graph.receivers].add(messages)


class Network(nn.Module):
    def __init__(self, inputs: int, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        self.first, self.second = MessagePassing(inputs, 16, rng, dtype), MessagePassing(16, 2, rng, dtype)

    def forward(self, x: Any, graph: Graph) -> Tensor:
        return self.second(relu(self.first(x, graph)), graph)


def test_linear_layers_are_powers_of_the_adjacency_matrix() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(np.zeros(12), 0.3, 0.3, rng)
    layer = MessagePassing(1, 1, rng, np.float64)
    for linear, weight in ((layer.own, 0.0), (layer.message, 1.0)):
        linear.weight.data, linear.bias.data = np.full((1, 1), weight), np.zeros(1)
    A = np.zeros((12, 12))
    np.add.at(A, (graph.receivers, graph.senders), 1)
    x = rng.normal(size=(12, 1))
    np.testing.assert_allclose(layer(layer(layer(x, graph), graph), graph).data, A @ A @ A @ x, rtol=1e-12)


def test_numbers_of_nodes_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    graph, x, number = random_graph(np.arange(20) % 2, 0.5, 0.2, rng), rng.normal(size=(20, 3)), rng.permutation(20)
    model = Network(3, rng, np.float64)
    renumbered = np.empty_like(x)
    renumbered[number] = x
    found = model(renumbered, graph.renumbered(number)).data
    np.testing.assert_allclose(found[number], model(x, graph).data, rtol=1e-12)


def test_the_gradient_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    graph, x = random_graph(np.arange(20) % 2, 0.5, 0.2, rng), rng.normal(size=(20, 3))
    model = Network(3, rng, np.float64)
    labels = np.arange(20) % 2
    cross_entropy(model(x, graph), labels).backward()

    weights = {name: torch.tensor(array, requires_grad=True) for name, array in model.state_dict().items()}
    features = torch.tensor(x)
    for name in ("first", "second"):
        own, messages = (
            features @ weights[f"{name}.{part}.weight"] + weights[f"{name}.{part}.bias"] for part in ("own", "message")
        )
        features = own.index_add(0, torch.tensor(graph.receivers), messages[torch.tensor(graph.senders)])
        features = torch.relu(features) if name == "first" else features
    torch.nn.functional.cross_entropy(features, torch.tensor(labels)).backward()
    for parameter, weight in zip(model.parameters(), weights.values(), strict=True):
        np.testing.assert_allclose(parameter.grad.data, weight.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_it_finds_communities_from_the_labels_of_a_few_nodes() -> None:
    """The nodes have no features but their label, if it is known; most are told apart by their neighbours alone."""
    rng = np.random.default_rng(0)
    communities = rng.permutation(np.arange(200) % 2)
    graph = random_graph(communities, 0.1, 0.01, rng)
    known = np.arange(200) < 30
    given = (np.eye(2, dtype=np.float32)[communities] - 0.5) * known[:, None]
    model = Network(2, rng)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        shown = known & (rng.uniform(size=200) < 0.7)  # it is to tell the others of those that are known
        hidden = known & ~shown
        optimizer.minimize(cross_entropy(model(given * shown[:, None], graph)[hidden], communities[hidden]))
    with no_grad():
        found = model(given, graph).argmax(axis=1)
    assert np.mean(found == communities) > 0.85
