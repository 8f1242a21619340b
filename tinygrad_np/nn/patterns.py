"""Paths of Tensors and modules that match patterns such as "encoder.*"."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

NAMED = 5  # paths in a message


def matching(owner: str, patterns: Iterable[str], paths: Iterable[str], what: str) -> list[str]:
    """The paths that match one of the patterns, in their order. `*` stands for any text, dots included.

    Raises:
        TypeError: a pattern is no text.
        ValueError: a pattern matches none of the paths; the message calls these by `what` they are of.

    >>> matching("Net", ["0.*", "*.bias"], ["0.weight", "0.bias", "1.weight", "1.bias"], "parameter")
    ['0.weight', '0.bias', '1.bias']
    >>> matching("Net", ["1"], ["0.weight", "1.weight"], "parameter")
    Traceback (most recent call last):
    ValueError: Net: '1' matches no parameter, which are 0.weight, 1.weight; write '1.*'
    """
    known, found = list(paths), set[str]()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"{owner}: a pattern is text, such as 'encoder.*', not {pattern!r:.80}")
        matches = [path for path in known if fnmatchcase(path, pattern)]
        if not matches:
            inside = any(fnmatchcase(path, f"{pattern}.*") for path in known)
            named = [path for path in known if path]  # the module itself has none
            more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
            raise ValueError(
                f"{owner}: {pattern!r} matches no {what}, which are {', '.join(named[:NAMED]) or 'none'}{more}"
                + (f"; write {pattern + '.*'!r}" if inside else "")
            )
        found.update(matches)
    return [path for path in known if path in found]
