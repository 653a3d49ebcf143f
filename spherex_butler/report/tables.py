"""Tables of the page, with bars beside numbers, and what else its text is made of."""

from __future__ import annotations

__all__ = ("SHOWN", "bar", "day", "facts", "folded", "many", "paragraph", "share", "table")

from collections.abc import Iterable, Sequence

from astropy.time import Time

from ..summaries import percent
from .markup import Content, Markup, element, joined, number

_SPACE = "\N{NO-BREAK SPACE}"
_SHORT = 40  # characters

SHOWN = 1000
"""Rows of a table that has no bound of its own; what is left out is counted below."""


def table(caption: Content, headings: Sequence[str], rows: Iterable[Sequence[Content]]) -> Markup:
    """Return a table whose rows begin with what they are about; numbers are set to the right."""
    found = list(rows)
    numeric = [_is_numeric([row[place] for row in found]) for place in range(len(headings))]
    head = [
        element("th", heading, scope="col", class_="n" if is_number else None)
        for heading, is_number in zip(headings, numeric, strict=True)
    ]
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *head)),
            element("tbody", *(_row(row, numeric) for row in found)),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=str(caption),
    )


def _row(row: Sequence[Content], numeric: Sequence[bool]) -> Markup:
    first, *others = row
    cells = (_cell(cell, is_number=is_number) for cell, is_number in zip(others, numeric[1:], strict=True))
    return element("tr", element("th", first, scope="row"), *cells)


def _cell(cell: Content, *, is_number: bool) -> Markup:
    """Return a cell; numbers, and texts that are short, stay on one line."""
    is_short = not isinstance(cell, str) or isinstance(cell, Markup) or len(cell) <= _SHORT
    return element("td", "–" if cell is None else cell, class_="n" if is_number else "s" if is_short else None)


def _is_numeric(cells: Sequence[Content]) -> bool:
    """Return whether a column is one of numbers, some of which may be missing."""
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)


def many(what: str, rows: Markup, count: int, *, at_once: int = 20) -> Markup:
    """Return a table as it is if it is short, or else folded away under a line that says what it lists."""
    return rows if count <= at_once else folded(f"{what}: a table of {number(count)} rows", rows)


def folded(what: str, *content: Content) -> Markup:
    """Return what is shown when the reader asks for it."""
    return element("details", element("summary", what), *content)


def bar(value: float, largest: float, kind: str = "") -> Markup:
    """Return a bar beside a number, which is for the eye alone."""
    width = 100 * value / largest if largest else 0.0
    rect = element("rect", width=float(width), height=10, class_=kind or None)
    return element("svg", rect, viewBox="0 0 100 10", preserveAspectRatio="none", class_="bar", aria_hidden="true")


def facts(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """Return names and what they stand for."""
    return element("dl", joined(joined((element("dt", name), element("dd", value))) for name, value in pairs))


def paragraph(*content: Content) -> Markup:
    """Return a paragraph."""
    return element("p", *content)


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent; one that is not quite all is never said to be."""
    found = percent(part, whole)
    if 0 < found < 0.1:
        return f"<{_SPACE}0.1{_SPACE}%"
    return f"{f'{found:.1f}'.removesuffix('.0')}{_SPACE}%"


def day(time: Time | None) -> str | None:
    """Return a time in UTC, to the minute."""
    return None if time is None else str(time.utc.isot)[:16].replace("T", " ")
