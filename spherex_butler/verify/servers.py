"""Servers that are asked for files, until they have failed to answer too often."""

from __future__ import annotations

__all__ = ("SILENCES", "Servers")

import threading
from collections import Counter
from collections.abc import Iterator

from ..errors import causes_of, reason_of

SILENCES = 3
"""So many requests in a row a server does not answer, each after attempts of up to a minute, until it is given up."""

_SILENT = frozenset({"ConnectionError", "TimeoutError", "Timeout", "HTTPClientError"})
"""Classes of errors without an answer: Python's, and those of requests and botocore, which need not be installed."""


class Servers:
    """What became of the requests to each server; from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row: Counter[str] = Counter()
        self._last: dict[str, Exception] = {}
        self._unasked: Counter[str] = Counter()

    def may_be_asked(self, server: str) -> bool:
        """Whether a server still answers; otherwise the file counts as not asked for."""
        with self._lock:
            silent = self._in_a_row[server] >= SILENCES
            self._unasked[server] += silent
            return not silent

    def note(self, server: str, error: Exception | None) -> None:
        """Take notice of an answer, or of what was raised in its place."""
        silent = error is not None and _is_silence(error)
        with self._lock:
            if self._in_a_row[server] < SILENCES:
                self._in_a_row[server] = self._in_a_row[server] + 1 if silent else 0
            if error is not None and silent:
                self._last[server] = error

    def unasked(self) -> Iterator[tuple[str, int, str]]:
        """Yield each server that was asked no more, for how many files, and why."""
        for server, count in sorted(self._unasked.items()):
            if count:
                yield server, count, reason_of(self._last[server])


def _is_silence(error: Exception) -> bool:
    return any(base.__name__ in _SILENT for one in causes_of(error) for base in type(one).__mro__)
