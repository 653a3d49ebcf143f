"""A picture of when a position was seen at which wavelength."""

from __future__ import annotations

__all__ = ("plot_sampling",)

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import numpy as np
from astropy.table import Table
from astropy.time import Time
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from numpy.typing import NDArray

from ..constants import DETECTORS
from ..errors import ParameterError
from ..images.channels import channel_edges
from .axes import given_axes, new_axes
from .colors import DETECTOR_MARKS
from .tables import RANGE, label_wavelengths, micrometres, rows_of_position

_SIZE = 9.0, 5.0  # inches
_COLUMNS = ("detector", "wavelength", "bandwidth", "time")
_DAY = timedelta(days=1)


def plot_sampling(table: Table, *, source: object = None, ax: Axes | None = None) -> Axes:
    """Draw when a position was seen at which wavelength, each image as a mark as high as its band is wide.

    Parameters
    ----------
    table
        What `~spherex_butler.search.find_images` returned for one position, or a file that it was saved to, as a table.
        Rows without a wavelength are counted in the title.
    source
        Which of several positions, by its name or number in the column ``source``.
    ax
        Plain axes; by default of a new figure of pyplot.

    Returns
    -------
    ax
        The axes: time to the right, UTC, and wavelength upwards, in µm on a logarithmic scale; the bands of the six
        detectors are shaded.

    Raises
    ------
    ParameterError
        Raised if the table lacks a column, is of several positions of which none is chosen, or has none of that name.
    """
    rows = rows_of_position(table, _COLUMNS, source, made_by="find_images")
    ax = new_axes(*_SIZE) if ax is None else given_axes(ax)
    seen = _Seen.of(rows)
    for detector in reversed(DETECTORS):  # as they lie above each other
        color, marker = DETECTOR_MARKS[detector]
        edges = channel_edges(detector)
        ax.axhspan(edges[0], edges[-1], color=color, alpha=0.08, lw=0)
        some = seen.detector == detector
        if some.any():
            ax.errorbar(
                seen.time[some],
                seen.wavelength[some],
                yerr=seen.bandwidth[some] / 2,
                fmt=marker,
                color=color,
                ms=3.5,
                lw=1,
                label=f"D{detector}: {some.sum()}",
            )
    _label(ax, seen, len(rows) - len(seen.time))
    return ax


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The images whose wavelength is known."""

    detector: NDArray[np.int64]
    wavelength: NDArray[np.float64]
    bandwidth: NDArray[np.float64]
    time: NDArray[Any]

    @classmethod
    def of(cls, table: Table) -> Self:
        """Return those of a table, which may be one of plain columns; times are then text, UTC."""
        wavelength, bandwidth = (micrometres(table[name]) for name in ("wavelength", "bandwidth"))
        known = np.isfinite(wavelength)
        times = _times(table["time"][known]) if known.any() else np.empty(0, object)
        return cls(np.asarray(table["detector"])[known], wavelength[known], bandwidth[known], times)


def _times(column: Any) -> NDArray[Any]:
    try:
        times = column if isinstance(column, Time) else Time([*map(str, column)], scale="utc")
    except ValueError:
        raise ParameterError(
            f"The column 'time' holds {column[0]!r}; expected times of astropy, or text such as 2025-05-05T09:19:38."
        ) from None
    return np.asarray(times.utc.datetime)


def _label(ax: Axes, seen: _Seen, unknown: int) -> None:
    ax.set(yscale="log", ylim=RANGE, xlabel="time [UTC]", ylabel="wavelength [µm]")
    label_wavelengths(ax.yaxis)
    left_out = f"; {unknown} more of unknown wavelength" if unknown else ""
    if not len(seen.time):
        ax.set(xticks=[])
        ax.text(0.5, 0.5, f"no images{left_out}", ha="center", va="center", transform=ax.transAxes)
        return
    number = len(seen.time)
    ax.set_title(f"{number} {'image' if number == 1 else 'images'}{left_out}", fontsize="medium")
    if seen.time.max() - seen.time.min() < _DAY:
        ax.set_xlim(seen.time.min() - _DAY / 2, seen.time.max() + _DAY / 2)
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    ax.xaxis.set(major_locator=locator, major_formatter=formatter)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, fontsize="small", frameon=False)
