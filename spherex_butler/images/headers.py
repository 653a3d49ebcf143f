"""What an image's headers say, and how the two of them are one ``meta``."""

from __future__ import annotations

__all__ = ("ImageHeaders",)

import uuid
from typing import Any

from astropy.io import fits

from ..formats.fits.lazy_header import LazyHeader
from .calibration_history import read_calibrations
from .geometry import frame_origin

_STRUCTURAL = frozenset({"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "EXTNAME", "", "COMMENT", "HISTORY"})

_PROVENANCE = "LSST BUTLER "  # says which dataset the file is, which a changed image no longer is


class ImageHeaders:
    """The part of `~spherex_butler.SpectralImage` that is about headers.

    Notes
    -----
    ``meta`` is the one to change.  It holds the IMAGE header and, behind it,
    the cards that only the primary header has; changes to either go back where
    the card came from, and new cards to the IMAGE header.
    """

    _headers: dict[str, LazyHeader]  # of PRIMARY, IMAGE and the other planes, as read
    _merged_header: fits.Header | None = None
    _primary_only: frozenset[str] = frozenset()

    @property
    def meta(self) -> fits.Header:
        """The IMAGE header, with the cards that only the primary header has."""
        if self._merged_header is None:
            image, primary = (self._headers[name].header for name in ("IMAGE", "PRIMARY"))
            own = frozenset(primary) - frozenset(image) - _STRUCTURAL
            self._primary_only = frozenset(keyword for keyword in own if not keyword.startswith(_PROVENANCE))
            merged = image.copy()
            for card in primary.copy().cards:
                if card.keyword in self._primary_only:
                    merged.append(card, end=True)
            self._merged_header = merged
        return self._merged_header

    @meta.setter
    def meta(self, value: Any) -> None:
        if value is not None:
            _ = self.meta  # says which cards are the primary header's
            self._merged_header = value if isinstance(value, fits.Header) else fits.Header(value)

    @property
    def header(self) -> fits.Header:
        """The same as ``meta``, as in every CCDData."""
        return self.meta

    @header.setter
    def header(self, value: Any) -> None:
        self.meta = value

    @property
    def image_header(self) -> fits.Header:
        """A copy of the IMAGE header; change ``meta`` to change it."""
        if self._merged_header is None:
            return self._headers["IMAGE"].header.copy()
        cards = self._merged_header.cards
        return fits.Header([card for card in cards if card.keyword not in self._primary_only]).copy()

    @property
    def primary_header(self) -> fits.Header:
        """A copy of the primary header; change ``meta`` to change the cards that it alone has."""
        header = self._headers["PRIMARY"].header.copy()
        merged = self._merged_header
        for keyword in self._primary_only:
            if merged is None or keyword not in merged:
                header.remove(keyword, remove_all=True)
            elif (header[keyword], header.comments[keyword]) != (merged[keyword], merged.comments[keyword]):
                header[keyword] = (merged[keyword], merged.comments[keyword])
        return header

    @property
    def obs_id(self) -> str | None:
        """Observation id, such as ``2025W51_1A_0684_2``; `None` where the header has none."""
        return _text(self._image_facts.get("OBSID"))

    @property
    def detector(self) -> int | None:
        """Detector number, 1 to 6; `None` where the header has none."""
        detector = self._image_facts.get("DETECTOR")
        return None if detector is None else int(detector)

    @property
    def version(self) -> str | None:
        """Version of the pipeline that made it; `None` where the primary header has none."""
        unchanged = self._merged_header is None
        return _text((self._headers["PRIMARY"] if unchanged else self.primary_header).get("VERSION"))

    @property
    def calibrations(self) -> dict[str, uuid.UUID]:
        """Butler id of each calibration used, by dataset type, from the ``HISTORY [CALIB]`` cards."""
        return read_calibrations(self._image_facts.header)

    @property
    def origin(self) -> tuple[int, int]:
        """Full-frame pixel (x, y) of the image's first pixel, from the alternate WCS ``A``."""
        return frame_origin(self._image_facts)

    @property
    def _image_facts(self) -> LazyHeader:
        """The IMAGE header as it is now, to look cards up in."""
        return self._headers["IMAGE"] if self._merged_header is None else LazyHeader(self._merged_header)

    def _current_headers(self) -> dict[str, LazyHeader]:
        """Return every header as it is now, in no way tied to ``meta``."""
        if self._merged_header is None:
            return dict(self._headers)
        changed = {"IMAGE": LazyHeader(self.image_header), "PRIMARY": LazyHeader(self.primary_header)}
        return {**self._headers, **changed}


def _text(value: Any) -> str | None:
    return None if value is None else str(value).strip()
