"""When calibrations are valid, as a chart: a line for each type and the detectors that have the same ranges."""

from __future__ import annotations

__all__ = ("Line", "lines_of", "validity_chart")

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from astropy.time import Time

from ..calibrations.ranges import Certification, data_id_text, range_text, token_of, token_rank
from .markup import Markup, element, joined

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 1080.0, 250.0, 16.0, 34.0, 22.0
_ARROW = 8.0
_CHARACTER = 6.3  # pixels of a small letter
_MODIFIED_JULIAN_DAY_0 = date(1858, 11, 17).toordinal()
_MARGIN = 0.04  # of the time that is shown, on both sides
_SHORTEST = 60.0  # days
_TICKS = 8
_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 600)  # months


@dataclass(frozen=True, slots=True)
class Line:
    """The calibrations of a type that are the same, and valid at the same times, for some detectors."""

    dataset_type: str
    detectors: str
    certifications: tuple[Certification, ...]
    """Of the first of the detectors, in order of time."""


def lines_of(certifications: Iterable[Certification]) -> list[Line]:
    """Return a collection's calibrations with detectors joined that have the same tokens at the same times."""
    ordered = sorted(certifications, key=lambda one: (*map(str, one.key), one.timespan.nsec[0]))
    found: dict[tuple[object, ...], list[list[Certification]]] = {}
    for key, group in groupby(ordered, key=lambda one: one.key):
        same = list(group)
        what = (key[0], *((one.token, one.timespan.nsec) for one in same))
        found.setdefault(what, []).append(same)
    return [
        Line(
            groups[0][0].ref.datasetType.name,
            _detectors([data_id_text(same[0].ref) for same in groups]),
            tuple(groups[0]),
        )
        for groups in found.values()
    ]


def _detectors(names: Sequence[str]) -> str:
    """Return the names of detectors, consecutive ones by the first and the last."""
    digits = [name[1:] for name in names]
    if len(names) > 2 and all(map(str.isdecimal, digits)):
        numbers = [int(digit) for digit in digits]
        if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            return f"{names[0]}–{names[-1]}"
    return ", ".join(names)


@dataclass(frozen=True, slots=True)
class _Axis:
    """The time that is shown, as modified Julian days."""

    first: float
    last: float

    def x(self, day: float) -> float:
        """Return where a time is drawn."""
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (day - self.first) / (self.last - self.first)

    def months(self) -> Iterator[tuple[str, float]]:
        """Yield the beginnings of months, at most as many as there is room for."""
        begin, end = (date.fromordinal(int(day) + _MODIFIED_JULIAN_DAY_0) for day in (self.first, self.last))
        first, last = (one.year * 12 + one.month - 1 for one in (begin, end))
        step = next((step for step in _STEPS if (last - first) / step <= _TICKS), _STEPS[-1])
        for month in range(-(-(first + 1) // step) * step, last + 1, step):
            day = date(month // 12, month % 12 + 1, 1)
            yield f"{day:%Y-%m}", float(day.toordinal() - _MODIFIED_JULIAN_DAY_0)


def _axis_of(lines: Iterable[Line], observed: tuple[Time, Time] | None) -> _Axis | None:
    """Return the time that holds all observations and the bounds near them; `None` if there is neither."""
    bounds = sorted(_day(time) for line in lines for one in line.certifications for time in _bounds(one) if time)
    seen = [_day(time) for time in observed or ()] or bounds
    if not seen:
        return None
    length = max(seen[-1] - seen[0], _SHORTEST)
    near = [day for day in bounds if seen[0] - length <= day <= seen[-1] + length]
    first, last = min([*seen, *near]), max([*seen, *near])
    margin = max(_MARGIN * (last - first), _SHORTEST / 4)
    return _Axis(first - margin, last + margin)


def _day(time: Time) -> float:
    return float(time.tai.mjd)  # half a minute off, which nobody sees, and certain for any time to come


def _bounds(one: Certification) -> tuple[Time | None, Time | None]:
    return one.timespan.begin, one.timespan.end


def validity_chart(title: str, lines: Sequence[Line], observed: tuple[Time, Time] | None) -> Markup:
    """Return the chart; the time of the observations is shaded."""
    axis = _axis_of(lines, observed)
    height = _TOP + _ROW * len(lines) + 8
    parts: list[Markup] = []
    if axis is not None:
        if observed is not None:
            parts += _observations(axis, observed, height)
        parts += _ticks(axis, height)
    for place, line in enumerate(lines):
        is_first = place == 0 or lines[place - 1].dataset_type != line.dataset_type
        parts.append(_line(line, _TOP + place * _ROW, axis, is_first=is_first))
    svg = element(
        "svg",
        element("title", title),
        joined(parts),
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        role="img",
        class_="chart",
    )
    return element("div", svg, class_="scroll", tabindex=0, role="region", aria_label=title)


def _observations(axis: _Axis, observed: tuple[Time, Time], height: float) -> Iterator[Markup]:
    begin, end = (axis.x(_day(time)) for time in observed)
    yield element("rect", x=begin, y=_TOP - 6, width=max(end - begin, 1.0), height=height - _TOP, class_="observed")


def _ticks(axis: _Axis, height: float) -> Iterator[Markup]:
    for name, day in axis.months():
        x = axis.x(day)
        yield element("line", x1=x, x2=x, y1=_TOP - 10, y2=height - 6, class_="grid")
        yield element("text", name, x=x, y=_TOP - 16, class_="tick middle")


def _line(line: Line, y: float, axis: _Axis | None, *, is_first: bool) -> Markup:
    """Return the name of a line and its ranges, coloured by token from the oldest to the newest."""
    tokens = sorted({one.ref.run for one in line.certifications}, key=lambda run: (token_rank(run) or (), run))
    name = element("text", line.dataset_type, x=4, y=y + 14, class_="name") if is_first else None
    detectors = element("text", line.detectors, x=_LEFT - 10, y=y + 14, class_="tick end")
    rule = element("line", x1=0, x2=_WIDTH, y1=y - 2, y2=y - 2, class_="grid") if is_first else None
    ranges = (_range(one, y, axis, tokens.index(one.ref.run) % 6) for one in line.certifications)
    return element("g", rule, name, detectors, joined(ranges))


def _range(one: Certification, y: float, axis: _Axis | None, colour: int) -> Markup:
    begin, end = (None if axis is None or time is None else axis.x(_day(time)) for time in _bounds(one))
    left, right = _LEFT, _WIDTH - _RIGHT
    goes_on_left, goes_on_right = begin is None or begin < left, end is None or end > right
    first = left if begin is None else min(max(begin, left), right - 2)
    last = right if end is None else max(min(end, right), first + 2)
    top, bottom, middle = y + 1, y + _ROW - 5, y + _ROW / 2 - 2
    points = [(first + _ARROW, top) if goes_on_left else (first, top)]
    points += (
        [(last - _ARROW, top), (last, middle), (last - _ARROW, bottom)]
        if goes_on_right
        else [(last, top), (last, bottom)]
    )
    points += [(first + _ARROW, bottom), (first, middle)] if goes_on_left else [(first, bottom)]
    outline = "M" + "L".join(f"{x:.1f} {row:.1f}" for x, row in points) + "Z"
    token = token_of(one.ref.run)
    fits = len(token) * _CHARACTER < last - first - 2 * _ARROW
    return element(
        "g",
        element("title", f"{one.label}: {token}, valid {range_text(one.timespan)}"),
        element("path", d=outline, class_=f"range k{colour}"),
        element("text", token, x=first + _ARROW + 3, y=y + 13, class_="token") if fits else None,
    )
