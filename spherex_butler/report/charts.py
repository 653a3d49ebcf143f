"""Charts of counts: images by planning period, and how often each spectral channel was seen."""

from __future__ import annotations

__all__ = ("Stack", "channel_chart", "legend", "stacked_chart")

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .markup import Markup, element, joined, number

_LEFT, _TOP, _BOTTOM, _RIGHT = 64.0, 12.0, 46.0, 10.0
_HEIGHT = 260.0
_WIDTH = 1080.0
_NARROWEST = 4.0  # pixels a bar; a chart with more bars is wider, and scrolls
_BETWEEN_LABELS = 92.0  # pixels
_BETWEEN_DETECTORS = 8.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A bar of several parts, one on the other: how many there are of each kind."""

    name: str
    parts: Mapping[str, int]


def stacked_chart(title: str, stacks: Sequence[Stack], kinds: Sequence[str]) -> Markup:
    """Return a bar for each stack, whose kinds have the colours of their places in a list."""
    plot_width = max(_WIDTH - _LEFT - _RIGHT, _NARROWEST * len(stacks))
    step = plot_width / max(1, len(stacks))
    axis = _Axis(max((sum(stack.parts.values()) for stack in stacks), default=0))
    bars = []
    for place, stack in enumerate(stacks):
        said = ", ".join(f"{kind} {number(count)}" for kind, count in stack.parts.items())
        parts = _parts(stack, kinds, axis, _LEFT + place * step, max(1.0, step * 0.8))
        bars.append(element("g", element("title", f"{stack.name}: {said}"), *parts))
    every = max(1, int(-(-_BETWEEN_LABELS // step)))
    names = (
        element("text", stack.name, x=_LEFT + (place + 0.4) * step, y=_HEIGHT - _BOTTOM + 18, class_="tick middle")
        for place, stack in enumerate(stacks)
        if place % every == 0
    )
    return _chart(title, _LEFT + plot_width + _RIGHT, axis, [*bars, *names])


def _parts(stack: Stack, kinds: Sequence[str], axis: _Axis, x: float, width: float) -> Iterator[Markup]:
    below = 0
    for place, kind in enumerate(kinds):
        if count := stack.parts.get(kind, 0):
            top, bottom = axis.y(below + count), axis.y(below)
            yield element("rect", x=x, y=top, width=width, height=bottom - top, class_=f"k{place % 6}")
            below += count


def channel_chart(
    title: str, means: Mapping[tuple[int, int], float], names: Mapping[int, str], said: Mapping[tuple[int, int], str]
) -> Markup:
    """Return a bar for each channel, by detector; ``names`` are written below the detectors, ``said`` told of bars."""
    detectors = sorted({detector for detector, _ in means})
    axis = _Axis(max(means.values(), default=0))
    gaps = _BETWEEN_DETECTORS * len(detectors)
    step = (_WIDTH - _LEFT - _RIGHT - gaps) / max(1, len(means))
    x, drawn = _LEFT, []
    for place, detector in enumerate(detectors):
        begin = x
        for channel in sorted(one for owner, one in means if owner == detector):
            key = detector, channel
            top = axis.y(means[key])
            rect = element("rect", x=x, y=top, width=step * 0.8, height=axis.y(0) - top, class_=f"k{place % 6}")
            drawn.append(element("g", element("title", said[key]), rect))
            x += step
        middle = (begin + x) / 2
        drawn += (
            element("text", line, x=middle, y=_HEIGHT - _BOTTOM + 18 + 16 * row, class_="tick middle")
            for row, line in enumerate(names[detector].split("\n"))
        )
        x += _BETWEEN_DETECTORS
    return _chart(title, _WIDTH, axis, drawn)


class _Axis:
    """The axis of counts, from 0 to a round number."""

    def __init__(self, largest: float) -> None:
        self.step = _round_step(largest)
        self.top = self.step * max(1, -(-largest // self.step))

    def y(self, value: float) -> float:
        """Return where a value is drawn."""
        return _TOP + (_HEIGHT - _BOTTOM - _TOP) * (1 - value / self.top)

    def lines(self, width: float) -> Iterator[Markup]:
        """Yield lines across the chart, with their values."""
        for count in range(round(self.top / self.step) + 1):
            value = count * self.step
            y = self.y(value)
            yield element("line", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y, class_="grid")
            yield element("text", self._said(value), x=_LEFT - 8, y=y + 4, class_="tick end")

    def _said(self, value: float) -> str:
        """Return a value with the digits of the step, so that all are written alike."""
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        return f"{value:,.{digits}f}" if value else "0"


def _round_step(largest: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten by which an axis has at most five steps."""
    power = 1e-6
    while power < 1e15:
        for factor in (1, 2, 5):
            if largest <= 5 * factor * power:
                return factor * power
        power = round(power * 10, 6)
    return largest


def _chart(title: str, width: float, axis: _Axis, drawn: Sequence[Markup]) -> Markup:
    svg = element(
        "svg",
        element("title", title),
        joined(axis.lines(width)),
        joined(drawn),
        viewBox=f"0 0 {width:.0f} {_HEIGHT:.0f}",
        width=round(width) if width > _WIDTH else None,
        role="img",
        class_="chart wide" if width > _WIDTH else "chart",
    )
    return element("div", svg, class_="scroll", tabindex=0, role="region", aria_label=title)


def legend(kinds: Sequence[str]) -> Markup:
    """Return which colour stands for what."""
    boxes = (
        element(
            "span",
            element(
                "svg",
                element("rect", width=12, height=12, class_=f"k{place % 6}"),
                viewBox="0 0 12 12",
                class_="key",
                aria_hidden="true",
            ),
            kind,
        )
        for place, kind in enumerate(kinds)
    )
    return element("p", joined(boxes), class_="legend")
