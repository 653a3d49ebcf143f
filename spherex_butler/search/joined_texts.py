"""Columns that the database joins into one text, because a row each takes Python far longer."""

from __future__ import annotations

__all__ = ("SEPARATOR", "integers", "joined_column")

from typing import Any

import numpy as np
import sqlalchemy
from numpy.typing import NDArray
from sqlalchemy.sql.functions import aggregate_strings

SEPARATOR = ","


def joined_column(column: Any) -> Any:
    """Return the expression that joins a column of a statement's rows into one text."""
    return aggregate_strings(sqlalchemy.cast(column, sqlalchemy.Text), SEPARATOR)


def integers(text: str) -> NDArray[np.int64]:
    """Return the integers in a joined text."""
    return np.array(text.split(SEPARATOR), np.int64)
