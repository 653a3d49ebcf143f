"""What became of files that were to be ingested."""

from __future__ import annotations

__all__ = ("FailedFile", "IngestReport", "reason_of")

from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import DatasetRef

from .errors import SpherexButlerError


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that cannot be ingested, and why.

    Parameters
    ----------
    uri
        Where it is.
    reason
        What was found and expected.
    """

    uri: str
    reason: str

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


@dataclass(slots=True)
class IngestReport:
    """What became of each file.

    Parameters
    ----------
    ingested
        Datasets that are new in the repository.
    skipped
        Datasets that were there already.
    failed
        Files that could not be ingested, with reasons.
    warnings
        What was odd about files that were ingested all the same.
    """

    ingested: list[DatasetRef] = field(default_factory=list)
    skipped: list[DatasetRef] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.ingested)} ingested, {len(self.skipped)} already there, {len(self.failed)} failed"

    def __str__(self) -> str:
        return "\n".join([*self.warnings, *map(str, self.failed), self.summary])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold: counts, failures with reasons, warnings."""
        return {
            "ingested": len(self.ingested),
            "skipped": len(self.skipped),
            "failed": [{"uri": file.uri, "reason": file.reason} for file in self.failed],
            "warnings": list(self.warnings),
        }


def reason_of(error: Exception) -> str:
    """Return on one line why a file cannot be ingested."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SpherexButlerError) else f"{type(error).__name__}: {text}"
