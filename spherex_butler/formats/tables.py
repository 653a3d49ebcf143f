"""What is said of a table without handing over its data, and the values of a column whatever file it is from."""

from __future__ import annotations

__all__ = ("column_values", "dtype_name", "table_schema")

from typing import Any

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the short name of a dtype, which `numpy.dtype` takes: ``"float64"``, ``"U10"``, ``"object"``."""
    return dtype.str.lstrip("<>|=") if dtype.kind in "SUV" and dtype.names is None else dtype.name


def column_values(column: Any) -> NDArray[Any]:
    """Return the values of a column; text also of a file such as FITS, of which astropy gives bytes."""
    values = np.asarray(column)
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def table_schema(table: Table) -> dict[str, dict[str, Any]]:
    """Return what each column of a table is.

    ``dtype`` is as by `dtype_name` (`None` where a mixin has none), ``unit`` and ``description`` are strings or
    `None`, ``shape`` is a list, of one row's value, and ``class`` is ``"Column"`` or the name of a mixin's class.
    """
    return {name: _column_schema(table[name]) for name in table.colnames}


def _column_schema(column: Any) -> dict[str, Any]:
    info = column.info
    dtype = getattr(column, "dtype", None)
    return {
        "dtype": None if dtype is None else dtype_name(dtype),
        "unit": None if info.unit is None else str(info.unit),
        "shape": list(column.shape[1:]),
        "description": info.description,
        "class": "Column" if isinstance(column, Column) else type(column).__name__,
        "meta": dict(info.meta or {}),
    }
