"""Data IDs as users write them: names such as ``D3`` and ``2025W51_1A_0684_2`` become the keys that queries compare."""

from __future__ import annotations

__all__ = ("is_key", "with_keys")

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from lsst.daf.butler import Butler

from ..constants import INSTRUMENT


def with_keys(butler: Butler, data_id: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data ID with the keys of records in the place of their other names.

    A value that is no name of a registered record, and a dimension that the
    repository does not have, stay as they are.
    """
    known = butler.dimensions.dimensions.names
    return {name: _key(butler, name, data_id) if name in known else value for name, value in data_id.items()}


def is_key(butler: Butler, name: str, value: Any) -> bool:
    """Return whether a value is of the type by which queries compare a dimension, and no other name of a record."""
    return isinstance(value, butler.dimensions.dimensions[name].primaryKey.getPythonType())


def _key(butler: Butler, name: str, data_id: Mapping[str, Any]) -> Any:
    value, dimension = data_id[name], butler.dimensions.dimensions[name]
    if dimension.primaryKey.getPythonType() is str:
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    if not isinstance(value, str):
        return value
    instrument = {"instrument": data_id.get("instrument", INSTRUMENT)} if "instrument" in dimension.required else {}
    for key in dimension.alternate_keys:
        with butler.query() as query:
            named = getattr(getattr(query.expression_factory, name), key.name) == value
            for record in query.dimension_records(name).where(named, instrument):
                return record.dataId[name]
    return value
