"""PyTorch as an independent oracle of random graphs: values, gradients and second derivatives."""

import numpy as np
import pytest
from random_programs import BY_NAME, tried

pytest.importorskip("torch")
pytestmark = pytest.mark.slow


def test_programs_have_the_gradients_of_pytorch() -> None:
    counts, said = tried(range(400), torch=True)
    assert not counts["wrong"] + counts["crashed"], "\n".join(text for text in said if "\n" in text)
    assert counts["right"] > 140  # the others have arguments that PyTorch does not take


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BY_NAME["sin"], "vjps", (lambda g, y, x: -g * np.cos(x),))
    counts, said = tried(range(80), torch=True)
    assert counts["wrong"]
    assert any("'sin'" in text for text in said)
