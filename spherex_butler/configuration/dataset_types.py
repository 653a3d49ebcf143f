"""Which dataset types a SPHEREx repository begins with, read from ``datasetTypes.yaml``."""

from __future__ import annotations

__all__ = ("DatasetTypeDefinition", "dataset_types", "definitions")

from functools import cache

from lsst.daf.butler import Config, DatasetType, DimensionUniverse
from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..paths import config_uri


class DatasetTypeDefinition(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimensions: list[str]
    storageClass: str
    isCalibration: bool
    detectors: list[int] | None = None
    """Those that the archive has such products of; `None` for all."""


@cache
def definitions() -> dict[str, DatasetTypeDefinition]:
    """Return the definitions, by dataset type."""
    entries = Config(config_uri("repository/datasetTypes.yaml")).toDict()
    return TypeAdapter(dict[str, DatasetTypeDefinition]).validate_python(entries)


def dataset_types(universe: DimensionUniverse) -> list[DatasetType]:
    """Return the dataset types of the archive's products, in the SPHEREx universe or an extension of it."""
    return [
        DatasetType(name, universe.conform(entry.dimensions), entry.storageClass, isCalibration=entry.isCalibration)
        for name, entry in definitions().items()
    ]
