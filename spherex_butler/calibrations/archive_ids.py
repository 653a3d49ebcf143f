"""Ids of calibrations: those by which the archive's headers name them, where known, else derived ones.

An image's header says ``HISTORY [CALIB] <type> <uuid>``: the id a calibration
has in the repository that made the image.  Where that id is known when a
calibration is ingested, because the caller, the file's own header or
``archive_ids.yaml`` states it, it becomes the id of our dataset; otherwise the
id follows from data ID, dataset type and run.  So nothing is stored beside the
registry, and an id is the archive's if it is not the derived one.
"""

from __future__ import annotations

__all__ = ("derived_id", "find_by_archive_id", "known_archive_ids", "read_archive_ids", "stated_id")

import os
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from astropy.io import fits
from lsst.daf.butler import Butler, DataCoordinate, DatasetIdFactory, DatasetIdGenEnum, DatasetRef, DatasetType
from lsst.resources import ResourcePath

from ..errors import FormatError, ParameterError
from ..formats.fits.cards import PREFIX
from ..paths import config_uri


def derived_id(dataset_type: DatasetType, data_id: DataCoordinate, run: str) -> uuid.UUID:
    """Return the id that follows from data ID, dataset type and run."""
    return DatasetIdFactory().makeDatasetId(run, dataset_type, data_id, DatasetIdGenEnum.DATAID_TYPE_RUN)


def find_by_archive_id(butler: Butler, dataset_type: str, archive_id: uuid.UUID | str) -> DatasetRef | None:
    """Return the dataset that ``HISTORY [CALIB] <type> <uuid>`` names, `None` if the repository has none by that id."""
    ref = butler.get_dataset(uuid.UUID(str(archive_id)))
    return ref if ref is not None and ref.datasetType.name == dataset_type else None


def known_archive_ids(given: Mapping[str, uuid.UUID | str]) -> dict[str, uuid.UUID]:
    """Return the archive's ids by file name: those given, and those that this package knows."""
    ids = {name: _as_id(name, value) for name, value in given.items()}
    files = {identifier: name for name, identifier in ids.items()}
    for name, identifier in ids.items():
        if files[identifier] != name:
            raise ParameterError(f"{name!r} and {files[identifier]!r} are both given the archive's id {identifier}.")
    return {name: identifier for name, identifier in _shipped_ids().items() if identifier not in files} | ids


def _as_id(name: str, value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError as error:
        raise ParameterError(f"The archive's id of {name!r} is given as {value!r}; expected a UUID.") from error


@cache
def _shipped_ids() -> dict[str, uuid.UUID]:
    found = yaml.safe_load(ResourcePath(config_uri("repository/archive_ids.yaml")).read())
    return {name: uuid.UUID(text) for name, text in found.items()}


def read_archive_ids(path: str | os.PathLike[str]) -> dict[str, uuid.UUID]:
    """Return the archive's ids by file name, from a YAML or JSON file with such a mapping."""
    try:
        found = yaml.safe_load(Path(path).read_bytes())
    except yaml.YAMLError as error:
        raise FormatError(f"{os.fspath(path)!r} cannot be read as YAML: {error}") from error
    if not isinstance(found, dict):
        raise FormatError(f"{os.fspath(path)!r} holds {type(found).__name__}; expected a mapping of file names to ids.")
    return {str(name): _as_id(str(name), value) for name, value in found.items()}


def stated_id(dataset_type: str, primary: bytes) -> tuple[uuid.UUID | None, list[str]]:
    """Return the id that a file's own primary header states, `None` if it states none, and warnings about it."""
    header = fits.Header.fromstring(primary)
    value, kind = (header.get(f"{PREFIX} {name}") for name in ("ID", "DATASETTYPE"))
    if value is None:
        return None, []
    if kind not in {None, dataset_type}:
        return None, [f"its header states the id of a {kind!r}, which was not taken over."]
    try:
        return uuid.UUID(str(value)), []
    except ValueError:
        return None, [f"its header states {value!r} for its id, which is not a UUID and was not taken over."]
