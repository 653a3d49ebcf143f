"""The base of every formatter of FITS files: parts read by byte range, local or remote, and provenance in headers."""

from __future__ import annotations

__all__ = ("FITSFormatter", "kept_open")

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from astropy.io import fits
from lsst.daf.butler import DatasetProvenance
from lsst.resources import ResourcePath

from ..files.remote import NoRangesError, remote_ranges
from ..formats.fits.cards import PREFIX, strip_provenance
from ..formats.fits.file import FitsFile, open_local_fits
from ..formats.fits.hdu_list import write_hdus
from ..formats.fits.tile_compression import RECIPES
from .base import BaseFormatter

_MAX_INPUTS = 3000  # as Rubin's obs_base: beyond that a header is no place for them

_Kept = dict[tuple[str, int | None], FitsFile]

_kept: ContextVar[_Kept | None] = ContextVar("kept", default=None)
"""Files that stay open, by address and size; of one thread."""


@contextmanager
def kept_open() -> Iterator[None]:
    """Keep remote files open until the end of the block, for all that the same thread gets of them.

    What is got of a file later takes fewer requests then, because its headers are known, and is of the same version of
    the file: after the first cutout of an image the next ones take 4 requests instead of 9.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def _opened(uri: ResourcePath, size: int | None) -> FitsFile:
    kept = _kept.get()
    known = None if kept is None else kept.get((str(uri), size))
    file = known or FitsFile(remote_ranges(uri, size), size, repr(str(uri)), remote=True)
    if kept is not None:
        kept[str(uri), size] = file
    return file


class FITSFormatter(BaseFormatter):
    """A formatter of FITS files, whose readers take a `~spherex_butler.formats.fits.file.FitsFile`.

    A subclass gives `readers`, `parameters` and `to_hdulist`.  Of a remote
    file, a component or a ``get`` with parameters reads byte ranges; the whole
    file is left to Butler, which keeps it in its cache.  The primary header of
    what is written says which dataset it is, and what that was made from.
    """

    default_extension: ClassVar[str | None] = ".fits"
    supported_extensions: ClassVar[AbstractSet[str]] = frozenset({".fits", ".fit", ".fts", ".fits.gz", ".fits.fz"})
    can_read_from_uri: ClassVar[bool] = True
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = RECIPES
    default_recipe: ClassVar[str] = "none"

    @abstractmethod
    def to_hdulist(self, dataset: Any) -> fits.HDUList:
        """Return the HDUs of a dataset, in the way of the `recipe`; the headers are ours to change."""

    def open_file(self, path: str) -> AbstractContextManager[FitsFile]:
        """Open a local file."""
        return open_local_fits(path)

    def read_from_uri(self, uri: ResourcePath, component: str | None = None, expected_size: int = -1) -> Any:
        """Return a part of a remote file; `NotImplemented` where Butler has to fetch the file whole."""
        if uri.isLocal:
            return self.read_from_local_file(uri.ospath, component, expected_size)
        if (component is None and not self.read_parameters) or uri.getExtension().endswith(".gz"):
            return NotImplemented
        size = expected_size if expected_size > 0 else None
        try:
            file = _opened(uri, size)
            try:
                return self.read_part(file, component)
            finally:
                file.forget_pixels()
        except NoRangesError:
            return NotImplemented

    def add_provenance(self, in_memory_dataset: Any, /, *, provenance: DatasetProvenance | None = None) -> fits.HDUList:
        """Return the HDUs to be written, with the dataset's provenance in the primary header."""
        hdus = self.to_hdulist(in_memory_dataset)
        header = hdus[0].header
        strip_provenance(header)
        flat = (provenance or DatasetProvenance()).to_flat_dict(
            self.dataset_ref, prefix=f"HIERARCH {PREFIX}", sep=" ", simple_types=True, max_inputs=_MAX_INPUTS
        )
        for keyword, value in flat.items():
            header.append(fits.Card(keyword, value), end=True)
        return hdus

    def write_local_file(self, in_memory_dataset: fits.HDUList, uri: ResourcePath) -> None:
        """Write what `add_provenance` returned."""
        write_hdus(in_memory_dataset, uri.ospath)
