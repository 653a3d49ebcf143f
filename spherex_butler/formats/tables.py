"""What the table formatters say of a table without handing over its data."""

from __future__ import annotations

__all__ = ("dtype_name", "table_schema")

from typing import Any

import numpy as np
from astropy.table import Column, Table


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the short name of a dtype, which `numpy.dtype` takes: ``"float64"``, ``"U10"``, ``"object"``."""
    return dtype.str.lstrip("<>|=") if dtype.kind in "SUV" and dtype.names is None else dtype.name


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
