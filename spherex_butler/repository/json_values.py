"""Reports as JSON: how times, quantities, datasets and other values of ours are written there, always in one way."""

from __future__ import annotations

__all__ = ("json_text", "json_value")

import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from os import PathLike, fspath
from typing import Any

import astropy.units as u
import numpy as np
from astropy.time import Time
from astropy.utils.masked import Masked
from lsst.daf.butler import DataCoordinate, DatasetRef, Timespan
from lsst.resources import ResourcePath

from ..errors import hide_secrets
from .times import format_time


def json_text(content: Any) -> str:
    """Return a JSON document, with a line for each value."""
    return json.dumps(json_value(content), indent=1, ensure_ascii=False, allow_nan=False)


def json_value(value: Any) -> Any:
    """Return a value as what JSON can hold.

    What has a method ``to_dict`` is written as that gives it. Besides:

    - a time is ``{"value": …, "scale": "utc"}``, its value ISO 8601 text;
    - a time span is ``{"begin": …, "end": …}``, `None` where it is open;
    - a quantity is ``{"value": …, "unit": …}``;
    - a dataset is ``{"dataset_type", "data_id", "run", "id", "storage_class"}``;
    - an enumeration is its value, an array a list, and a number that is masked, infinite or not one is `None`, as is a
      time that is masked.

    Passwords in texts are hidden.

    Raises
    ------
    TypeError
        Raised if it is none of these.
    """
    if value is None or isinstance(value, bool):
        return value
    write = next((write for kinds, write in _WRITERS if isinstance(value, kinds)), None)
    if write is not None:
        return write(value)
    if hasattr(value, "to_dict"):
        return json_value(value.to_dict())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_value(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{value!r} is a {type(value).__name__}, of which no JSON is known; expected plain values.")


def _mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(json_value(key)): json_value(value) for key, value in values.items()}


def _list(values: Iterable[Any]) -> list[Any]:
    return [json_value(value) for value in values]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _time(time: Time) -> dict[str, Any] | None:
    return None if np.all(time.mask) else {"value": format_time(time), "scale": "utc"}


def _dataset(ref: DatasetRef) -> dict[str, Any]:
    return {
        "dataset_type": ref.datasetType.name,
        "data_id": json_value(ref.dataId),
        "run": ref.run,
        "id": str(ref.id),
        "storage_class": ref.datasetType.storageClass_name,
    }


_WRITERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: json_value(value.value)),
    (str, hide_secrets),
    (int, int),
    (float, lambda value: _number(float(value))),
    (np.ma.core.MaskedConstant, lambda _: None),
    (Time, _time),
    (Timespan, lambda span: {"begin": json_value(span.begin), "end": json_value(span.end)}),
    (u.Quantity, lambda quantity: {"value": json_value(quantity.value), "unit": str(quantity.unit)}),
    (u.UnitBase, str),
    (DatasetRef, _dataset),
    (DataCoordinate, lambda data_id: _mapping(data_id.required)),
    (np.ma.MaskedArray, lambda array: json_value(array.tolist())),
    (Masked, lambda array: json_value(np.ma.MaskedArray(array.unmasked, array.mask))),
    (np.ndarray | np.generic, lambda array: json_value(array.tolist())),
    (uuid.UUID | ResourcePath | np.dtype, lambda value: hide_secrets(str(value))),
    (PathLike, fspath),
    (Mapping, _mapping),
    (list | tuple, _list),
)
"""How each kind of value is written; the first that fits."""
