"""FITS headers that are parsed only as far as they are used, and shifted for cutouts."""

from __future__ import annotations

__all__ = ("CARD", "LazyHeader", "card_value", "find_card", "select_cards", "shift_header")

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from astropy.io import fits

from ...errors import FormatError

CARD = 80
"""Bytes of a card."""

_STANDARD = re.compile(r"[A-Z0-9_-]{1,8}")
_LONG = re.compile(r"[A-Z0-9_-]{9,60}")
_PLAIN = re.compile(
    rb"= +(?:'(?P<string>[ -%(-9;-~]*)'|(?P<logical>[TF])"
    rb"|(?P<integer>[+-]?\d+)|(?P<real>[+-]?\d+\.\d*(?:E[+-]?\d+)?)) *(?:/.*)?"
)
"""What follows the keyword of a card whose value needs no more than Python's own reading."""
_REMEMBERED = 4096  # keywords for each pattern; headers of many files have the same few hundred
_SHIFTED = re.compile(r"CRPIX([12])[A-Z]?")


class LazyHeader:
    """A FITS header parsed on first use, with a cutout's shift applied to it.

    The source is whole cards in bytes, or an astropy header.  ``origin`` is the
    pixel (x, y) of the described image that became its first one, ``shape`` the
    array shape of the cutout, `None` for a whole image.  ``compressed`` says
    that the source is the header of a table that holds a tile-compressed image;
    `header` is then the image's.
    """

    __slots__ = ("_compressed", "_header", "_origin", "_shape", "_source")

    def __init__(
        self,
        source: bytes | fits.Header,
        *,
        origin: tuple[int, int] = (0, 0),
        shape: tuple[int, int] | None = None,
        compressed: bool = False,
    ) -> None:
        self._source = source
        self._compressed = compressed
        self._origin = origin
        self._shape = shape
        self._header: fits.Header | None = source if isinstance(source, fits.Header) and shape is None else None

    @property
    def header(self) -> fits.Header:
        """The header; the same object at every call."""
        if self._header is None:
            source = self._source
            header = fits.Header.fromstring(source) if isinstance(source, bytes) else source.copy()
            if self._compressed:
                header = _image_header(header)
            if self._shape is not None:
                shift_header(header, self._origin, self._shape)
            self._header = header
        return self._header

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return the value of one card without parsing the others."""
        text = self._unparsed
        if text is None or not (_STANDARD.fullmatch(keyword) or _LONG.fullmatch(keyword)):
            return self.header.get(keyword, default)
        card = find_card(text, keyword)
        if card is None:
            return default
        value = card_value(card)
        return value if self._shape is None else _shifted(keyword, value, self._origin, self._shape)

    def values(self, keywords: re.Pattern[str]) -> dict[str, Any]:
        """Return the values of the cards whose standard keyword matches, parsing only those."""
        text = self._unparsed
        if text is None:
            return dict(self.selected(keywords))
        found: dict[str, Any] = {}
        for keyword, card in _matching(text, keywords):
            if keyword not in found:  # astropy, too, gives the first of several
                value = card_value(card)
                found[keyword] = value if self._shape is None else _shifted(keyword, value, self._origin, self._shape)
        return found

    def selected(self, keywords: re.Pattern[str]) -> fits.Header:
        """Return a header of the cards whose keyword matches, parsing only those."""
        text = self._unparsed
        if text is None:
            return fits.Header([card for card in self.header.cards if keywords.fullmatch(card.keyword)]).copy()
        header = fits.Header.fromstring(select_cards(text, keywords))
        if self._shape is not None:
            shift_header(header, self._origin, self._shape)
        return header

    @property
    def _unparsed(self) -> bytes | None:
        """The cards of the header itself, unless they were parsed already."""
        plain = self._header is None and not self._compressed and isinstance(self._source, bytes)
        return self._source if plain else None

    def cutout(self, origin: tuple[int, int], shape: tuple[int, int]) -> LazyHeader:
        """Return the header of a cutout whose first pixel is ``origin`` (x, y) of this one."""
        if self._header is not None:
            return LazyHeader(self._header.copy(), origin=origin, shape=shape)
        total = (self._origin[0] + origin[0], self._origin[1] + origin[1])
        return LazyHeader(self._source, origin=total, shape=shape, compressed=self._compressed)

    def copy(self) -> LazyHeader:
        """Return an independent header."""
        if self._header is not None:
            return LazyHeader(self._header.copy())
        return LazyHeader(self._source, origin=self._origin, shape=self._shape, compressed=self._compressed)

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyHeader, (self.header,)


def _image_header(header: fits.Header) -> fits.Header:
    """Return the header of the image that a table holds in tiles."""
    try:
        return fits.CompImageHDU(bintable=fits.BinTableHDU(header=header)).header
    except Exception as error:  # astropy checks little of what it goes by
        name = header.get("EXTNAME")
        raise FormatError(f"The header of {name!r} is not of a tile-compressed image: {error!r}") from error


def _shifted(keyword: str, value: Any, origin: tuple[int, int], shape: tuple[int, int] | None) -> Any:
    """Return the value that a full image's card has in a cutout, as the archive's cutout service changes it."""
    if match := _SHIFTED.fullmatch(keyword):
        offset = origin[int(match[1]) - 1]
        return value - offset if offset else value
    return value if shape is None else {"NAXIS1": shape[1], "NAXIS2": shape[0]}.get(keyword, value)


def shift_header(header: fits.Header, origin: tuple[int, int], shape: tuple[int, int] | None = None) -> None:
    """Turn a full image's header into that of a cutout whose first pixel is ``origin`` (x, y).

    The reference pixels of alternate WCS change too.  Without a ``shape`` the
    lengths of the axes stay as they are.
    """
    for keyword in [k for k in header if k in {"NAXIS1", "NAXIS2"} or _SHIFTED.fullmatch(k)]:
        shifted = _shifted(keyword, header[keyword], origin, shape)
        if shifted != header[keyword]:
            header[keyword] = shifted


def select_cards(text: bytes, keywords: re.Pattern[str]) -> bytes:
    """Return the cards of a header's bytes whose standard keyword matches."""
    return b"".join(card for _, card in _matching(text, keywords))


def _matching(text: bytes, keywords: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    wanted = _wanted(keywords)
    for at in range(0, len(text), CARD):
        keyword = wanted[text[at : at + 8]]
        if keyword is not None:
            yield keyword, text[at : at + CARD]


class _Wanted(dict[bytes, str | None]):
    """By the first bytes of a card, its keyword if it matches a pattern, else `None`."""

    def __init__(self, keywords: re.Pattern[str]) -> None:
        self._keywords = keywords

    def __missing__(self, field: bytes) -> str | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        keyword = field.rstrip().decode("latin-1")
        self[field] = keyword if self._keywords.fullmatch(keyword) else None
        return self[field]


@cache
def _wanted(keywords: re.Pattern[str]) -> _Wanted:
    # Once for a header: to look a pattern up takes as long as several cards.
    return _Wanted(keywords)


def find_card(text: bytes, keyword: str) -> bytes | None:
    """Return the first card of a keyword in a header's bytes, or `None`.

    A keyword of more than 8 characters is looked for among HIERARCH cards.  A
    long string that goes on in CONTINUE cards is returned with these.
    """
    short = len(keyword) <= 8
    wanted = f"{keyword:8}= ".encode("ascii") if short else f"HIERARCH {keyword}".encode("ascii")
    at = text.find(wanted)
    while at >= 0 and (at % CARD or not (short or text[at + len(wanted) : at + CARD].lstrip().startswith(b"="))):
        at = text.find(wanted, at + 1)
    if at < 0:
        return None
    end = at + CARD
    while text[end : end + 8] == b"CONTINUE":
        end += CARD
    return text[at:end]


def card_value(card: bytes) -> Any:
    """Return the value of a card as astropy gives it, `None` of one without value.

    Most are read here, in a fifteenth of astropy's time; what is not plain is
    left to astropy.
    """
    plain = _PLAIN.fullmatch(card, card.find(b"=")) if len(card) == CARD else None
    if plain is not None and (kind := plain.lastgroup) is not None:
        return _READ[kind](plain[kind].decode("ascii"))
    try:
        value = fits.Card.fromstring(card).value
    except (fits.VerifyError, ValueError) as error:
        raise FormatError(f"The card {card[:CARD].decode('latin-1').rstrip()!r} cannot be read: {error}") from error
    return None if isinstance(value, fits.card.Undefined) else value


_READ: Mapping[str, Callable[[str], Any]] = {
    "string": str.rstrip,
    "logical": "T".__eq__,
    "integer": int,
    "real": float,
}
