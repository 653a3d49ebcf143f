"""What the FITS formatters share: write recipes, provenance and remote reads."""

from __future__ import annotations

__all__ = ("FITS_RECIPES", "add_provenance_cards", "read_remote")

from collections.abc import Callable, Mapping
from typing import Any

from astropy.io import fits
from lsst.daf.butler import DatasetProvenance, DatasetRef
from lsst.resources import ResourcePath

from ..formats.fits.cards import PREFIX, strip_provenance
from ..formats.fits.file import FitsFile

FITS_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "none": {"compression": None, "quantize_level": 0.0},
    "gzip_2": {"compression": "GZIP_2", "quantize_level": 0.0},
    "rice_1": {"compression": "RICE_1", "quantize_level": 0.0},
}
"""Write recipes of images.

``compression`` is a tile compression astropy knows, or `None`; a plane that it
cannot hold without loss is written with GZIP_2.  ``quantize_level`` above zero
quantizes float planes, which *loses* digits: noise / ``quantize_level`` is the
step (FITS standard 4.0, section 10.2).
"""

_MAX_INPUTS = 3000  # as Rubin's obs_base: beyond that a header is no place for them


def read_remote(uri: ResourcePath, expected_size: int, read: Callable[[FitsFile], Any]) -> Any:
    """Read a part of a remote file by byte ranges.

    Parameters
    ----------
    uri
        The file.
    expected_size
        Its size in bytes, if above zero.
    read
        Reads what is wanted.

    Returns
    -------
    part
        What ``read`` returns; `NotImplemented` where only the whole file can be fetched.
    """
    try:
        # Needs an extra, without which Butler's own download still works.
        from ..files.remote import NoRangesError, remote_ranges  # noqa: PLC0415
    except ImportError:
        return NotImplemented
    if uri.getExtension().endswith(".gz"):
        return NotImplemented
    size = expected_size if expected_size > 0 else None
    try:
        return read(FitsFile(remote_ranges(uri, size), size, repr(str(uri))))
    except NoRangesError:
        return NotImplemented


def add_provenance_cards(header: fits.Header, ref: DatasetRef, provenance: DatasetProvenance | None) -> None:
    """Say in a header which dataset it belongs to and what that was made from, in place of what it said."""
    strip_provenance(header)
    flat = (provenance or DatasetProvenance()).to_flat_dict(
        ref, prefix=f"HIERARCH {PREFIX}", sep=" ", simple_types=True, max_inputs=_MAX_INPUTS
    )
    for keyword, value in flat.items():
        header.append(fits.Card(keyword, value), end=True)
