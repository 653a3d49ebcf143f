"""The saved real headers, made those of the full frame."""

from __future__ import annotations

__all__ = ("flags_template", "image_template")

from functools import lru_cache
from importlib.resources import files

from astropy.io import fits

from ..constants import FULL_FRAME


@lru_cache
def image_template() -> fits.Header:
    """Return the full-frame IMAGE header of a real QR2 file; copy it before changing it."""
    return _full_frame("image_header.txt")


@lru_cache
def flags_template() -> fits.Header:
    """Return the full-frame FLAGS header of the same file; copy it before changing it."""
    return _full_frame("flags_header.txt")


def _full_frame(name: str) -> fits.Header:
    # The saved headers are of an archive cutout; alternate WCS "A" holds its origin.
    text = (files(__package__) / "data" / name).read_text(encoding="ascii")
    header = fits.Header.fromstring(text, sep="\n")
    for axis in (1, 2):
        header[f"NAXIS{axis}"] = FULL_FRAME
        header[f"CRPIX{axis}"] += 1 - header[f"CRPIX{axis}A"]
        header[f"CRPIX{axis}A"] = header[f"CRPIX{axis}W"] = 1.0
    return header
