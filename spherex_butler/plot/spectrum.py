"""A picture of a spectrum: every measurement with its error, or their means in the spectral channels."""

from __future__ import annotations

__all__ = ("SIZE", "plot_spectrum")

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import astropy.units as u
import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..constants import DETECTORS
from ..errors import ParameterError
from ..images.channels import channel_edges
from .axes import given_axes, new_axes
from .colors import DETECTOR_MARKS
from .tables import RANGE, label_wavelengths, micrometres, rows_of_position

SIZE = 9.0, 4.5
"""Width and height of the figure of a spectrum, in inches."""

_COLUMNS = ("detector", "wavelength", "bandwidth", "flux", "flux_error", "masked_fraction")
_MADE_BY = "spherex_butler.spectra.extract_spectrum"

_ROOM = 1.03
_WIDE = 1.8  # times the shortest wavelength; a narrower axis has its own ticks
_TICKS = 6

Numbers = NDArray[np.float64]


def plot_spectrum(
    table: Table,
    *,
    source: object = None,
    binned: bool = False,
    most_masked: float = 0.3,
    unit: u.UnitBase | str = "mJy",
    ax: Axes | None = None,
) -> Axes:
    """Draw the spectrum of a source, each detector in its colour.

    Parameters
    ----------
    table
        What `~spherex_butler.spectra.extract_spectrum` returned, or a file that it was saved to, as a table.
    source
        Which of several sources, by its name or number in the column ``source``.
    binned
        Whether to draw the mean of each of the 102 spectral channels, weighed by the inverse variances, with its error.
    most_masked
        Measurements of which a larger part of the PSF was left out are drawn hollow, and count in no mean.
    unit
        Of the fluxes.
    ax
        Plain axes; by default of a new figure of pyplot.

    Returns
    -------
    ax
        The axes: wavelength to the right, in µm on a logarithmic scale, over the range of the detectors that have
        points; flux with its error upwards. Measurements without a flux are counted in the title.

    Raises
    ------
    ParameterError
        Raised if the table lacks a column, is of several sources of which none is chosen, or has none of that name,
        or the unit is none of flux densities.
    """
    rows = rows_of_position(table, _COLUMNS, source, made_by=_MADE_BY)
    _require_detectors(rows)
    points = _Points.of(rows, _flux_unit(unit), most_masked)
    unknown = len(rows) - len(points.flux)
    ax = new_axes(*SIZE) if ax is None else given_axes(ax)
    drawn = points.binned() if binned else points
    for detector in DETECTORS:
        _draw(ax, drawn.where(drawn.detector == detector), detector)
    _label(ax, drawn, str(u.Unit(unit)), unknown, what="channel" if binned else "point")
    return ax


def _flux_unit(unit: u.UnitBase | str) -> u.UnitBase:
    try:
        found = u.Unit(unit)
        u.Jy.to(found)
    except (ValueError, TypeError, u.UnitConversionError):
        raise ParameterError(f"unit={unit!r} is not a unit of flux density; expected one such as 'mJy'.") from None
    return found


def _require_detectors(table: Table) -> None:
    if unknown := set(np.asarray(table["detector"]).tolist()) - set(DETECTORS):
        raise ParameterError(f"The column detector has {min(map(repr, unknown))}; expected whole numbers from 1 to 6.")


def _in_unit(table: Table, name: str, unit: u.UnitBase) -> Numbers:
    """Return the values of a column in a unit."""
    try:
        return micrometres(table[name]) if unit == u.um else np.asarray(_quantity(table[name]).to_value(unit))
    except (u.UnitConversionError, TypeError, ValueError) as error:
        raise ParameterError(
            f"The column {name} cannot be drawn in {unit} ({error}); expected what {_MADE_BY} returns."
        ) from None


def _quantity(column: Any) -> u.Quantity:
    """Return the fluxes of a column, in Jy if it has no unit, NaN where there is none."""
    values = column.filled(np.nan) if hasattr(column, "filled") else column
    return u.Quantity(values, getattr(values, "unit", None) or u.Jy, dtype=float)


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """What is drawn: measurements, or their means."""

    detector: NDArray[np.int64]
    wavelength: Numbers
    bandwidth: Numbers
    flux: Numbers
    error: Numbers
    good: NDArray[np.bool_]

    @classmethod
    def of(cls, table: Table, unit: u.UnitBase, most_masked: float) -> Self:
        """Return the measurements of a table that have a flux."""
        flux, error = (_in_unit(table, name, unit) for name in ("flux", "flux_error"))
        found = cls(
            np.asarray(table["detector"]),
            _in_unit(table, "wavelength", u.um),
            _in_unit(table, "bandwidth", u.um),
            flux,
            error,
            np.asarray(table["masked_fraction"], float) <= most_masked,
        )
        return found.where(np.isfinite(found.flux) & np.isfinite(found.error) & (found.error > 0))

    def where(self, some: NDArray[np.bool_]) -> Self:
        """Return some of the points."""
        names = ("detector", "wavelength", "bandwidth", "flux", "error", "good")
        return replace(self, **{name: getattr(self, name)[some] for name in names})

    def binned(self) -> Self:
        """Return the mean of the good points in each spectral channel that has any."""
        parts = [part for detector in DETECTORS for part in self._channels(detector)]
        detector, wavelength, bandwidth, flux, error = np.array(parts, float).reshape(len(parts), 5).T
        good = np.ones(len(parts), bool)
        return type(self)(detector.astype(int), wavelength, bandwidth, flux, error, good)

    def _channels(self, detector: int) -> list[tuple[float, ...]]:
        edges = channel_edges(detector)
        found: list[tuple[float, ...]] = []
        for low, high in pairwise(edges.tolist()):
            inside = self.where(
                self.good & (self.detector == detector) & (self.wavelength >= low) & (self.wavelength < high)
            )
            if len(inside.flux):
                weights = 1 / inside.error**2
                mean, error = float(weights @ inside.flux / weights.sum()), float(weights.sum() ** -0.5)
                found.append((detector, (low + high) / 2, high - low, mean, error))
        return found


def _draw(ax: Axes, points: _Points, detector: int) -> None:
    color, marker = DETECTOR_MARKS[detector]
    for some, options in ((points.good, {}), (~points.good, {"mfc": "none", "alpha": 0.6})):
        if some.any():
            name = f"D{detector}: {some.sum()}{'' if not options else ', partly masked'}"
            part = points.where(some)
            style: dict[str, Any] = {"fmt": marker, "color": color, "ms": 4, "lw": 1, "label": name, **options}
            ax.errorbar(part.wavelength, part.flux, part.error, part.bandwidth / 2, **style)


def _span(points: _Points) -> tuple[float, float]:
    """Return the wavelengths that the detectors see which have points, with some room; all if none has."""
    edges = [channel_edges(detector) for detector in DETECTORS if (points.detector == detector).any()]
    return (edges[0].min() / _ROOM, edges[-1].max() * _ROOM) if edges else RANGE


def _label(ax: Axes, points: _Points, unit: str, unknown: int, *, what: str) -> None:
    low, high = _span(points)
    ax.set(xscale="log", xlim=(low, high), xlabel="wavelength [µm]", ylabel=f"flux density [{unit}]")
    label_wavelengths(ax.xaxis)
    if high < _WIDE * low:
        ax.xaxis.set_major_locator(MaxNLocator(_TICKS, steps=[1, 2, 5, 10]))
    left_out = f"; {unknown} more without a flux" if unknown else ""
    number = len(points.flux)
    if not number:
        ax.text(0.5, 0.5, f"no measurements{left_out}", ha="center", va="center", transform=ax.transAxes)
        return
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.set_title(f"{number} {what}{'' if number == 1 else 's'}{left_out}", fontsize="medium")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, fontsize="small", frameon=False)
