"""Servers that are asked for files, until they have failed to answer too often."""

from __future__ import annotations

__all__ = ("SILENCES", "Servers")

import threading
from collections import Counter
from collections.abc import Iterator

from ..errors import reason_of
from ..files.waiting import is_silence

SILENCES = 3
"""So many requests in a row a server does not answer, each after attempts of up to a minute, until it is given up."""


class Servers:
    """What became of the requests to each server; from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row: Counter[str] = Counter()
        self._last: dict[str, Exception] = {}
        self._unasked: Counter[str] = Counter()

    def answers(self, server: str) -> bool:
        """Whether a server still answers, as far as is known."""
        return self._in_a_row[server] < SILENCES

    def may_be_asked(self, server: str) -> bool:
        """Whether a server is asked for a file, which otherwise counts as not asked for."""
        with self._lock:
            answers = self.answers(server)
            self._unasked[server] += not answers
            return answers

    def note(self, server: str, error: Exception | None) -> None:
        """Take notice of an answer, or of what was raised in its place."""
        silent = error is not None and is_silence(error)
        with self._lock:
            if self.answers(server):
                self._in_a_row[server] = self._in_a_row[server] + 1 if silent else 0
            if error is not None and silent:
                self._last[server] = error

    def unasked(self) -> Iterator[tuple[str, int, str]]:
        """Yield each server that was asked no more, for how many files, and why."""
        for server, count in sorted(self._unasked.items()):
            if count:
                yield server, count, reason_of(self._last[server])
