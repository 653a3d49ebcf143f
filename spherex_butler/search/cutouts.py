"""Cutouts of many positions in many images: each read once, several at once, and in a folder never again."""

from __future__ import annotations

__all__ = ("CONNECTIONS", "get_cutouts", "stream_cutouts")

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from astropy.table import Row, Table
from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress, ProgressBar

from ..arguments import require_number
from ..errors import ParameterError
from ..files.temporary import remove_leftovers
from ..images.cutouts import Size
from ..images.spectral_image import SpectralImage
from ..repository.distortions import remember_distortion
from ..repository.failures import told_as_repository_failures
from .cutout_files import make_folder
from .cutout_plan import CutoutPlan, CutoutRequest, plan_cutouts
from .cutout_reading import Outcome, read_cutouts
from .cutout_report import Cutouts, FailedCutout
from .reading import read_table

CONNECTIONS = 16
"""Connections to one server, where nobody says how many."""


@told_as_repository_failures()
def get_cutouts(
    butler: Butler,
    table: Table | Row | str | os.PathLike[str],
    size: Size,
    *,
    folder: str | os.PathLike[str] | None = None,
    planes: str | Iterable[str] | None = None,
    connections: int = CONNECTIONS,
    report: Cutouts | None = None,
) -> Cutouts:
    """Return a cutout for each row of a table.

    Parameters
    ----------
    butler
        A SPHEREx repository, which may be read-only.
    table
        What `find_images` returned, one row of that, or a file that it was saved to: ECSV, CSV, VOTable, FITS or
        Parquet. Any table will do that has ``dataset_id``, and ``ra`` and ``dec`` in degrees or a column of SkyCoord,
        or else ``x`` and ``y``, 0-based pixels of the full frame. Where a row has both, the position on the sky counts;
        pixels count where ``ra`` and ``dec`` are both masked, NaN or empty. ``source`` names it.
    size
        Full side: an angle or pixels, a scalar or (height, width), as for `~spherex_butler.SpectralImage.cutout`. A
        cutout partly outside its image is clipped.
    folder
        Where to write each cutout, as a FITS file; made if it is not there. By default they are held in memory.
    planes
        HDUs to load besides IMAGE; by default all that are there.
    connections
        At most so many requests are under way to one server. Of local images as many are read at once as there are
        cores.
    report
        To be filled, so that it holds what was done also when the call is interrupted.

    Returns
    -------
    cutouts
        A sequence in the order of the table: of each row a `~spherex_butler.SpectralImage`, or a `FailedCutout` that
        says why there is none. A row that fails keeps no other out.

    Raises
    ------
    ParameterError
        Raised if the table lacks columns, or an argument makes no sense.
    FormatError
        Raised if the file is no table.
    ConfigurationError
        Raised if it is no SPHEREx repository, or the folder cannot be written to.

    Notes
    -----
    Rows that ask the same of an image share one cutout, and several positions in an image are read from one opened
    file; of a remote one, those whose rows are near each other are read together.

    In a folder, a file is called ``{source}_{observation}D{detector}_{run}.fits`` and appears when it is whole; its
    primary header says which dataset, position and size it is of. The same call does not read again what is there: so
    it goes on where it was interrupted. A file of that name that is of something else is never overwritten; its row
    fails.

    Requests that fail are repeated as `the limits for remote files <../reference/remote-files>` say. If a server then
    refuses five images in a row (401, 403, 429, 503, or the like of S3), it is not asked any more, and the rows that
    are left fail for that reason.

    Where the distortion of a detector is not known yet, the first header that is read tells it to this repository, or
    to this process if the repository is read-only, so that later searches give pixels to a fraction of one.

    Of a remote image the PSF is loaded when it is first used. In a folder it is part of each file; in QR2 it has 5 MB,
    far more than all other planes of a small cutout. Leave it out by ``planes`` if you do not need it.
    """
    cutouts = Cutouts() if report is None else report
    found = stream_cutouts(butler, table, size, folder=folder, planes=planes, connections=connections, report=cutouts)
    for rows, cutout in found:
        cutouts.add(rows, cutout)
    return cutouts


def stream_cutouts(
    butler: Butler,
    table: Table | Row | str | os.PathLike[str],
    size: Size,
    *,
    folder: str | os.PathLike[str] | None,
    planes: str | Iterable[str] | None,
    connections: int,
    report: Cutouts,
) -> Iterator[tuple[Sequence[int], SpectralImage | Path]]:
    """Yield the cutouts of a table as they are had, with their rows, in any order; `get_cutouts` keeps them all.

    Parameters
    ----------
    butler, table, size, folder, planes, connections
        See `get_cutouts`.
    report
        Takes in what was done, and the rows that get none.

    Raises
    ------
    ConfigurationError, FormatError, ParameterError
        As of `get_cutouts`.
    """
    require_number("connections", connections)
    request = CutoutRequest.of(size, planes, None if folder is None else Path(folder))
    plan = plan_cutouts(butler, _table(table), request)
    _begin(report, plan)
    if request.folder is not None:
        make_folder(request.folder)
        remove_leftovers(request.folder)
    for path, rows in plan.there.items():
        report.there += 1
        yield rows, path
    bar: AbstractContextManager[ProgressBar[None]]
    bar = Progress(__name__).bar(desc="Fetching cutouts", total=plan.rows, skip_scalar=False)
    with bar as progress, closing(read_cutouts(butler, plan, request, connections)) as outcomes:
        for outcome in outcomes:
            yield from _had(report, plan, outcome)
            _remember(butler, outcome)
            progress.update(len(outcome.wanted.rows))


def _table(given: Any) -> Table:
    """Return the table that is meant; a row is a table of one."""
    if isinstance(given, Row):
        return given.table[given.index : given.index + 1]
    if isinstance(given, str | os.PathLike):
        return read_table(given)
    if not isinstance(given, Table):
        raise ParameterError(
            f"The table is a {type(given).__name__}; expected what find_images returns, one of its rows, another table "
            "of astropy, or a file that it was saved to."
        )
    return given


def _begin(report: Cutouts, plan: CutoutPlan) -> None:
    report.begin(plan.subjects)
    for failure in plan.failed:
        report.fail(failure)


def _had(report: Cutouts, plan: CutoutPlan, outcome: Outcome) -> Iterator[tuple[Sequence[int], SpectralImage | Path]]:
    wanted = outcome.wanted
    if outcome.reason is not None:
        for row in wanted.rows:
            report.fail(FailedCutout(row, plan.subjects[row], outcome.reason))
        return
    report.fetched += 1
    if outcome.image is not None:
        yield wanted.rows, outcome.image
    for path, rows in wanted.files.items():
        yield rows, path


def _remember(butler: Butler, outcome: Outcome) -> None:
    """Remember the distortion of a detector, by which the next search is exact."""
    if (distortion := outcome.distortion) is not None:
        remember_distortion(butler, outcome.ref, lambda: distortion)
