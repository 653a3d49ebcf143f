"""Units as VOTable has them, and those it has not."""

from __future__ import annotations

__all__ = ("parse_unit", "unit_text")

import warnings

import astropy.units as u

from ..errors import FormatError

_FORMATS = ("vounit", "generic", "cds", "fits", "ogip")


def parse_unit(text: str, version: str = "1.4") -> u.UnitBase:
    """Return the unit that a ``unit`` attribute names.

    Parameters
    ----------
    text
        The attribute.
    version
        The VOTable's version: before 1.4 the standard was that of the CDS,
        since then VOUnits.  Whatever else astropy can read is understood, too.

    Returns
    -------
    unit
        An `~astropy.units.UnrecognizedUnit` if nothing understands it, so
        that its name is kept.
    """
    formats = ("cds", *_FORMATS) if version in {"1.0", "1.1", "1.2", "1.3"} else _FORMATS
    with warnings.catch_warnings():
        # Deprecated spellings ("Angstrom" in VOUnits) are what files have.
        warnings.simplefilter("ignore", u.UnitsWarning)
        for name in formats:
            try:
                return u.Unit(text, format=name, parse_strict="raise")
            except ValueError:
                continue
        return u.Unit(text, parse_strict="silent")


def unit_text(unit: u.UnitBase, what: str) -> str:
    """Return what to write for a unit: VOUnits if they can express it, else astropy's own syntax.

    Parameters
    ----------
    unit
        The unit.
    what
        What has it, for the error.

    Raises
    ------
    FormatError
        Raised if no text reads back as this unit.
    """
    for name in ("vounit", "generic"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", u.UnitsWarning)
                text: str = unit.to_string(name)
        except ValueError:
            continue
        if text and parse_unit(text) == unit:
            return text
    if unit == u.dimensionless_unscaled:
        return ""
    raise FormatError(
        f"{what} has the unit {unit!r}, which cannot be read back from text; "
        "convert it to a unit that astropy.units.Unit() understands, or store the table as HDF5Table."
    )
