"""What became of certifications and decertifications."""

from __future__ import annotations

__all__ = ("CertificationReport", "DecertificationReport")

from dataclasses import dataclass, field

from .ranges import Certification


@dataclass(slots=True)
class CertificationReport:
    """What became of a certification.

    Parameters
    ----------
    certified
        New validity ranges.
    replaced
        Ranges as they were before they made place, whole or in part.
    unchanged
        Ranges in which the calibration was valid already.
    notes
        What was asked for and has no answer.
    """

    certified: list[Certification] = field(default_factory=list)
    replaced: list[Certification] = field(default_factory=list)
    unchanged: list[Certification] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.certified)} certified, {len(self.replaced)} replaced, {len(self.unchanged)} unchanged"

    def __str__(self) -> str:
        named = {"certified": self.certified, "replaced": self.replaced, "unchanged": self.unchanged}
        lines = [f"{word:9}  {found}" for word, ranges in named.items() for found in ranges]
        return "\n".join([*lines, *self.notes, self.summary])


@dataclass(slots=True)
class DecertificationReport:
    """What became of a decertification.

    Parameters
    ----------
    removed
        What is no longer valid, and when.
    kept
        What is left of ranges that were cut.
    """

    removed: list[Certification] = field(default_factory=list)
    kept: list[Certification] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The counts, in words."""
        return f"{len(self.removed)} decertified, {len(self.kept)} kept in part"

    def __str__(self) -> str:
        named = {"removed": self.removed, "kept": self.kept}
        lines = [f"{word:7}  {found}" for word, ranges in named.items() for found in ranges]
        return "\n".join([*lines, self.summary])
