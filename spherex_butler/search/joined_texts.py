"""Columns that the database joins into one text, because a row each takes Python far longer."""

from __future__ import annotations

__all__ = ("MOST_NUMBERS", "SEPARATOR", "integers", "is_one_of", "joined_column")

from collections.abc import Iterable
from typing import Any

import numpy as np
import sqlalchemy
from numpy.typing import NDArray
from sqlalchemy.sql.functions import aggregate_strings

SEPARATOR = ","

MOST_NUMBERS = 5000
"""Numbers that a statement names; SQLite bounds its length to a million characters."""


def is_one_of(column: Any, numbers: Iterable[int]) -> sqlalchemy.ColumnElement[bool]:
    """Return the condition that a column has one of some integers, which are part of the statement.

    As parameters, thousands of them would take longer to pass than the database needs to find their rows.
    """
    listed = ",".join(map(str, map(int, numbers)))
    return sqlalchemy.type_coerce(
        column.op("IN")(sqlalchemy.literal_column(f"({listed or 'NULL'})")), sqlalchemy.Boolean
    )


def joined_column(column: Any) -> Any:
    """Return the expression that joins a column of a statement's rows into one text."""
    return aggregate_strings(sqlalchemy.cast(column, sqlalchemy.Text), SEPARATOR)


def integers(text: str) -> NDArray[np.int64]:
    """Return the integers in a joined text."""
    return np.fromstring(text, np.int64, sep=SEPARATOR)
