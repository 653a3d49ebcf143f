"""Flag bits of a Level 2 image: how its FLAGS header defines them, and which of them spoil a pixel.

QR2 writes ``MP_<NAME> = bit``, QR3 writes ``MSKNnnnn = '<NAME>'`` with
``MSKMnnnn = 1 << bit`` (both verified on real files).
"""

from __future__ import annotations

__all__ = (
    "KNOWN_FLAGS",
    "USABLE_FLAGS",
    "bit_mask",
    "default_bad_flags",
    "flagged",
    "read_flag_definitions",
    "require_known_flags",
)

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.io.fits import Header, VerifyError
from numpy.typing import NDArray

from ..errors import FormatError, ParameterError, near

KNOWN_FLAGS = frozenset(
    {
        *("TRANSIENT", "OVERFLOW", "SUR_ERROR", "PHANTOM", "REFERENCE", "NONFUNC", "DICHROIC", "MISSING_DATA", "HOT"),
        *("COLD", "FULLSAMPLE", "PHANMISS", "NONLINEAR", "PERSIST", "OUTLIER", "CROSSTALK", "SOURCE", "GHOST"),
        *("GHOST_FPA", "GHOST_EXT", "STREAK", "BLOOM", "SNOWBALL", "HALO", "SATELLITE_HALO"),
    }
)
"""Flags that images of some release define (IRSA SPHEREx documentation, and headers of real files)."""

USABLE_FLAGS = frozenset({"OVERFLOW", "FULLSAMPLE", "OUTLIER", "SOURCE"})
"""Flags that do not spoil a pixel; the archive's own mosaics keep such pixels (IRSA SPHEREx documentation)."""


def read_flag_definitions(header: Header) -> dict[str, int]:
    """Return the bit number of every flag that a FLAGS header of either release defines, in the order of bits.

    Raises
    ------
    FormatError
        Raised if a definition is not one bit, or two flags share one.
    """
    try:
        return _definitions(header)
    except VerifyError as error:
        raise FormatError(f"The FLAGS header cannot be read: {error}") from error


def _definitions(header: Header) -> dict[str, int]:
    definitions = {key[3:]: _whole(key, header[key]) for key in header if key.startswith("MP_")}
    for key in header:
        if key.startswith("MSKN"):
            name = str(header[key]).strip()
            if name in definitions:
                raise FormatError(f"The FLAGS header defines {name!r} twice; expected one bit for each flag.")
            definitions[name] = _bit_of(f"MSKM{key[4:]}", header)
    if len(set(definitions.values())) != len(definitions):
        raise FormatError(f"The FLAGS header gives one bit to two flags: {definitions}.")
    return dict(sorted(definitions.items(), key=lambda item: item[1]))


def default_bad_flags(definitions: Mapping[str, int]) -> tuple[str, ...]:
    """Return the defined flags that spoil a pixel: all but `USABLE_FLAGS`."""
    return tuple(name for name in definitions if name not in USABLE_FLAGS)


def require_known_flags(names: Iterable[str], definitions: Iterable[str], what: str) -> None:
    """Refuse the name of a flag that neither an image nor any release defines: it would mean no pixel.

    Parameters
    ----------
    names
        Of flags.
    definitions
        The flags that an image defines, and others that are known.
    what
        What the caller knows the names as.

    Raises
    ------
    ParameterError
        Raised if there is one.
    """
    known = {*KNOWN_FLAGS, *definitions}
    for name in names:
        if name not in known:
            raise ParameterError(
                f"{what} has {name!r}, which no image defines{near(str(name), known)} Expected some of "
                f"{', '.join(sorted(known))}."
            )


def bit_mask(definitions: Mapping[str, int], names: Iterable[str]) -> int:
    """Return the integer in which the bits of the named flags are set.

    Raises
    ------
    ParameterError
        Raised if a name is not defined.
    """
    mask = 0
    for name in names:
        if name not in definitions:
            raise ParameterError(f"There is no flag {name!r}; this image defines {sorted(definitions)}.")
        mask |= 1 << definitions[name]
    return mask


def flagged(flags: NDArray[Any], definitions: Mapping[str, int], bad: Iterable[str] | None = None) -> NDArray[np.bool_]:
    """Return which pixels have one of the bad flags set; by default one of `default_bad_flags`."""
    names = default_bad_flags(definitions) if bad is None else bad
    # A bit that the array's type lacks is set in no pixel.
    bits = bit_mask(definitions, names) & np.iinfo(flags.dtype).max
    return np.asarray(flags & flags.dtype.type(bits), dtype=bool)


def _whole(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 31:
        raise FormatError(f"FLAGS card {key} is {value!r}; expected a bit number from 0 to 30.")
    return value


def _bit_of(key: str, header: Header) -> int:
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 31 or value & (value - 1):
        raise FormatError(f"FLAGS card {key} is {value!r}; expected a power of two below 2**31.")
    return value.bit_length() - 1
