"""Times as Butler has them, integers of nanoseconds, and as users read them: UTC, as ISO 8601 text."""

from __future__ import annotations

__all__ = ("format_time", "known_times_of", "nanoseconds_of", "times_of")

import numpy as np
from astropy.time import Time
from numpy.typing import ArrayLike, NDArray

_EPOCH = Time("1970-01-01", scale="tai")
_DAY = 86_400 * 10**9  # ns


def format_time(time: Time) -> str:
    """Return a time in UTC, exact to Butler's nanosecond, without trailing zeros."""
    utc = time.utc.copy(format="isot")
    utc.precision = 9
    return str(utc.value).rstrip("0").rstrip(".")


def nanoseconds_of(times: Time) -> NDArray[np.int64]:
    """Return times in nanoseconds since 1970, TAI; to the nanosecond what `lsst.daf.butler.Timespan` makes of each."""
    elapsed = times.tai - _EPOCH
    days, rest = np.divmod(elapsed.jd1, 1)
    found: NDArray[np.int64] = days.astype(np.int64) * _DAY + np.rint((elapsed.jd2 + rest) * _DAY).astype(np.int64)
    return found


def times_of(nanoseconds: ArrayLike) -> Time:
    """Return times in UTC from nanoseconds since 1970, TAI; exact to the nanosecond."""
    days, rest = np.divmod(np.asarray(nanoseconds, np.int64), _DAY)
    times = Time(_EPOCH.jd1 + days, _EPOCH.jd2 + rest / _DAY, format="jd", scale="tai").utc.copy()
    times.format = "isot"
    return times


def known_times_of(nanoseconds: ArrayLike) -> Time:
    """Return times as `times_of` does, masked where they are not known: 0."""
    unknown = np.asarray(nanoseconds, np.int64) == 0
    times = times_of(nanoseconds)
    if unknown.any():
        times[unknown] = np.ma.masked
    return times
