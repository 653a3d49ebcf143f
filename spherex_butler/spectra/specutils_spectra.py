"""Spectra as objects of specutils, https://specutils.readthedocs.io, whose class is Spectrum1D before specutils 2."""

from __future__ import annotations

__all__ = ("specutils_spectra",)

from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable, Table

from ..errors import ConfigurationError, ParameterError
from ..formats.tables import column_values

_UNITS = {"wavelength": u.um, "flux": u.Jy, "flux_error": u.Jy}
"""The columns with units, and those of a table that was saved without."""

_COLUMNS = ("source", *_UNITS, "masked_fraction")


def specutils_spectra(table: Table, *, most_masked: float = 0.3) -> dict[Any, Any]:
    """Return the spectra in a table as objects of specutils.

    Parameters
    ----------
    table
        What `extract_spectra` or `extract_spectrum` returned, or a file that it was saved to, as a table.
    most_masked
        Measurements of which a larger part of the PSF was left out are masked, as those without a flux are.

    Returns
    -------
    spectra
        A ``specutils.Spectrum`` for each source, by its name or number in the column ``source``; before specutils 2 a
        ``Spectrum1D``. The points are in order of wavelength; those without a wavelength, in which nothing was read,
        are left out. Uncertainties are standard deviations. ``meta`` is that of the table, with ``"source"``, and
        ``"measurements"``: the rows of the points, in the same order.

    Raises
    ------
    ConfigurationError
        Raised if specutils is not installed.
    ParameterError
        Raised if it is no table, or lacks a column.
    """
    make = _spectrum_class()
    _require_columns(table)
    sources = column_values(table["source"])
    return {
        name: _spectrum(make, table[sources == name], name, most_masked) for name in dict.fromkeys(sources.tolist())
    }


def _spectrum_class() -> Any:
    try:
        import specutils  # noqa: PLC0415 - which no other part of this package needs
    except ImportError as error:
        raise ConfigurationError(
            "This needs specutils, which is not installed: pip install specutils. The table itself is a spectrum for "
            "numpy and matplotlib."
        ) from error
    return getattr(specutils, "Spectrum", None) or specutils.Spectrum1D


def _require_columns(table: Any) -> None:
    if not isinstance(table, Table):
        raise ParameterError(f"The table is a {type(table).__name__}; expected what extract_spectra returns.")
    if missing := [name for name in _COLUMNS if name not in table.colnames]:
        raise ParameterError(
            f"The table has no column {', '.join(missing)}; expected one that extract_spectra returned."
        )


def _spectrum(make: Any, rows: Table, name: Any, most_masked: float) -> Any:
    wavelength = _quantity(rows, "wavelength")
    order = np.argsort(wavelength)[: np.isfinite(wavelength).sum()]  # NaN are last
    rows, wavelength = rows[order], wavelength[order]
    flux, error = _quantity(rows, "flux"), _quantity(rows, "flux_error")
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    good &= np.ma.filled(np.ma.asarray(rows["masked_fraction"], float), np.inf) <= most_masked
    return make(
        flux=flux,
        spectral_axis=wavelength,
        uncertainty=StdDevUncertainty(error.to_value(flux.unit), unit=flux.unit),
        mask=~good,
        meta={**rows.meta, "source": name, "measurements": QTable(rows)},
    )


def _quantity(rows: Table, name: str) -> u.Quantity:
    """Return a column with its unit, NaN where there is no value."""
    column = rows[name]
    unit = getattr(column, "unit", None) or _UNITS[name]
    values = column.filled(np.nan) if hasattr(column, "filled") else column
    return u.Quantity(values, unit, dtype=float)
