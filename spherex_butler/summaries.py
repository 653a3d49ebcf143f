"""How reports show themselves at a prompt, by what they are and their summary on one line; numbers in words."""

from __future__ import annotations

__all__ = ("Summarized", "number_of", "percent", "percent_of")

import math
from abc import ABC, abstractmethod


class Summarized(ABC):
    """A report whose ``repr`` is its summary, however much it holds; ``str`` gives all of it.

    A dataclass of this kind is made with ``repr=False``.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def summary(self) -> str:
        """What it says, in words."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'; '.join(self.summary.splitlines()).rstrip('.:')}>"


def number_of(count: int, noun: str) -> str:
    """Return how many of something, in words."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def percent(part: float, whole: float) -> float:
    """Return a part of a whole in percent, for a text with one digit: what is not quite all is 99.9 at most."""
    found = 100 * part / whole if whole else 0.0
    return min(found, 99.9) if part < whole else found


def percent_of(part: float, whole: float) -> str:
    """Return a part of a whole in percent; little is not said to be nothing, and not quite all not to be all."""
    found = percent(part, whole)
    if 0 < found < 0.05:
        return f"{found:.{1 - math.floor(math.log10(found))}f}%"
    return f"{found:.1f}%"
