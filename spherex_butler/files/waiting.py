"""How long a server is waited for: one policy for all requests, whoever sends them."""

from __future__ import annotations

__all__ = ("PAUSES", "TIMEOUT_VARIABLE", "Patience", "is_silence", "limit_waits", "patience")

import math
import os
from typing import NamedTuple

from lsst.resources import ResourcePath

from ..errors import ParameterError, causes_of

TIMEOUT_VARIABLE = "SPHEREX_BUTLER_TIMEOUT"
"""Environment variable: the seconds without a byte after which a request is given up."""

PAUSES = (0.0, 0.5, 2.0)
"""Seconds before each attempt at a request."""

_SILENCE = 30.0
_CONNECT = 10.0
_SLOWEST = 50e3  # bytes a second
_SILENT = frozenset({"ConnectionError", "TimeoutError", "Timeout", "HTTPClientError"})
"""Classes of errors without an answer: Python's, and those of requests and botocore, which need not be installed."""

_UPSTREAM = ("LSST_HTTP_TIMEOUT_CONNECT", "LSST_HTTP_TIMEOUT_READ")


class Patience(NamedTuple):
    """Seconds that a server may take to accept a connection, and to send the next byte."""

    connect: float
    silence: float

    def whole(self, size: int) -> float:
        """Return the seconds that an answer of so many bytes may take, at 50 kB a second after a silence."""
        return self.connect + self.silence + size / _SLOWEST


def patience() -> Patience:
    """Return how long a server is waited for: 10 s for a connection and 30 s for a byte, or as the environment says.

    Raises
    ------
    ParameterError
        Raised if the variable is not a positive number.
    """
    text = os.environ.get(TIMEOUT_VARIABLE, "").strip()
    if not text:
        return Patience(_CONNECT, _SILENCE)
    try:
        silence = float(text)
    except ValueError:
        silence = math.nan
    if not 0 < silence < math.inf:
        raise ParameterError(f"{TIMEOUT_VARIABLE} is {text!r}; expected a number of seconds above 0, such as 60.")
    return Patience(min(_CONNECT, silence), silence)


def limit_waits(uri: ResourcePath) -> None:
    """Let lsst.resources wait for a web server no longer than we do, unless its own variables say how long.

    By itself it waits 1,500 s for a byte, and reads the variables once in a process
    (https://github.com/lsst/resources, ``HttpResourcePathConfig.timeout``). Butler fetches whole remote files with it.
    """
    if not uri.scheme.startswith("http") or any(variable in os.environ for variable in _UPSTREAM):
        return
    from lsst.resources.http import HttpResourcePath  # noqa: PLC0415 - of an extra, which made the URI

    connect, silence = patience()
    HttpResourcePath._config._timeout = connect, silence  # noqa: SLF001  (no public setting after the first use)


def is_silence(error: BaseException) -> bool:
    """Return whether a server did not answer, as far as the error or its causes tell."""
    return any(base.__name__ in _SILENT for one in causes_of(error) for base in type(one).__mro__)
