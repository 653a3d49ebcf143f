"""Any FITS file as it is: `~astropy.io.fits.HDUList`.

Every HDU is written as given; only the primary header gains the cards that say
which dataset it is (see ``HIERARCH LSST BUTLER …``), and cards that break the
FITS standard are repaired where that loses nothing.  Checksums are renewed in
headers that have them.  What is read is parsed lazily over bytes in memory.

With the parameter ``hdus`` only the bytes of those HDUs are read, of remote
files too.  They keep the file's order.  The primary header always comes along, without its data
unless they were asked for.
"""

from __future__ import annotations

__all__ = ("HDUListFormatter",)

import io
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from astropy.io import fits
from lsst.daf.butler import DatasetProvenance
from lsst.resources import ResourcePath

from ..errors import ParameterError
from ..formats.fits.file import FitsFile
from ..formats.fits.hdu import HduInfo
from ..formats.fits.lazy_header import LazyHeader
from ..formats.fits.tile_compression import tile_compressed
from ..formats.fits.whole import copy_hdus, file_ranges, whole_file, write_hdus
from .base import RecipeFormatter
from .fits import FITS_RECIPES, add_provenance_cards, read_remote

_OF_DATA = ("BSCALE", "BZERO", "BLANK", "GROUPS", "PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM")


class HDUListFormatter(RecipeFormatter):
    """Read and write `~astropy.io.fits.HDUList`, or some of its HDUs.

    Notes
    -----
    A recipe other than ``none`` tile-compresses the image extensions that are
    not compressed yet; a primary image and tables stay as they are.

    The component ``headers`` maps each HDU's name to its header: nameless ones
    have their number as key, and a name that comes again ``"NAME,2"``.
    """

    default_extension = ".fits"
    supported_extensions = frozenset({".fits", ".fit", ".fts", ".fits.gz"})
    can_read_from_uri = True
    can_read_from_local_file = True
    recipes = FITS_RECIPES
    default_recipe = "none"

    def add_provenance(
        self, in_memory_dataset: fits.HDUList, /, *, provenance: DatasetProvenance | None = None
    ) -> fits.HDUList:
        """Return the HDUs, ready to be written, with the dataset's provenance in the primary header."""
        hdus = copy_hdus(in_memory_dataset)
        add_provenance_cards(hdus[0].header, self.dataset_ref, provenance)
        return hdus

    def write_local_file(self, in_memory_dataset: fits.HDUList, uri: ResourcePath) -> None:
        """Write what `add_provenance` returned."""
        recipe = self.recipe
        hdus = [tile_compressed(h, recipe) if type(h) is fits.ImageHDU else h for h in in_memory_dataset]
        write_hdus(fits.HDUList(hdus), uri.ospath)

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read the HDUs, or their headers."""
        with file_ranges(path) as (read_ranges, size):
            return self._read(whole_file(read_ranges, size), component)

    def read_from_uri(self, uri: ResourcePath, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a part of a remote file by byte ranges; a whole file is left to Butler, which caches it."""
        if uri.isLocal:
            return self.read_from_local_file(uri.ospath, component, expected_size)
        if component is None and not self.read_parameters:
            return NotImplemented
        return read_remote(uri, expected_size, lambda file: self._read(file, component))

    def _read(self, file: FitsFile, component: str | None) -> Any:
        infos = file.hdus()
        wanted = self.read_parameters.get("hdus")
        chosen = infos if wanted is None else _select(infos, wanted)
        return _headers(chosen) if component == "headers" else _read(file, infos[0], chosen)


def _select(infos: Sequence[HduInfo], wanted: Any) -> list[HduInfo]:
    """Return the HDUs that a name, a number, a ``(name, version)`` or a list of these ask for."""
    single = isinstance(wanted, str) or not isinstance(wanted, Iterable) or _is_name_and_version(wanted)
    chosen: set[int] = set()
    for key in [wanted] if single else wanted:
        matches = _matches(infos, key)
        if not matches:
            raise ParameterError(f"There is no HDU {key!r}; the file has {_describe(infos)}.")
        chosen |= matches
    return [info for info in infos if info.index in chosen]


def _is_name_and_version(key: Any) -> bool:
    return isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str) and not isinstance(key[1], str)


def _matches(infos: Sequence[HduInfo], key: Any) -> set[int]:
    if isinstance(key, str):
        return {info.index for info in infos if info.name == key.strip().upper()}
    if _is_name_and_version(key):
        name, version = key[0].strip().upper(), key[1]
        return {info.index for info in infos if (info.name, _version(info)) == (name, version)}
    try:
        number = operator.index(key)
    except TypeError:
        raise ParameterError(f"hdus has {key!r}; expected a name, a number or (name, version).") from None
    return {number % len(infos)} if -len(infos) <= number < len(infos) else set()


def _version(info: HduInfo) -> int:
    return int(info.value("EXTVER", 1))


def _describe(infos: Sequence[HduInfo]) -> str:
    names = Counter(info.name for info in infos)
    versions = {i.index: f", version {_version(i)}" if names[i.name] > 1 and i.name else "" for i in infos}
    return ", ".join(f"{i.index} {i.name!r}{versions[i.index]}" for i in infos)


def _headers(chosen: Sequence[HduInfo]) -> dict[str | int, fits.Header]:
    headers: dict[str | int, fits.Header] = {}
    for info in chosen:
        keys: tuple[str | int, ...] = (info.name, f"{info.name},{_version(info)}") if info.name else ()
        key = next((key for key in keys if key not in headers), info.index)
        headers[key] = LazyHeader(info.text, compressed=info.is_compressed).header
    return headers


def _read(file: FitsFile, primary: HduInfo, chosen: Sequence[HduInfo]) -> fits.HDUList:
    parts = file.read(_joined(chosen), chosen[-1]) if chosen else []
    if primary not in chosen:
        parts.insert(0, _without_data(primary))
    return fits.open(io.BytesIO(b"".join(parts)), memmap=False)


def _joined(chosen: Sequence[HduInfo]) -> list[tuple[int, int]]:
    """Return the byte ranges of HDUs, those of neighbours as one: a whole file is read in one go."""
    ranges: list[tuple[int, int]] = []
    for info in chosen:
        start = info.header_offset
        if ranges and ranges[-1][1] == start:
            start = ranges.pop()[0]
        ranges.append((start, info.end))
    return ranges


def _without_data(primary: HduInfo) -> bytes:
    header = fits.Header.fromstring(primary.text)
    for keyword in [k for k in header if k in _OF_DATA or (k.startswith("NAXIS") and k != "NAXIS")]:
        header.remove(keyword)
    header["BITPIX"], header["NAXIS"] = 8, 0
    return str(header.tostring()).encode("ascii")
