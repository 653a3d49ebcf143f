"""What VOTable has no place for, as JSON: only what comes back as it was."""

from __future__ import annotations

__all__ = ("json_ready",)

from typing import Any

import numpy as np

from ..errors import FormatError


def json_ready(value: Any, what: str) -> Any:
    """Return ``value`` as JSON can keep it, numpy scalars being turned into Python's.

    Parameters
    ----------
    value
        A string, number, bool or `None`, or lists and string-keyed mappings of them.
    what
        What the value is, for the error.

    Raises
    ------
    FormatError
        Raised for anything that would come back as something else, or not at all.
    """
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, list):
        return [json_ready(item, f"{what}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: json_ready(item, f"{what}[{key!r}]") for key, item in value.items()}
    raise FormatError(
        f"{what} is {value!r} ({type(value).__name__}), which a VOTable cannot keep; expected strings, numbers, "
        "bools, None, and lists or string-keyed dicts of them. Convert or remove it, or store the table as HDF5Table."
    )
