"""Putting a file where Butler will look for it, before Butler is told of it.

`lsst.daf.butler.Butler.ingest` moves files and registers them in one go, and
undoes the one when the other fails.  Of two processes that ingest the same
files the one that loses then deletes what the winner registered, and a kill
during a move leaves files that nothing refers to.  So a file is placed first,
under its final name only when it is whole, and then registered in place; what
is placed is never taken away again, and a rerun finds it there.
"""

from __future__ import annotations

__all__ = ("TRANSFER_MODES", "place", "remove_source", "require_transfer", "resolve_transfer")

import contextlib
import filecmp
import os
import uuid
from pathlib import Path

from lsst.resources import ResourcePath

from .errors import FormatError, ParameterError

TRANSFER_MODES = ("auto", "copy", "move", "link", "hardlink", "symlink", "relsymlink", "direct")
"""Butler's ways to bring a file in."""


def require_transfer(transfer: str) -> None:
    """Refuse a transfer mode that does not exist.

    Raises
    ------
    ParameterError
        Raised if there is no such mode.
    """
    if transfer not in TRANSFER_MODES:
        raise ParameterError(f"There is no transfer mode {transfer!r}; known ones are {list(TRANSFER_MODES)}.")


def resolve_transfer(transfer: str, source: ResourcePath, root: ResourcePath) -> str | None:
    """Return what a transfer mode means for one file, `None` for one that is in place already.

    Raises
    ------
    ParameterError
        Raised if there is no such mode, or the file or the repository is not
        local where the mode needs that.
    """
    require_transfer(transfer)
    local = source.isLocal and root.isLocal
    if transfer == "auto":
        inside = source.relative_to(root) is not None
        return None if inside else "link" if local else "copy"
    if ("link" in transfer and not local) or (transfer == "move" and not source.isLocal):
        raise ParameterError(
            f"A file comes from {str(source)!r} into {str(root)!r} by 'copy' or stays there by 'direct'; transfer mode "
            f"{transfer!r} is for local files."
        )
    return transfer


def place(source: ResourcePath, target: ResourcePath, mode: str) -> None:
    """Put a file in its place; a target that holds the same content is left alone.

    A moved file's source stays: it is for `remove_source` after the registration.

    Raises
    ------
    FormatError
        Raised if the target is there with other content.
    """
    if not target.isLocal:
        _upload(source, target)
        return
    if target.exists():
        _require_same(source, target)
        return
    target.dirname().mkdir()
    temporary = target.dirname().join(f".{uuid.uuid4().hex}.part")
    try:
        temporary.transfer_from(source, transfer=_placing_mode(mode, source, target))
        os.link(temporary.ospath, target.ospath, follow_symlinks=False)
    except FileExistsError:
        _require_same(source, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary.ospath).unlink()


def _upload(source: ResourcePath, target: ResourcePath) -> None:
    """Copy a file to a store where a file appears whole, or not at all."""
    target.dirname().mkdir()
    try:
        target.transfer_from(source, transfer="copy")
    except FileExistsError:
        _require_same(source, target)


def _placing_mode(mode: str, source: ResourcePath, target: ResourcePath) -> str:
    """Return how to make the second file; a move begins as a hard link where both share a file system."""
    if mode != "move":
        return mode
    if not source.isLocal:
        return "copy"
    same_device = Path(source.ospath).stat().st_dev == Path(target.dirname().ospath).stat().st_dev
    return "hardlink" if same_device else "copy"


def _require_same(source: ResourcePath, target: ResourcePath) -> None:
    same = source.size() == target.size()
    if same and source != target:  # Level 2 files without compression are all of one size
        with source.as_local() as first, target.as_local() as second:
            same = filecmp.cmp(first.ospath, second.ospath, shallow=False)
    if not same:
        raise FormatError(f"{str(target)!r} is there already with other content; nothing was overwritten.")


def remove_source(source: ResourcePath, target: ResourcePath) -> str | None:
    """Remove the source of a move; return why not, if not.

    Never where the repository's file is the source itself, or a link to it.
    """
    if target.isLocal and os.path.realpath(source.ospath) == os.path.realpath(target.ospath):
        return "it is the repository's file, or that is a link to it"
    try:
        Path(source.ospath).unlink()
    except OSError as error:
        return str(error)
    return None
