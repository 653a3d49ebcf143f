"""Units as headers write them, read more tolerantly than astropy does: ``(MJy/sr)/(e-/s)``, ``(MJy/sr)^2``."""

from __future__ import annotations

__all__ = ("read_unit_text",)

import math
import re
from collections.abc import Iterator
from itertools import pairwise

import astropy.units as u

_OTHER_WORDS = {"e-": "electron", "electrons": "electron", "microns": "micron", "sec": "s"}
_WORD = re.compile(rf"(?<![\w.+-])({'|'.join(map(re.escape, _OTHER_WORDS))})(?![\w.])")
_GROUP = re.compile(r"\((?P<inner>.+)\)\s*(?:(?:\^|\*\*)?\s*(?P<power>[+-]?\d+))?")


def read_unit_text(text: str) -> u.UnitBase:
    """Return the unit that a text names.

    Groups in parentheses may be divided, multiplied and raised to a power,
    which astropy's grammar allows only for single units; a division
    divides everything before it.  Electrons may be written ``e-``.
    """
    return _parse(_WORD.sub(lambda match: _OTHER_WORDS[match[1]], text.strip()))


def _parse(text: str) -> u.UnitBase:
    try:
        return u.Unit(text)
    except ValueError:
        for separator in "/*":
            first, *others = _split(text, separator)
            if others and all(part.strip() for part in (first, *others)):
                rest = math.prod((_parse(part) for part in others), start=u.dimensionless_unscaled)
                return _parse(first) / rest if separator == "/" else _parse(first) * rest
        match = _GROUP.fullmatch(text.strip())
        if match is None:
            raise
        return _parse(match["inner"]) ** int(match["power"] or 1)


def _split(text: str, separator: str) -> list[str]:
    """Split a text where a separator stands outside of parentheses and is not doubled."""
    cuts = [-1, *_outside(text, separator), len(text)]
    return [text[start + 1 : stop] for start, stop in pairwise(cuts)]


def _outside(text: str, separator: str) -> Iterator[int]:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        doubled = separator * 2 in text[max(0, position - 1) : position + 2]
        if character == separator and depth == 0 and not doubled:
            yield position
