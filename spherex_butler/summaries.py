"""How reports show themselves at a prompt, by what they are and their summary on one line; numbers in words."""

from __future__ import annotations

__all__ = ("Summarized", "number_of", "percent_of")

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


def percent_of(part: float, whole: float) -> str:
    """Return a part of a whole in percent; little is not said to be nothing, and not quite all not to be all."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.05:
        return f"{percent:.{1 - math.floor(math.log10(percent))}f}%"
    return f"{min(percent, 99.9) if part < whole else percent:.1f}%"
