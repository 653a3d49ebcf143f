"""The calibrations that are valid for images: which these are, and their validity ranges in another repository."""

from __future__ import annotations

__all__ = ("UsedCalibrations", "certify_as_in", "ensure_path", "merged")

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from lsst.daf.butler import Butler, CollectionType, DatasetRef, Timespan
from numpy.typing import NDArray

from ..calibrations.queries import certifications, search_path
from ..calibrations.ranges import Certification, data_id_text, range_text
from ..constants import DEFAULT_COLLECTION, INSTRUMENT
from ..errors import reason_of
from ..repository.contention import retry
from ..repository.failures import one_item
from ..repository.reports import FailedDataset
from ..repository.runs import chain_members, put_in_order
from .transfer import dataset_in


class UsedCalibrations:
    """The calibrations that are valid for images.

    They are searched in those of the collections that hold calibrations, and then in the default ones.
    """

    def __init__(self, source: Butler, collections: Sequence[str]) -> None:
        self.source = source
        self.path = list(dict.fromkeys([*search_path(source, collections), *search_path(source)]))
        self.ranges: list[Certification] = []
        self._unused = [
            certified for collection in self.path for certified in certifications(source, collection=collection)
        ]

    @property
    def datasets(self) -> list[DatasetRef]:
        """The calibrations, each once."""
        return list({certified.ref.id: certified.ref for certified in self.ranges}.values())

    def add_images(self, refs: Iterable[DatasetRef]) -> None:
        """Look up the calibrations of images."""
        times = self._times(refs)
        unused: list[Certification] = []
        for certified in self._unused:
            (self.ranges if _is_used(certified, times) else unused).append(certified)
        self._unused = unused

    def _times(self, refs: Iterable[DatasetRef]) -> dict[int, NDArray[np.int64]]:
        """Return begin and end of the exposures of each detector, of all at 0."""
        exposures: dict[int, set[int]] = defaultdict(set)
        for ref in refs:
            exposures[int(ref.dataId["detector"])].add(int(ref.dataId["exposure"]))
        exposures[0] = set().union(*exposures.values())
        with self.source.query() as query:
            wanted = query.expression_factory.exposure.in_iterable(exposures[0])
            records = query.dimension_records("exposure").where(wanted, instrument=INSTRUMENT) if exposures[0] else ()
            known = {record.id: record.timespan.nsec for record in records if record.timespan is not None}
        return {
            detector: np.array([known[one] for one in ids & known.keys()], dtype=np.int64).reshape(-1, 2)
            for detector, ids in exposures.items()
        }


def _is_used(certified: Certification, times: Mapping[int, NDArray[np.int64]]) -> bool:
    begin, end = certified.timespan.nsec
    images = times.get(int(certified.ref.dataId.get("detector") or 0))
    return images is not None and bool(((images[:, 0] < end) & (images[:, 1] > begin)).any())


def certify_as_in(source: Butler, target: Butler, ranges: Iterable[Certification], failed: list[FailedDataset]) -> int:
    """Certify calibrations for the times they are valid in the source; return how many ranges are new."""
    by_collection: dict[str, list[Certification]] = defaultdict(list)
    for certified in ranges:
        by_collection[certified.collection].append(certified)
    done = 0
    for collection, wanted in by_collection.items():
        known = certifications(target, collection=collection)
        new = (certified for certified in wanted if not _is_known(certified, known))
        done += sum(_try_to_certify(source, target, certified, failed) for certified in new)
    return done


def ensure_path(source: Butler, target: Butler, path: Iterable[str]) -> None:
    """Register calibration collections, and let the target search them in the same order."""
    for collection in path:
        target.collections.register(collection, CollectionType.CALIBRATION)
    members = chain_members(target, DEFAULT_COLLECTION)
    searched = [name for name in chain_members(source, DEFAULT_COLLECTION) if name in {*path, *members}]
    if not set(searched) <= set(members):
        target.collections.prepend_chain(DEFAULT_COLLECTION, merged(members, searched))
        put_in_order(target, DEFAULT_COLLECTION)


def merged(members: Iterable[str], searched: Sequence[str]) -> list[str]:
    """Return members in their order, with others before those that these are searched before."""
    found = list(members)
    position = len(found)
    for name in reversed(searched):
        if name in found:
            position = found.index(name)
        else:
            found.insert(position, name)
    return found


def _try_to_certify(source: Butler, target: Butler, certified: Certification, failed: list[FailedDataset]) -> bool:
    """Return whether a range was certified; it was not where that failed, or another process was faster."""
    errors: list[Exception] = []
    with one_item(errors.append):
        retry(partial(_certify, source, target, certified))
    for error in errors:
        if not _is_known(certified, certifications(target, collection=certified.collection)):
            text = f"{certified.ref.datasetType.name} {data_id_text(certified.ref)} in {certified.collection}"
            reason = (
                f"{reason_of(error)} It is valid {range_text(certified.timespan)} in the source; decertify what the "
                "target has for that time, and export again."
            )
            failed.append(FailedDataset(text, reason))
    return not errors


def _certify(source: Butler, target: Butler, certified: Certification) -> None:
    """Certify a range, in place of what the source had for that time and has given up since."""
    ref, collection = dataset_in(target, certified.ref), certified.collection
    kind, timespan = ref.datasetType, certified.timespan
    with target.transaction():
        if _conflicts(target, certified):
            target.registry.decertify(collection, kind, Timespan.makeEmpty())  # locks, until the conflicts are read
            theirs = certifications(source, kind.name, collection=collection)
            if all(_is_given_up(source, old, theirs, certified) for old in _conflicts(target, certified)):
                target.registry.decertify(collection, kind, timespan, dataIds=[ref.dataId])
        target.registry.certify(collection, [ref], timespan)


def _conflicts(target: Butler, certified: Certification) -> list[Certification]:
    data_id = certified.ref.dataId.required_values
    return [
        old
        for old in certifications(target, certified.ref.datasetType.name, collection=certified.collection)
        if old.ref.dataId.required_values == data_id and old.timespan.overlaps(certified.timespan)
    ]


def _is_given_up(source: Butler, old: Certification, theirs: Iterable[Certification], certified: Certification) -> bool:
    """Whether the source has a dataset that is valid in the target, and it is not valid there during a new range."""
    if old.ref.id == certified.ref.id:
        return True
    still = any(one.ref.id == old.ref.id and one.timespan.overlaps(certified.timespan) for one in theirs)
    return not still and source.get_dataset(old.ref.id) is not None


def _is_known(certified: Certification, known: Iterable[Certification]) -> bool:
    return any(old.ref.id == certified.ref.id and old.timespan.contains(certified.timespan) for old in known)
