"""A repository's images as a file that the Virtual Observatory reads."""

from __future__ import annotations

__all__ = ("export_obscore",)

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from lsst.daf.butler import Butler
from lsst.daf.butler.progress import Progress, ProgressBar

from ..errors import ParameterError
from ..files.paths import format_by_suffix
from ..files.placement import publish
from ..files.temporary import temporary_file
from ..repository.failures import told_as_repository_failures
from .selection import ImageRows
from .writing import FORMATS, row_writer


@told_as_repository_failures()
def export_obscore(
    butler: Butler,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - astropy's word for it
    collections: str | Iterable[str] | None = None,
    latest: bool = True,
    overwrite: bool = False,
) -> int:
    """Write the images of a repository as an ObsCore table, a row each, in order of exposures and detectors.

    Parameters
    ----------
    butler
        A SPHEREx repository.
    path
        The file, which appears when it is whole.
    format
        ``votable``, ``parquet`` or ``csv``; by default as the name says.
    collections
        Where to search; by default `SPHEREx/defaults`.
    latest
        Whether of several processings of an image only the newest counts: the first in the order of the collections.
    overwrite
        Whether to replace a file that is there.

    Returns
    -------
    number
        How many images were written.

    Raises
    ------
    FileExistsError
        Raised if the file is there and ``overwrite`` was not given.
    ParameterError
        Raised if there is no such format or collection.
    ConfigurationError
        Raised if it is no SPHEREx repository.

    Notes
    -----
    Rows are written as they are read, a planning period at a time: memory does not grow with the repository.

    The columns are those of the archive's own tables, and have their values, where the registry knows these. Without a
    live table (``make_repo(…, obscore=True)``), it does not know the middle of an image, ``s_ra`` and ``s_dec``, better
    than to 0.5", nor when the archive published it.
    """
    name = format_by_suffix(path, FORMATS) if format is None else format
    if name not in FORMATS:
        raise ParameterError(f"format={name!r} is not known; expected one of {', '.join(FORMATS)}.")
    target = Path(path)
    if os.path.lexists(target) and not overwrite:
        raise FileExistsError(_exists(target))
    images = ImageRows(butler, collections, latest=latest)
    with temporary_file(target.parent) as temporary:
        number = _write(images, temporary, name)
        try:
            publish(temporary, target, replace=overwrite)
        except FileExistsError:
            raise FileExistsError(_exists(target)) from None
    return number


def _write(images: ImageRows, path: Path, name: str) -> int:
    number = 0
    progress: AbstractContextManager[ProgressBar[None]]
    progress = Progress(__name__).bar(desc="Writing", total=images.count())
    with path.open("wb") as stream, progress as bar:
        writer = row_writer(name, stream)
        for rows in images.batches():
            writer.write(rows)
            number += len(rows)
            bar.update(len(rows))
        writer.end()
    return number


def _exists(path: Path) -> str:
    return f"{str(path)!r} exists; pass overwrite=True to replace it."
