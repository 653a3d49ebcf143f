"""When a server has refused enough: what it does not give is not asked for again and again."""

from __future__ import annotations

__all__ = ("REFUSALS", "Server", "told")

import errno
import threading
from collections import deque
from collections.abc import Iterable

from ..errors import SpherexButlerError, causes_of, reason_of
from .cutout_plan import LOCAL, ImageJob

REFUSALS = 5
"""So many images in a row a server refuses, each after the attempts that a request has, until it is asked no more."""

_REFUSED = frozenset({401, 403, 429, 503})


class Server:
    """The images that are on one server, handed out to threads one by one, until it has refused too often."""

    def __init__(self, name: str, jobs: Iterable[ImageJob]) -> None:
        self.name = name
        self._jobs = deque(jobs)
        self._lock = threading.Lock()
        self._in_a_row = 0
        self.given_up: str | None = None
        """Why it is not asked any more."""

    def __len__(self) -> int:
        return len(self._jobs)

    def next_job(self) -> ImageJob | None:
        """Return an image that nobody took yet."""
        with self._lock:
            return self._jobs.popleft() if self._jobs else None

    def note(self, error: Exception | None) -> bool:
        """Take notice of an answer, of what was raised or of success; return whether it is a refusal."""
        refused = error is not None and self.name != LOCAL and _is_refusal(error)
        with self._lock:
            if error is None:
                self._in_a_row = 0
            elif refused:
                self._in_a_row += 1
                if self._in_a_row == REFUSALS:
                    self.given_up = (
                        f"{self.name} refused {REFUSALS} images in a row and was not asked any more, the last one so: "
                        f"{reason_of(told(error))}"
                    )
        return refused


def told(error: Exception) -> BaseException:
    """Return the error of ours, or of the system, that Butler wrapped."""
    return next((one for one in causes_of(error) if isinstance(one, SpherexButlerError | OSError)), error)


def _is_refusal(error: Exception) -> bool:
    """Whether a server said no, or not now, to whoever asks."""
    return any(
        isinstance(one, PermissionError)
        or getattr(one, "errno", None) == errno.EBUSY  # SlowDown of S3, as s3fs tells it
        or getattr(one, "status", None) in _REFUSED  # of aiohttp
        or getattr(getattr(one, "response", None), "status_code", None) in _REFUSED  # of requests
        for one in causes_of(error)
    )
