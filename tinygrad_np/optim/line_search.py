"""Line search: how far to go along a direction, by the strong Wolfe conditions."""

import math
from collections.abc import Callable
from typing import NamedTuple

from ..tensor import Array

C1, C2 = 1e-4, 0.9  # of the Wolfe conditions


class Point(NamedTuple):
    """A point on the line: where it is, the function's value, its gradient, and its slope along the line."""

    t: float
    value: float
    gradient: Array
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, length: float, tolerance: float, most: int
) -> Point:
    """A point whose value is low enough and whose slope is small enough, as far as it is found.

        value <= start.value + C1 * t * start.slope,   |slope| <= C2 * |start.slope|

    Values that are not finite count as too high.

    Args:
        evaluate: the point at t.
        start: the point at 0, with a negative slope.
        t: where to look first, above 0.
        length: the largest element of the direction.
        tolerance: of the change of an element, below which the search ends.
        most: points to evaluate, beside the first.

    Source: J. Nocedal and S. J. Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6, with the bounds and
    the safeguards of M. Schmidt's minFunc, which PyTorch uses as well.
    """
    previous, point = start, evaluate(t)
    for tried in range(most):
        too_high = not point.value <= start.value + C1 * point.t * start.slope
        higher = tried > 1 and point.value >= previous.value
        if not (too_high or higher) and abs(point.slope) <= -C2 * start.slope:
            return point
        if too_high or higher or point.slope >= 0:
            return _between(evaluate, start, (previous, point), length, tolerance, most - tried)
        bounds = point.t + 0.01 * (point.t - previous.t), 10 * point.t
        previous, point = point, evaluate(_lowest_of_cubic(previous, point, bounds))
    return start if not point.value < start.value else point


def _between(
    evaluate: Callable[[float], Point],
    start: Point,
    bracket: tuple[Point, Point],
    length: float,
    tolerance: float,
    most: int,
) -> Point:
    """The search in an interval that has a point with the strong Wolfe conditions; the lowest that was found."""
    low, high = bracket if not bracket[1].value < bracket[0].value else bracket[::-1]
    stuck = False
    for _ in range(most):
        left, right = sorted((low.t, high.t))
        if (right - left) * length < tolerance:
            break
        t = _lowest_of_cubic(*((low, high) if low.t < high.t else (high, low)), (left, right))
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        if not left < t < right:  # no number lies between them
            break
        stuck = near
        point = evaluate(t)
        if not point.value <= start.value + C1 * t * start.slope or point.value >= low.value:
            low, high = (point, low) if point.value < low.value else (low, point)
            continue
        if abs(point.slope) <= -C2 * start.slope:
            return point
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low


def _lowest_of_cubic(left: Point, right: Point, bounds: tuple[float, float]) -> float:
    """Where the cubic with the values and slopes of two points is lowest, within bounds; their middle if nowhere."""
    d1 = left.slope + right.slope - 3 * (left.value - right.value) / (left.t - right.t)
    square = d1**2 - left.slope * right.slope
    if not 0 <= square < math.inf:
        return sum(bounds) / 2
    d2 = math.sqrt(square)
    divisor = right.slope - left.slope + 2 * d2
    if divisor == 0:
        return sum(bounds) / 2
    return min(max(right.t - (right.t - left.t) * ((right.slope + d2 - d1) / divisor), bounds[0]), bounds[1])
