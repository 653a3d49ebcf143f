"""An `~astropy.io.fits.HDUList` of a file, or of HDUs chosen by name or number, and how one is written.

What is read is parsed lazily over bytes in memory.  The HDUs keep the file's
order.  The primary header always comes along, without its data unless they
were asked for.  What is written are copies, so that the caller's HDUs do not
change, and with valid checksums.
"""

from __future__ import annotations

__all__ = ("copy_hdus", "read_hdus", "read_headers", "write_hdus")

import copy
import io
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from astropy.io import fits

from ...errors import FormatError, ParameterError
from .file import FitsFile
from .hdu import HduInfo
from .tile_reading import check_tiles

_OF_DATA = ("BSCALE", "BZERO", "BLANK", "GROUPS", "PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM")


def read_hdus(file: FitsFile, hdus: Any = None) -> fits.HDUList:
    """Return HDUs of a file, reading no bytes of the others.

    They are chosen by a name, a number, a ``(name, version)`` or a list of
    these; `None` for all.
    """
    chosen = _select(file, hdus)
    for info in chosen:
        if info.is_compressed and 0 not in info.shape:
            check_tiles(info)
    parts = file.read(_joined(chosen), chosen[-1]) if chosen else []
    if file.primary not in chosen:
        parts.insert(0, _without_data(file.primary))
    return fits.open(io.BytesIO(b"".join(parts)), memmap=False)


def read_headers(file: FitsFile, hdus: Any = None) -> dict[str | int, fits.Header]:
    """Return the headers of HDUs, chosen as by `read_hdus`, by name.

    A nameless HDU has its number as key, and a name that comes again
    ``"NAME,2"``.
    """
    headers: dict[str | int, fits.Header] = {}
    for info in _select(file, hdus):
        keys: tuple[str | int, ...] = (info.name, f"{info.name},{_version(info)}") if info.name else ()
        key = next((key for key in keys if key not in headers), info.index)
        headers[key] = info.header.header
    return headers


def _select(file: FitsFile, wanted: Any) -> list[HduInfo]:
    file.check_complete(padded=False)
    infos = file.hdus()
    if wanted is None:
        return infos
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
    version = info.value("EXTVER", 1)
    if not isinstance(version, int):
        raise FormatError(f"HDU {info.name!r} has EXTVER={version!r}; expected a whole number.")
    return version


def _describe(infos: Sequence[HduInfo]) -> str:
    names = Counter(info.name for info in infos)
    versions = {i.index: f", version {_version(i)}" if names[i.name] > 1 and i.name else "" for i in infos}
    return ", ".join(f"{i.index} {i.name!r}{versions[i.index]}" for i in infos)


def _joined(chosen: Sequence[HduInfo]) -> list[tuple[int, int]]:
    """Return the byte ranges of HDUs, merged where one follows the other: a whole file is one range."""
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


def copy_hdus(hdus: fits.HDUList) -> fits.HDUList:
    """Return the HDUs with headers of their own and the same data, to be written."""
    if len(hdus) == 0:
        raise FormatError("The HDUList is empty; expected at least a PrimaryHDU.")
    if not isinstance(hdus[0], fits.PrimaryHDU | fits.GroupsHDU):
        raise FormatError(
            f"HDU 0 is {type(hdus[0]).__name__} {hdus[0].name!r}; expected a PrimaryHDU: insert one before it."
        )
    # The only sign astropy gives that a closed file had more HDUs than it had parsed.
    if not getattr(hdus, "_read_all", True):
        raise FormatError(
            f"The HDUList has {len(hdus)} HDUs but its file was closed before all were parsed; "
            "put it while the file is open."
        )
    return fits.HDUList([_copy_hdu(number, hdu) for number, hdu in enumerate(hdus)])


def _copy_hdu(number: int, hdu: Any) -> Any:
    info = hdu.fileinfo()
    if info and info["file"].closed and info["datSpan"]:
        try:
            _ = hdu.data
        except (OSError, ValueError) as error:
            raise FormatError(
                f"The data of HDU {number} ({hdu.name!r}) are not in memory and its file is closed ({error}); "
                "put the HDUList while the file is open, or open it with memmap=False and read them."
            ) from error
    clone = copy.copy(hdu)
    # Not by the header property: it would mark data that are unchanged as changed, and so convert them.
    clone._header = hdu.header.copy()  # noqa: SLF001
    clone._header._modified = hdu.header._modified  # noqa: SLF001
    if "data" not in vars(hdu):
        # Pixels that were not looked at are copied as stored; astropy would scale them and drop the scaling's cards.
        clone._data_needs_rescale = False  # noqa: SLF001
    return clone


def write_hdus(hdus: fits.HDUList, path: str) -> None:
    """Write HDUs, which may change, and renew the checksums that are in their headers."""
    hdus.writeto(path, output_verify="silentfix+exception")
    if not any({"CHECKSUM", "DATASUM"} & set(hdu.header) for hdu in hdus):
        return
    # Of the bytes as they are in the file, hence not at writing.
    with fits.open(path, mode="update", memmap=False, disable_image_compression=True) as written:
        for hdu in written:
            if "CHECKSUM" in hdu.header:
                hdu.add_checksum()
            elif "DATASUM" in hdu.header:
                hdu.add_datasum()
