"""The headers of an image, two of which are changed as one: ``meta``; and what their cards say."""

from __future__ import annotations

__all__ = ("Header", "ImageHeaders", "card_text", "list_calibrations", "read_calibrations")

import re
import uuid
from collections.abc import Mapping
from typing import TypeAlias

from astropy.io import fits

from ..formats.fits.lazy_header import LazyHeader

Header: TypeAlias = fits.Header | LazyHeader

_STRUCTURAL = frozenset({"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "EXTNAME", "", "COMMENT", "HISTORY"})

_CALIBRATION = re.compile(r"\[CALIB\]\s+(\S+)\s+([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")
_PROVENANCE = "LSST BUTLER "  # says which dataset the file is, which a changed image no longer is


class ImageHeaders:
    """The headers of an image's IMAGE and primary HDU, and of its FLAGS, VARIANCE and ZODI HDUs.

    `meta` is the one to change.  It holds the IMAGE header and, behind it,
    the cards that only the primary header has; changes to either go back where
    the card came from, and new cards to the IMAGE header.
    """

    __slots__ = ("_image", "_meta", "_primary", "_primary_only", "planes")

    def __init__(self, image: Header | None, primary: Header | None, planes: Mapping[str, Header]) -> None:
        self._image = _lazy(image)
        self._primary = _lazy(primary)
        self.planes = {name: _lazy(header) for name, header in planes.items()}
        self._meta: fits.Header | None = None
        self._primary_only: frozenset[str] = frozenset()

    @property
    def meta(self) -> fits.Header:
        """The IMAGE header, with the cards that only the primary header has; the same object at every call."""
        if self._meta is None:
            image, primary = self._image.header, self._primary.header
            own = frozenset(primary) - frozenset(image) - _STRUCTURAL
            self._primary_only = frozenset(keyword for keyword in own if not keyword.startswith(_PROVENANCE))
            merged = image.copy()
            for card in primary.copy().cards:
                if card.keyword in self._primary_only:
                    merged.append(card, end=True)
            self._meta = merged
        return self._meta

    @meta.setter
    def meta(self, value: fits.Header) -> None:
        _ = self.meta  # says which cards are the primary header's
        self._meta = value

    @property
    def facts(self) -> LazyHeader:
        """The IMAGE header as it is now, to look cards up in."""
        return self._image if self._meta is None else LazyHeader(self._meta)

    @property
    def image(self) -> LazyHeader:
        """The IMAGE header as it is now, no longer tied to `meta`."""
        if self._meta is None:
            return self._image
        cards = [card for card in self._meta.cards if card.keyword not in self._primary_only]
        return LazyHeader(fits.Header(cards).copy())

    @property
    def primary(self) -> LazyHeader:
        """The primary header as it is now, no longer tied to `meta`."""
        if self._meta is None:
            return self._primary
        header = self._primary.header.copy()
        for keyword in self._primary_only:
            if keyword not in self._meta:
                header.remove(keyword, remove_all=True)
            else:
                new = (self._meta[keyword], self._meta.comments[keyword])
                if new != (header[keyword], header.comments[keyword]):
                    header[keyword] = new
        return LazyHeader(header)


def _lazy(header: Header | None) -> LazyHeader:
    return header if isinstance(header, LazyHeader) else LazyHeader(fits.Header() if header is None else header)


def card_text(header: LazyHeader, keyword: str) -> str | None:
    """Return the value of a card as text, without blanks around it; `None` where there is none."""
    value = header.get(keyword)
    return None if value is None else str(value).strip()


def read_calibrations(header: fits.Header) -> dict[str, uuid.UUID]:
    """Return the Butler id of each calibration used, by dataset type; of several of a type, the last."""
    return dict(list_calibrations(header))


def list_calibrations(header: fits.Header) -> list[tuple[str, uuid.UUID]]:
    """Return dataset type and Butler id of every calibration used, in the header's order, each pair once."""
    history = "\n".join(str(line) for line in header.get("HISTORY", []))
    return list(dict.fromkeys((name, uuid.UUID(text)) for name, text in _CALIBRATION.findall(history)))
