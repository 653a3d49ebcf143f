"""What a FITS file says of the dataset it was written as, and of those it was made from."""

from __future__ import annotations

__all__ = ("read_provenance",)

from typing import Any

from lsst.daf.butler import Butler, DatasetRef

from ..errors import ParameterError
from ..files.fits import open_fits
from ..formats.fits.cards import PREFIX, provenance_cards


def read_provenance(butler: Butler, ref: DatasetRef) -> dict[str, Any]:
    """Return the provenance in the primary header of a dataset's file.

    Values by name without `PREFIX`: ``ID``, ``RUN``, ``DATAID EXPOSURE``, ``QUANTUM``, ``INPUT 0 ID``; none for a file
    that Butler did not write, such as one that was ingested.
    """
    uri = butler.getURI(ref)
    if uri.getExtension() not in {".fits", ".fit", ".fts", ".fits.fz"}:
        raise ParameterError(f"{str(uri)!r} is no FITS file; provenance is read from FITS headers only.")
    with open_fits(uri) as file:
        header = file.primary.header.header
    return {card.keyword.removeprefix(f"{PREFIX} "): card.value for card in provenance_cards(header)}
