"""FITS headers parsed no further than asked for, with the shift of a cutout applied."""

from __future__ import annotations

__all__ = ("CARD", "LazyHeader", "find_card")

import re
from typing import Any

from astropy.io import fits

CARD = 80
"""Bytes of a card."""

_STANDARD = re.compile(r"[A-Z0-9_-]{1,8}")
_SHIFTED = re.compile(r"CRPIX([12])[A-Z]?")


class LazyHeader:
    """A FITS header parsed on first use, with a cutout's shift applied to it.

    Parameters
    ----------
    source
        The header as written (whole cards, in bytes), or an astropy header.
    origin
        Pixel (x, y) of the described image that became its first one.
    shape
        Array shape of the cutout, or `None` where none was made.
    compressed
        Whether ``source`` is that of the table that holds a tile-compressed
        image; the header is the image's.
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
            self._header = fits.Header.fromstring(source) if isinstance(source, bytes) else source.copy()
            if self._compressed:
                self._header = fits.CompImageHDU(bintable=fits.BinTableHDU(header=self._header)).header
            if self._shape is not None:
                _shift_header(self._header, self._origin, self._shape)
        return self._header

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return the value of one card without parsing the others."""
        text = self._unparsed
        if text is None or not _STANDARD.fullmatch(keyword):
            return self.header.get(keyword, default)
        card = find_card(text, keyword)
        if card is None:
            return default
        # A card without a value is None in astropy's headers too.
        value = None if isinstance(card.value, fits.card.Undefined) else card.value
        return value if self._shape is None else _shifted(keyword, value, self._origin, self._shape)

    def selected(self, keywords: re.Pattern[str]) -> fits.Header:
        """Return a header of the cards whose keyword matches, parsing only those."""
        text = self._unparsed
        if text is None:
            return fits.Header([card for card in self.header.cards if keywords.fullmatch(card.keyword)]).copy()
        header = fits.Header.fromstring(select_cards(text, keywords))
        if self._shape is not None:
            _shift_header(header, self._origin, self._shape)
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


def _shifted(keyword: str, value: Any, origin: tuple[int, int], shape: tuple[int, int]) -> Any:
    """Return a full image's card value as it is in a cutout, in the way of the archive's cutout service."""
    if match := _SHIFTED.fullmatch(keyword):
        offset = origin[int(match[1]) - 1]
        return value - offset if offset else value
    return {"NAXIS1": shape[1], "NAXIS2": shape[0]}.get(keyword, value)


def _shift_header(header: fits.Header, origin: tuple[int, int], shape: tuple[int, int]) -> None:
    for keyword in [k for k in header if k in {"NAXIS1", "NAXIS2"} or _SHIFTED.fullmatch(k)]:
        shifted = _shifted(keyword, header[keyword], origin, shape)
        if shifted != header[keyword]:
            header[keyword] = shifted


def select_cards(text: bytes, keywords: re.Pattern[str]) -> bytes:
    """Return the cards of a header's bytes whose standard keyword matches."""
    cards = (text[at : at + CARD] for at in range(0, len(text), CARD))
    return b"".join(card for card in cards if keywords.fullmatch(card[:8].rstrip().decode("latin-1")))


def find_card(text: bytes, keyword: str) -> fits.Card | None:
    """Return the first card of a standard keyword, of up to 8 characters, in a header's bytes, or `None`.

    A long string that goes on in CONTINUE cards is returned whole.
    """
    wanted = keyword.encode("ascii").ljust(8) + b"= "
    at = text.find(wanted)
    while at >= 0 and at % CARD:
        at = text.find(wanted, at + 1)
    if at < 0:
        return None
    end = at + CARD
    while text[end : end + 8] == b"CONTINUE":
        end += CARD
    return fits.Card.fromstring(text[at:end])
