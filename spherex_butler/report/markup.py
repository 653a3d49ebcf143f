"""HTML and SVG from Python values, in which every text is escaped that is not markup already.

What is made is well-formed XML as well, so that any parser reads it.
"""

from __future__ import annotations

__all__ = ("Content", "Markup", "element", "joined", "number", "text")

import html
import math
import re
from collections.abc import Iterable
from typing import TypeAlias

from ..errors import hide_secrets

_VOID = {"circle", "col", "ellipse", "image", "line", "link", "meta", "path", "rect", "stop"}
_NOT_IN_HTML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


Content: TypeAlias = Markup | str | int | float | None
"""What may stand in an element: markup as it is, text that is escaped, numbers; `None` is nothing."""


def text(value: object) -> Markup:
    """Return a text as HTML: without passwords, and without characters that HTML cannot hold."""
    return Markup(html.escape(_NOT_IN_HTML.sub("\ufffd", hide_secrets(str(value)))))


def number(value: float) -> str:
    """Return a number as people read it: whole ones with thousands separators, others with few digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if 0 < abs(value) < 1e-4:  # which .3g writes with an exponent
        return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0")
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def joined(parts: Iterable[Content]) -> Markup:
    """Return parts one after the other."""
    return Markup("".join(map(_content, parts)))


def element(tag: str, *content: Content, **attributes: str | float | None) -> Markup:
    """Return an element.

    Parameters
    ----------
    tag
        Its name.
    *content
        What is in it.
    **attributes
        Underscores stand for hyphens, but for one at the end, as in ``class_``; those that are `None` are left out.
    """
    given = "".join(
        f' {name.removesuffix("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{given}/>" if tag in _VOID else f"<{tag}{given}>{joined(content)}</{tag}>")


def _content(part: Content) -> str:
    if part is None:
        return ""
    if isinstance(part, Markup):
        return part
    return text(part if isinstance(part, str) else number(part))


def _attribute(value: str | float) -> str:
    """Return the value of an attribute; coordinates to a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else text(value)
