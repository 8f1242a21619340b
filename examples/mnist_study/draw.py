"""A page to draw on, draw.html: it reads a digit while one draws it, with a trained network inside.

The page is one file that needs no network. `draw.js` prepares a drawing as `digits.py` does a picture, and computes
what the network computes; `draw.html` and `draw.css` are the rest. Only this script runs on the page: its content
security policy names the script by its SHA-256.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from . import digits

HERE = Path(__file__).parent
ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)  # base64's
LARGEST = 2047  # of the integers that stand for weights
LIMITS = {
    name.lower(): getattr(digits, name)
    for name in ("FAINTEST", "FAINTEST_INK", "SMALLEST_DIGIT", "SPECK", "NEAR", "HALF_WAY")
}


def page(weights: Mapping[str, np.ndarray], shape: tuple[int, int], sure: float, about: str) -> bytes:
    """The page for a network of two linear layers with a ReLU between them.

    Args:
        weights: its `state_dict()`: 0.weight, 0.bias, 2.weight and 2.bias.
        shape: of the images that it reads.
        sure: the probability from which a reading counts as sure.
        about: a sentence on the network.
    """
    network = {
        "shape": shape,
        "sure": sure,
        "limits": LIMITS,
        "layers": [encoded(weights[f"{layer}.weight"], weights[f"{layer}.bias"]) for layer in (0, 2)],
    }
    script, style = (HERE.joinpath(name).read_text(encoding="utf-8") for name in ("draw.js", "draw.css"))
    text = Template(HERE.joinpath("draw.html").read_text(encoding="utf-8")).substitute(
        script_hash=_sha256(script),
        style_hash=_sha256(style),
        script=script,
        style=style,
        about=html.escape(about),
        network=json.dumps(network, separators=(",", ":")),
    )
    return text.encode()


def encoded(weight: np.ndarray, bias: np.ndarray) -> dict[str, Any]:
    """A layer as JSON values: each weight is two characters of base64, an integer of 12 bits in units of its scale.

    The scale of a unit is such that its largest weight is 2047. float16, at the same precision for the largest weights,
    would take a third more: 2.17 MB for 1024 hidden units.
    """
    weight = weight.astype(np.float64)
    scale = np.abs(weight).max(axis=0) / LARGEST
    scale[scale == 0] = 1
    integers = np.round(weight / scale).astype(int) + LARGEST + 1
    characters = ALPHABET[np.stack([integers >> 6, integers & 63], axis=-1)]
    return {
        "weight": characters.tobytes().decode("ascii"),
        "scale": [float(f"{value:.9g}") for value in scale],
        "bias": [float(f"{value:.9g}") for value in bias],
    }


def _sha256(text: str) -> str:
    """The source expression for an inline script or style in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
