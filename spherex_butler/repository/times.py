"""Times as users read them: UTC, as ISO 8601 text."""

from __future__ import annotations

__all__ = ("format_time",)

from astropy.time import Time


def format_time(time: Time) -> str:
    """Return a time in UTC, exact to Butler's nanosecond, without trailing zeros."""
    utc = time.utc.copy(format="isot")
    utc.precision = 9
    return str(utc.value).rstrip("0").rstrip(".")
