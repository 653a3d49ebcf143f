"""Which dataset types a SPHEREx repository begins with, read from ``datasetTypes.yaml``."""

from __future__ import annotations

__all__ = ("dataset_types",)

from lsst.daf.butler import Config, DatasetType, DimensionUniverse
from pydantic import BaseModel, ConfigDict, TypeAdapter

from .paths import config_uri


class _Definition(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid")

    dimensions: list[str]
    storageClass: str
    isCalibration: bool


_DEFINITIONS = TypeAdapter(dict[str, _Definition])


def dataset_types(universe: DimensionUniverse) -> list[DatasetType]:
    """Return the dataset types of the archive's products.

    Parameters
    ----------
    universe
        The repository's dimensions: the SPHEREx universe or an extension of it.
    """
    entries = Config(config_uri("repository/datasetTypes.yaml")).toDict()
    return [
        DatasetType(
            name,
            universe.conform(entry.dimensions),
            entry.storageClass,
            isCalibration=entry.isCalibration,
        )
        for name, entry in _DEFINITIONS.validate_python(entries).items()
    ]
