"""Reports of certifications, decertifications and ingests of calibrations."""

from __future__ import annotations

__all__ = ("CalibrationIngestReport", "CertificationReport", "DecertificationReport", "NotCertified")

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from astropy.time import Time

from ..repository.reports import IngestReport
from ..summaries import Summarized
from .ranges import Certification, bounds_of


@dataclass(slots=True, repr=False)
class CertificationReport(Summarized):
    """What became of a certification.

    Parameters
    ----------
    certified
        New validity ranges.
    replaced
        Ranges, as they were before, that were replaced in whole or in part.
    unchanged
        What was to be certified and is valid already, in the whole range that is on record for it.
    notes
        What could not be done, and why.
    """

    certified: list[Certification] = field(default_factory=list)
    replaced: list[Certification] = field(default_factory=list)
    unchanged: list[Certification] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def replacements(self) -> list[str]:
        """A line for each new range that took the place of another."""
        return [f"{new}, took the place of {old.description}" for new, old in self._pairs()]

    @property
    def displaced(self) -> list[Certification]:
        """The parts of replaced ranges in which a new one is valid instead."""
        return [Certification(old.ref, old.timespan.intersection(new.timespan)) for new, old in self._pairs()]

    def _pairs(self) -> Iterator[tuple[Certification, Certification]]:
        replaced: dict[tuple[object, ...], list[Certification]] = defaultdict(list)
        for old in self.replaced:
            replaced[old.key].append(old)
        for new in self.certified:
            yield from ((new, old) for old in replaced[new.key] if new.timespan.overlaps(old.timespan))

    @property
    def bounds(self) -> set[Time]:
        """The times that must lie between exposures."""
        return bounds_of(new.timespan for new in self.certified)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.certified)} certified, {len(self.replaced)} replaced, {len(self.unchanged)} unchanged"

    def __str__(self) -> str:
        lines = _lines(certified=self.certified, replaced=self.replaced, unchanged=self.unchanged)
        return "\n".join([*lines, *self.notes, self.summary])


@dataclass(slots=True, repr=False)
class DecertificationReport(Summarized):
    """What became of a decertification.

    Parameters
    ----------
    removed
        Calibrations, and the ranges in which they are no longer valid.
    kept
        What is left of ranges that were cut.
    """

    removed: list[Certification] = field(default_factory=list)
    kept: list[Certification] = field(default_factory=list)

    @property
    def bounds(self) -> set[Time]:
        """The times at which ranges were cut, which must lie between exposures."""
        return bounds_of(part.timespan for part in self.removed) & bounds_of(part.timespan for part in self.kept)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.removed)} decertified, {len(self.kept)} kept in part"

    def __str__(self) -> str:
        return "\n".join([*_lines(removed=self.removed, kept=self.kept), self.summary])


def _lines(**ranges: list[Certification]) -> list[str]:
    width = max(map(len, ranges))
    return [f"{word:{width}}  {found}" for word, named in ranges.items() for found in named]


@dataclass(frozen=True, slots=True)
class NotCertified:
    """A calibration type that could not be certified, and why."""

    dataset_type: str
    reason: str

    def __str__(self) -> str:
        return f"{self.dataset_type}: was ingested but not certified: {self.reason}"


@dataclass(slots=True, kw_only=True, repr=False)
class CalibrationIngestReport(IngestReport):
    """What became of each calibration file, and which validity ranges are new; what they replaced is a warning."""

    certified: list[Certification] = field(default_factory=list)
    not_certified: list[NotCertified] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        counts = f"{len(self.ingested)} ingested, {len(self.skipped)} already there, {len(self.failed)} failed"
        missed = f", not certified: {', '.join(found.dataset_type for found in self.not_certified)}"
        return f"{counts}; {len(self.certified)} certified{missed if self.not_certified else ''}"

    @property
    def details(self) -> list[str]:
        """Warnings and failures, a line each."""
        return [*self.warnings, *map(str, self.failed), *map(str, self.not_certified)]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return IngestReport.to_dict(self) | {
            "certified": [str(found) for found in self.certified],
            "not_certified": [asdict(found) for found in self.not_certified],
        }
