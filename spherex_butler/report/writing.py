"""The page made and written."""

from __future__ import annotations

__all__ = ("report_page", "write_report")

import os
import shlex
from pathlib import Path
from typing import TypeAlias

from astropy.time import Time
from lsst.daf.butler import Butler

from ..files.placement import publish
from ..files.temporary import temporary_file
from ..repository.failures import told_as_repository_failures
from ..verify import RepositoryReport, check_repository
from .facts import gather
from .page import page
from .verification import Verification, read_verification

Verify: TypeAlias = bool | RepositoryReport | str | os.PathLike[str]
"""What the page shows of a check: nothing, one that is made for it, or one that was made before."""


@told_as_repository_failures()
def report_page(butler: Butler, *, verify: Verify = False, repo: str = "REPO") -> str:
    """Return a page for a browser that shows what a repository holds.

    It needs no network and no other file, and runs no script. Counts, the sky and validity are from the registry; no
    file of the repository is read.

    Parameters
    ----------
    butler
        A SPHEREx repository; read-only will do.
    verify
        Whether to check the repository first, as `~spherex_butler.verify.check_repository` does, which takes minutes
        for millions of images; or what that returned, or the file that ``butler spherex verify --report`` wrote.
    repo
        What commands on the page call the repository.

    Returns
    -------
    page
        HTML.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository.
    FormatError
        Raised if ``verify`` is a file that is no report of a check.
    """
    found = _verification(butler, verify)
    return page(gather(butler, repo=shlex.quote(repo), verification=found))


def _verification(butler: Butler, verify: Verify) -> Verification | None:
    if verify is False:
        return None
    if verify is True:
        return Verification(check_repository(butler), Time.now())
    return Verification(verify) if isinstance(verify, RepositoryReport) else read_verification(verify)


@told_as_repository_failures()
def write_report(
    butler: Butler,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    verify: Verify = False,
    repo: str = "REPO",
) -> None:
    """Write a page for a browser that shows what a repository holds: one file, which needs no network.

    Parameters
    ----------
    butler, verify, repo
        As for `report_page`.
    path
        The file, which appears when it is whole.
    overwrite
        Whether to replace a file that is there.

    Raises
    ------
    FileExistsError
        Raised if the file is there and ``overwrite`` was not given, before anything is counted.
    NotADirectoryError, IsADirectoryError
        Raised if the folder of the file does not exist, or the file is a folder.
    ConfigurationError, FormatError
        As of `report_page`.
    """
    target = Path(path)
    _require_writable(target, overwrite=overwrite)  # before what may take minutes
    content = report_page(butler, verify=verify, repo=repo)
    with temporary_file(target.parent) as temporary:
        temporary.write_text(content, encoding="utf-8")
        try:
            publish(temporary, target, replace=overwrite)
        except FileExistsError:
            raise _exists(target) from None


def _require_writable(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise NotADirectoryError(f"{str(target.parent)!r} is not a folder; expected one for the page.")
    if target.is_dir():
        raise IsADirectoryError(f"{str(target)!r} is a folder; expected the name of a file for the page.")
    if os.path.lexists(target) and not overwrite:
        raise _exists(target)


def _exists(target: Path) -> FileExistsError:
    return FileExistsError(f"{str(target)!r} exists; pass overwrite=True to replace it.")
