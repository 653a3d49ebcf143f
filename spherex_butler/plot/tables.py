"""What pictures of tables have in common: the rows of one position, and an axis of wavelengths."""

from __future__ import annotations

__all__ = ("RANGE", "label_wavelengths", "micrometres", "rows_of_position")

from collections.abc import Iterable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from ..errors import ParameterError
from ..formats.tables import column_values

RANGE = (0.7, 5.2)
"""Of the wavelengths that all detectors see together, with some room, µm."""

_TICKS = (0.75, 1, 1.5, 2, 2.5, 3, 4, 5)
_SHOWN = 5  # sources in a message


def label_wavelengths(axis: Axis) -> None:
    """Label a logarithmic axis with wavelengths in µm."""
    axis.set(
        major_locator=FixedLocator(_TICKS), major_formatter=StrMethodFormatter("{x:g}"), minor_locator=NullLocator()
    )


def micrometres(column: Any) -> NDArray[np.float64]:
    """Return the wavelengths of a column in µm, NaN where there is none."""
    values = column.filled(np.nan) if hasattr(column, "filled") else column
    found: NDArray[np.float64] = u.Quantity(values, getattr(values, "unit", None) or u.um, dtype=float).to_value(u.um)
    return found


def rows_of_position(table: object, columns: Iterable[str], source: object, *, made_by: str) -> Table:
    """Return the rows of one position of a table that a function of ours returned.

    Raises
    ------
    ParameterError
        Raised if it is no table, lacks a column, is of several positions of which none is chosen, or has none of that
        name.
    """
    if not isinstance(table, Table):
        raise ParameterError(f"The table is a {type(table).__name__}; expected what {made_by} returns, or Table.read.")
    if missing := [name for name in columns if name not in table.colnames]:
        raise ParameterError(
            f"The table has no column {', '.join(missing)}, but {', '.join(table.colnames) or 'none'}; expected one of "
            f"{made_by}."
        )
    sources = column_values(table["source"]) if "source" in table.colnames else np.zeros(len(table))
    names = list(dict.fromkeys(sources.tolist()))
    if source is None and len(names) > 1:
        shown = ", ".join(map(repr, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")
        raise ParameterError(f"The table is of {len(names)} positions ({shown}); choose one by source={names[0]!r}.")
    if source is not None and source not in names:
        known = ", ".join(map(repr, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")
        raise ParameterError(
            f"source={source!r} is not in the table; expected one of {known or 'none: it has no rows'}."
        )
    return table if source is None else table[sources == source]
