"""The validity ranges of a calibration type, read once for work on many images."""

from __future__ import annotations

__all__ = ("CertifiedCalibrations",)

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from lsst.daf.butler import Butler, DatasetRef

from ..constants import DEFAULT_COLLECTION
from .queries import calibration_types, certifications, search_path
from .ranges import Certification


class CertifiedCalibrations:
    """Which datasets of a type are valid for a detector, and when.

    Parameters
    ----------
    butler
        The repository.
    dataset_type
        A calibration type of each detector; one that the repository does not have has no datasets.
    collections
        Where calibrations are looked for; by default those of ``SPHEREx/defaults``.
    """

    def __init__(self, butler: Butler, dataset_type: str, collections: Iterable[str] = (DEFAULT_COLLECTION,)) -> None:
        self._butler = butler
        self._type = dataset_type
        self._collections = list(collections)

    def of(self, detector: int) -> list[Certification]:
        """Return the ranges of a detector, in the first collection that has any."""
        return self._found[detector]

    def at(self, detector: int, time: int) -> DatasetRef | None:
        """Return what is valid at a time in Butler's nanoseconds, TAI; `None` if nothing is."""
        for found in self.of(detector):
            begin, end = found.timespan.nsec
            if begin <= time < end:
                return found.ref
        return None

    @cached_property
    def _found(self) -> defaultdict[int, list[Certification]]:
        found: defaultdict[int, list[Certification]] = defaultdict(list)
        if not [kind for kind in calibration_types(self._butler) if kind.name == self._type]:
            return found
        for collection in search_path(self._butler, self._collections):
            known = set(found)
            for one in certifications(self._butler, self._type, collection=collection):
                detector = int(one.ref.dataId["detector"])
                if detector not in known:
                    found[detector].append(one)
        return found
