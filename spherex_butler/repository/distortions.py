"""The distortions of detectors that a repository knows: shipped, or remembered from the first header that was read.

A header is needed for the pixels of a position to a fraction of a pixel, and a search reads none. The distortion of a
detector hardly changes from image to image, so that one header serves them all.
"""

from __future__ import annotations

__all__ = ("DISTORTION", "RUN", "distortion_in", "distortion_of", "remember_distortion", "shipped_distortions")

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from lsst.daf.butler import Butler, Config, DatasetRef, DatasetType, MissingDatasetTypeError
from lsst.daf.butler.registry import ConflictingDefinitionError, MissingCollectionError
from lsst.resources import ResourcePath
from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..constants import INSTRUMENT
from ..errors import reason_of
from ..files.failures import FailingAlone
from ..files.fits import open_fits
from ..formats.fits.lazy_header import LazyHeader
from ..images.distortion import Distortion
from ..images.geometry import celestial_wcs, frame_origin
from ..paths import config_uri
from .failures import one_item
from .image_refs import dataset_text
from .opened import may_write
from .runs import register_run

DISTORTION = "distortion"
"""The dataset type."""

RUN = "SPHEREx/distortions"
"""Its run, which is in no chain."""

_log = logging.getLogger(__name__)

_NOT_KEPT = "The distortion of detector %d, from %s, is not kept in the repository: %s"


class _Numbers(BaseModel):
    """What ``distortions.yaml`` has of a detector, and a dataset of ours."""

    model_config = ConfigDict(extra="forbid")

    source: str
    crpix: tuple[float, float]
    a: list[list[float]]
    b: list[list[float]]

    def distortion(self) -> Distortion:
        return Distortion.of_numbers(self.model_dump())


@cache
def shipped_distortions() -> Mapping[int, Distortion]:
    """Return the distortion of each detector of which a real header is part of this package."""
    entries = Config(config_uri("repository/distortions.yaml")).toDict()
    known = TypeAdapter(dict[int, _Numbers]).validate_python(entries)
    return {detector: numbers.distortion() for detector, numbers in known.items()}


@dataclass(slots=True)
class _Known:
    """What is known in this process: datasets in the repository, and the distortions that were read or remembered."""

    refs: dict[int, DatasetRef]
    distortions: dict[int, Distortion | None] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    """Detectors of which a header was read, or is not needed."""


_KNOWN: WeakKeyDictionary[Butler, _Known] = WeakKeyDictionary()


def _known(butler: Butler) -> _Known:
    if butler not in _KNOWN:
        refs = _stored(butler)
        _KNOWN[butler] = _Known(refs, asked=set(refs))
    return _KNOWN[butler]


def distortion_of(butler: Butler, detector: int) -> Distortion | None:
    """Return a detector's distortion; `None` if no header of the detector was read and none is shipped."""
    known = _known(butler)
    if detector not in known.distortions:
        found = _read(butler, known.refs[detector]) if detector in known.refs else None
        known.distortions[detector] = found or shipped_distortions().get(detector)
    return known.distortions[detector]


def remember_distortion(butler: Butler, ref: DatasetRef, read: Callable[[], Distortion | None]) -> None:
    """Remember a detector's distortion if there is none yet: in the repository, or in this process if it is read-only.

    What fails is warned of in the log.

    Parameters
    ----------
    butler
        The repository.
    ref
        The image whose header says it.
    read
        Returns the distortion, `None` where the header has none. It is called only if it is needed.
    """
    known, detector = _known(butler), int(ref.dataId["detector"])
    if detector in known.asked:
        return
    known.asked.add(detector)
    source = dataset_text(ref)
    with FailingAlone(lambda error: _log.warning(_NOT_KEPT, detector, source, reason_of(error))):
        if (found := read()) is not None:
            known.distortions[detector] = found
            if may_write(butler):
                _write(butler, detector, _Numbers(source=source, **found.numbers()))


def distortion_in(uri: ResourcePath, size: int | None = None) -> Distortion | None:
    """Return the distortion that the IMAGE header of a file has, `None` if it has none."""
    with open_fits(uri, size) as file:
        header = LazyHeader(file["IMAGE"].text)
    return Distortion.of_wcs(celestial_wcs(header), frame_origin(header))


def _stored(butler: Butler) -> dict[int, DatasetRef]:
    try:
        found = butler.query_datasets(DISTORTION, RUN, explain=False, instrument=INSTRUMENT)
    except (MissingCollectionError, MissingDatasetTypeError):
        return {}
    return {int(ref.dataId["detector"]): ref for ref in found}


def _read(butler: Butler, ref: DatasetRef) -> Distortion | None:
    with one_item(lambda error: _log.warning("The distortion %s is left aside: %s", ref, reason_of(error))):
        return _Numbers.model_validate(butler.get(ref)).distortion()
    return None


def _write(butler: Butler, detector: int, numbers: _Numbers) -> None:
    # Not before it is needed: a repository that older code made lacks nothing.
    butler.registry.registerDatasetType(
        DatasetType(DISTORTION, butler.dimensions.conform(["detector"]), "StructuredDataDict")
    )
    register_run(butler, RUN, "What headers say of the detectors' distortion; a search for positions uses it.")
    data_id: dict[str, Any] = {"instrument": INSTRUMENT, "detector": detector}
    try:
        butler.put(numbers.model_dump(mode="json"), DISTORTION, data_id, run=RUN)
        _log.debug("remembered the distortion of detector %d, from %s", detector, numbers.source)
    except ConflictingDefinitionError:  # another process was faster
        _log.debug("the distortion of detector %d is there already", detector)
