"""A file that cannot be read or ingested, and why."""

from __future__ import annotations

__all__ = ("FailedFile",)

from dataclasses import dataclass


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
