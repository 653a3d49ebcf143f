"""Files that calibration ingest finds by paths, their names and contents checked, without a repository.

Of a FITS file its headers are read, and of a local one it is checked that all
they announce is there; YAML and gzipped files are read whole.
"""

from __future__ import annotations

__all__ = (
    "PlannedCalibration",
    "calibration_definitions",
    "digest_of",
    "named_detectors",
    "plan_calibrations",
    "require_calibration",
)

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from uuid import UUID

import yaml
from lsst.daf.butler.progress import Progress
from lsst.resources import ResourcePath

from ..arguments import require_number
from ..configuration.dataset_types import DatasetTypeDefinition, definitions
from ..constants import INSTRUMENT
from ..errors import FormatError
from ..files.failures import FailedFile, or_failed
from ..files.fits import open_fits
from ..files.paths import Paths, expand_paths
from ..formats.fits.file import FitsFile
from ..formats.fits.hdu import HduInfo
from ..formats.regular import require_regular
from ..images.ccddata_reading import check_image
from ..names import ProductName, parse_product_name
from ..repository.runs import release_in_path
from .archive_ids import known_archive_ids, stated_id

_DETECTOR = re.compile(r"(?:SPHEREx-)?D?([1-6])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlannedCalibration:
    """A calibration file that can be ingested.

    The digest is of its headers, or of all of it where it is YAML; the release is that of the folder it is in.
    """

    uri: str
    name: ProductName
    release: str | None
    archive_id: UUID | None
    digest: str
    warnings: tuple[str, ...] = ()

    @property
    def data_id(self) -> dict[str, Any]:
        """The instrument, and the detector if the file is for one."""
        of_detector = {} if self.name.detector is None else {"detector": self.name.detector}
        return {"instrument": INSTRUMENT, **of_detector}


@cache
def calibration_definitions() -> Mapping[str, DatasetTypeDefinition]:
    """Return the definitions of the archive's calibrations, by dataset type."""
    return {name: definition for name, definition in definitions().items() if definition.isCalibration}


def plan_calibrations(
    paths: Paths, *, processes: int = 1, archive_ids: Mapping[str, UUID | str] | None = None
) -> tuple[list[PlannedCalibration], list[FailedFile]]:
    """Return the files that can be ingested as calibrations, by type, run and detector, and the others.

    Names and contents are checked; the parameters are those of `.ingest_calibrations`.
    """
    require_number("processes", processes)
    known = known_archive_ids(archive_ids or {})
    found = list(dict.fromkeys(expand_paths(paths, _is_calibration, what="calibration file")))
    uris = [entry for entry in found if isinstance(entry, str)]

    def look(uri: str) -> PlannedCalibration | FailedFile:
        return or_failed(uri, partial(_look_at, uri, known))

    with ThreadPoolExecutor(processes) as pool:
        results = list(
            Progress(__name__).wrap(pool.map(look, uris), total=len(uris), desc="Looking at calibration files")
        )
    planned = [result for result in results if isinstance(result, PlannedCalibration)]
    planned.sort(key=lambda file: (file.name.dataset_type, file.name.run, file.name.detector or 0))
    failed = [entry for entry in [*found, *results] if isinstance(entry, FailedFile)]
    return planned, failed


def _is_calibration(name: str) -> bool:
    """Return whether a file is meant, by begin and end of its name: one with a misspelt token is to be reported."""
    first, _, rest = name.partition("_spx_")
    kind = re.sub(r"_D\d*$", "", first)
    return kind in calibration_definitions() and rest.endswith((".fits", ".fits.gz", ".yaml", ".yml"))


def _look_at(uri: str, archive_ids: Mapping[str, UUID]) -> PlannedCalibration:
    name = parse_product_name(uri)
    definition = _definition(name)
    digest, primary, warnings = _content(definition, name.detector, ResourcePath(uri))
    stated = archive_ids.get(str(name))
    if stated is None and primary is not None:
        stated, doubts = stated_id(name.dataset_type, primary)
        warnings = [*doubts, *warnings]
    said = tuple(f"{uri}: {warning}" for warning in warnings)
    return PlannedCalibration(uri, name, release_in_path(uri), stated, digest, said)


def require_calibration(dataset_type: str, detector: int | None, uri: ResourcePath) -> None:
    """Refuse a file that ingest would refuse as a calibration of this type and detector: cut off, or of another kind.

    Raises
    ------
    FormatError
        Raised if it is.
    """
    _content(calibration_definitions()[dataset_type], detector, uri)


def _content(
    definition: DatasetTypeDefinition, detector: int | None, uri: ResourcePath
) -> tuple[str, bytes | None, list[str]]:
    """Return the digest, the primary header and the oddities of a file, having checked that it is whole and right."""
    if definition.storageClass == "StructuredDataDict":
        return _look_at_yaml(uri), None, []
    with _open_complete(uri) as file:
        infos = file.hdus()
        _require_detector(detector, infos)
        warnings = check_image(file) if definition.storageClass == "CCDData" else []
    return _digest(info.text for info in infos), infos[0].text, warnings


def digest_of(name: ProductName, uri: ResourcePath) -> str:
    """Return the digest that a planned file with this name and content would have."""
    if calibration_definitions()[name.dataset_type].storageClass == "StructuredDataDict":
        return _look_at_yaml(uri)
    with _open_complete(uri) as file:
        return _digest(info.text for info in file.hdus())


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _definition(name: ProductName) -> DatasetTypeDefinition:
    """Return the definition of a product's dataset type, having checked that the name fits it."""
    definition = calibration_definitions().get(name.dataset_type)
    if definition is None:
        raise FormatError(
            f"{str(name)!r} is a {name.dataset_type!r}; expected a calibration: {', '.join(calibration_definitions())}."
        )
    of_detector = "detector" in definition.dimensions
    if (name.detector is not None) != of_detector or name.observation is not None:
        expected = "that of one detector" if of_detector else "one for all detectors"
        raise FormatError(f"{str(name)!r} is not the name of a {name.dataset_type!r}, a file of which is {expected}.")
    is_yaml = definition.storageClass == "StructuredDataDict"
    if name.extension.startswith("y") != is_yaml:
        expected = "YAML" if is_yaml else "FITS"
        raise FormatError(f"{str(name)!r} is a {name.extension!r} file; expected {expected} of {name.dataset_type!r}.")
    return definition


def _look_at_yaml(uri: ResourcePath) -> str:
    if uri.isLocal:
        require_regular(uri.ospath)
    content = uri.read()
    try:
        loaded = yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError) as error:
        raise FormatError(f"{str(uri)!r} cannot be read as YAML of plain values: {error}") from error
    if not isinstance(loaded, dict):
        raise FormatError(f"{str(uri)!r} holds {type(loaded).__name__}; expected a YAML mapping.")
    return _digest([content])


@contextmanager
def _open_complete(uri: ResourcePath) -> Iterator[FitsFile]:
    """Give a FITS file, having checked that it has all the data that its headers announce."""
    with open_fits(uri, size=None if uri.isLocal else uri.size() or None) as file:
        file.check_complete()
        yield file


def _require_detector(expected: int | None, infos: list[HduInfo]) -> None:
    """Check that no header names another detector."""
    for info, card, detector in named_detectors(infos):
        if expected not in {None, detector}:
            raise FormatError(
                f"The name says detector {expected}, HDU {info.name!r} says DETECTOR={card!r}; expected the same."
            )


def named_detectors(infos: Iterable[HduInfo]) -> Iterator[tuple[HduInfo, Any, int]]:
    """Yield the HDUs whose header names a detector, with the card's value and the detector.

    The archive writes it as a number or as text.
    """
    for info in infos:
        card = info.value("DETECTOR")
        if match := _DETECTOR.fullmatch(str(card).strip()):
            yield info, card, int(match[1])
