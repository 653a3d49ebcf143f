"""Names that nothing in a repository has, and for which a search finds nothing."""

from __future__ import annotations

__all__ = ("require_known",)

from collections.abc import Iterable, Sequence

from lsst.daf.butler import Butler
from lsst.daf.butler.utils import has_globs

from ..constants import DATASET_TYPE, DEFAULT_COLLECTION
from ..errors import ParameterError, near
from ..repository.butler_internals import ImageTables
from .inventory import exposure_counts

_NAMED = 5


def require_known(
    butler: Butler, tables: ImageTables, collections: Iterable[str], survey: str | None, planning_period: str | None
) -> None:
    """Refuse what a search that found nothing was told to choose by, if nothing has it.

    A repository without exposures has no names yet, and none is refused.

    Raises
    ------
    ParameterError
        Raised if no exposure is of the survey or the planning period, or the collections hold something else.
    """
    _require_images(butler, [name for name in collections if not has_globs(name)])
    if survey is None and planning_period is None:
        return
    counts = exposure_counts(butler, tables)
    periods = sorted({one.planning_period for one in counts})
    if periods and planning_period is not None and planning_period not in periods:
        raise ParameterError(
            f"planning_period={planning_period!r} is not in this repository{near(planning_period, periods)} It has "
            f"{_range(periods)}."
        )
    surveys = sorted({one.survey for one in counts if one.survey is not None})
    if periods and survey is not None and survey not in surveys:
        there = f"There are {', '.join(surveys)}." if surveys else "Only headers tell surveys, and none was read yet."
        raise ParameterError(f"No exposure here has survey={survey!r}{near(survey, surveys)} {there}")


def _require_images(butler: Butler, names: list[str]) -> None:
    held: set[str] = set()
    for info in butler.collections.query_info(names, include_summary=True, flatten_chains=True) if names else ():
        held.update(info.dataset_types or ())
    if held and DATASET_TYPE not in held:
        raise ParameterError(
            f"The collections {', '.join(names)} hold {', '.join(sorted(held)[:_NAMED])} and no images; expected "
            f"collections with {DATASET_TYPE} such as {DEFAULT_COLLECTION}."
        )


def _range(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)}, from {names[0]} to {names[-1]}"
