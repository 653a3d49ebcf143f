"""HDUs of a file, chosen by name or number, as an `~astropy.io.fits.HDUList`.

What is read is parsed lazily over bytes in memory.  The HDUs keep the file's
order.  The primary header always comes along, without its data unless they
were asked for.
"""

from __future__ import annotations

__all__ = ("read_hdus", "read_headers")

import io
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from astropy.io import fits

from ...errors import ParameterError
from .file import FitsFile
from .hdu import HduInfo

_OF_DATA = ("BSCALE", "BZERO", "BLANK", "GROUPS", "PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM")


def read_hdus(file: FitsFile, hdus: Any = None) -> fits.HDUList:
    """Return HDUs of a file, reading no bytes of the others.

    Parameters
    ----------
    file
        The file.
    hdus
        A name, a number, a ``(name, version)`` or a list of these; `None` for all.

    Raises
    ------
    ParameterError
        Raised if the file has no such HDU.
    FormatError
        Raised if the file is not FITS, or is truncated.
    """
    chosen = _select(file, hdus)
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
    return int(info.value("EXTVER", 1))


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
