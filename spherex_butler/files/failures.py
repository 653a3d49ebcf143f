"""A file that cannot be read or ingested, and why; and the rule that it keeps no other out."""

from __future__ import annotations

__all__ = ("EmptyFolder", "FailedFile", "FailingAlone", "MissingFile", "or_failed")

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from ..errors import SpherexButlerError, hide_secrets, reason_of

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


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
        return hide_secrets(f"{self.uri}: {self.reason}")

    @classmethod
    def by(cls, uri: str, error: Exception) -> Self:
        """Return the failure of a file by what was raised; of what nobody foresaw the traceback is logged."""
        if not isinstance(error, SpherexButlerError | OSError):
            _log.debug("%s", hide_secrets("".join([f"{uri}\n", *traceback.format_exception(error)])))
        return cls(uri, reason_of(error))

    @classmethod
    def noted(cls, failures: list[Self], uri: str) -> Callable[[Exception], None]:
        """Return a function that adds the failure of a file to others."""
        return lambda error: failures.append(cls.by(uri, error))


class MissingFile(FailedFile):
    """A path that nothing is at."""

    __slots__ = ()


class EmptyFolder(FailedFile):
    """A folder or a glob without any of the files that were expected there."""

    __slots__ = ()


class FailingAlone:
    """A block for one item: what it raises is handed to a function, and the next item is gone on with.

    Headers and tables are written by others, and what reads them raises many kinds of errors for what it did not
    expect; one item that runs out of memory or recursion keeps no other out, either. Interrupts are no `Exception`.
    """

    def __init__(self, give_up: Callable[[Exception], object]) -> None:
        self._give_up = give_up

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._give_up(error)
        return True


def or_failed(uri: str, action: Callable[[], _Result]) -> _Result | FailedFile:
    """Return what an action on one file returns, or its failure."""
    failures: list[FailedFile] = []
    with FailingAlone(FailedFile.noted(failures, uri)):
        return action()
    return failures[0]
