"""What became of files and datasets that were to be brought into a repository."""

from __future__ import annotations

__all__ = ("FailedDataset", "IngestReport", "RecordChange", "Report")

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from lsst.daf.butler import DatasetRef

from ..errors import hide_secrets
from ..files.failures import FailedFile
from ..summaries import Summarized
from .image_refs import ImageRefs

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FailedDataset:
    """A dataset that could not be brought into another repository, and why.

    Parameters
    ----------
    dataset
        Its type, data ID and run.
    reason
        What was found and expected.
    """

    dataset: str
    reason: str

    def __str__(self) -> str:
        return f"{self.dataset}: {self.reason}"


_Failure = TypeVar("_Failure", bound="DataclassInstance")


@dataclass(slots=True, kw_only=True, repr=False)
class Report(Summarized, Generic[_Failure]):
    """What all reports have in common: failures, which keep nothing else out, and warnings.

    Parameters
    ----------
    failed
        What could not be done, with reasons.
    warnings
        What was odd, but no obstacle.
    """

    failed: list[_Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, warnings: Iterable[str]) -> None:
        """Note and log warnings."""
        for warning in map(hide_secrets, warnings):
            self.warnings.append(warning)
            _log.warning("%s", warning)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.failed)} failed"

    @property
    def details(self) -> list[str]:
        """Warnings and failures, a line each."""
        return [*self.warnings, *map(str, self.failed)]

    def __str__(self) -> str:
        return "\n".join([*self.details, self.summary])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold, without passwords."""
        failed = [{key: hide_secrets(text) for key, text in asdict(failure).items()} for failure in self.failed]
        return {"failed": failed, "warnings": list(self.warnings)}


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A field of a dimension record that was replaced.

    Parameters
    ----------
    element
        What it is a record of: ``exposure``.
    data_id
        Which one.
    field
        The field.
    old, new
        Its value before, `None` also where there was no record, and now.
    """

    element: str
    data_id: str
    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.element} {self.data_id}: {self.field} was {self.old}, is {self.new} now."


@dataclass(slots=True, kw_only=True, repr=False)
class IngestReport(Report[FailedFile]):
    """What became of each file.

    Parameters
    ----------
    failed
        Files that could not be ingested, with reasons.
    warnings
        What was odd about files that were ingested all the same.
    ingested
        Datasets that are new in the repository.
    skipped
        Datasets that were there already.
    updated
        Fields of dimension records that were replaced.
    """

    ingested: list[DatasetRef] | ImageRefs = field(default_factory=list)
    skipped: list[DatasetRef] | ImageRefs = field(default_factory=list)
    updated: list[RecordChange] = field(default_factory=list)

    @classmethod
    def of_images(cls) -> Self:
        """Return an empty report that takes little memory, however many images it will tell of."""
        return cls(ingested=ImageRefs(), skipped=ImageRefs())

    @property
    def done(self) -> int:
        """How many files it tells of."""
        return len(self.ingested) + len(self.skipped) + len(self.failed)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        counts = f"{len(self.ingested)} ingested, {len(self.skipped)} already there, {len(self.failed)} failed"
        return f"{counts}, {len(self.updated)} fields of records updated" if self.updated else counts

    @property
    def details(self) -> list[str]:
        """Warnings, failures and changes, a line each."""
        return [*self.warnings, *map(str, self.failed), *map(str, self.updated)]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold: counts, failures with reasons, warnings, changes."""
        return {
            "ingested": len(self.ingested),
            "skipped": len(self.skipped),
            **Report.to_dict(self),
            "updated": [asdict(change) for change in self.updated],
        }
