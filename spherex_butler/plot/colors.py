"""Colours that also people who are colour-blind tell apart: those of Okabe and Ito (2008), https://jfly.uni-koeln.de/color/."""

from __future__ import annotations

__all__ = ("DETECTOR_MARKS", "LAYERS", "LINES", "MARK", "NO_VALUE", "REST", "outlined")

import matplotlib.patheffects as effects

_ORANGE, _SKY, _GREEN, _YELLOW, _BLUE, _RED, _PURPLE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)

LAYERS = (_ORANGE, _SKY, _GREEN, _YELLOW, _RED, _PURPLE, _BLUE)
"""Of the flags over an image, the most frequent first."""

REST = "#FFFFFF"
"""Of all flags for which no colour is left."""

NO_VALUE = "#5C3A21"
"""Of pixels that are NaN."""

LINES = "#FFFFFF"
"""Of lines over an image."""

MARK = "#F0E442"
"""Of what is marked in an image."""

DETECTOR_MARKS = {
    1: (_BLUE, "o"),
    2: (_SKY, "s"),
    3: (_GREEN, "^"),
    4: (_ORANGE, "D"),
    5: (_RED, "v"),
    6: (_PURPLE, "P"),
}
"""Colour and marker of each detector."""


def outlined(width: float = 2.0) -> list[effects.AbstractPathEffect]:
    """Return what makes a light line or text readable over anything: a dark outline."""
    return [effects.withStroke(linewidth=width, foreground="#000000B0")]
