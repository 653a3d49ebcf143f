"""The columns of ObsCore tables: what they are called, of which type, and what they mean."""

from __future__ import annotations

__all__ = ("Column", "obscore_columns")

from functools import cache

from lsst.daf.butler import Config
from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..paths import config_uri


class Column(BaseModel):
    """One entry of ``obscore_columns.yaml``; ``datatype`` and ``xtype`` are VOTable's, ``unit`` is VOUnits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    datatype: str
    ucd: str
    doc: str
    unit: str | None = None
    utype: str | None = None
    xtype: str | None = None


@cache
def obscore_columns() -> dict[str, Column]:
    """Return the columns by name, in their order."""
    entries = Config(config_uri("repository/obscore_columns.yaml")).toDict()
    return TypeAdapter(dict[str, Column]).validate_python(entries)
