"""Bounds of validity ranges must lie between exposures: an image would find two calibrations otherwise."""

from __future__ import annotations

__all__ = ("require_between_exposures",)

from collections.abc import Iterable

from astropy.time import Time
from lsst.daf.butler import Butler, DimensionRecord

from ..constants import INSTRUMENT
from ..errors import ParameterError
from .ranges import format_time


def require_between_exposures(butler: Butler, bounds: Iterable[Time]) -> None:
    """Refuse bounds inside an exposure; its begin and its end are between exposures.

    Parameters
    ----------
    butler
        The repository, with its exposures.
    bounds
        Times of any scale.

    Raises
    ------
    ParameterError
        Raised if an exposure began before and ended after one of them.
    """
    for bound in sorted({bound.tai for bound in bounds}):
        if (exposure := _exposure_over(butler, bound)) is not None:
            begin, end = exposure.timespan.begin, exposure.timespan.end
            raise ParameterError(
                f"The bound {format_time(bound)} UTC lies inside exposure {exposure.id} ({exposure.obs_id}), which "
                f"lasted from {format_time(begin)} to {format_time(end)} UTC; expected one between exposures, such as "
                "either of these. Nothing was changed."
            )


def _exposure_over(butler: Butler, bound: Time) -> DimensionRecord | None:
    """Return an exposure that a bound lies inside of.

    A query for each bound, 0.1 s with all exposures of the mission: Butler writes out every combination of the terms
    of several in one.
    """
    with butler.query() as query:
        timespan = query.expression_factory.exposure.timespan
        records = query.dimension_records("exposure").where(
            timespan.begin < bound, timespan.end > bound, instrument=INSTRUMENT
        )
        return next(iter(records.limit(1)), None)
