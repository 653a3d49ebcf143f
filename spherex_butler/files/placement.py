"""Putting a file where Butler will look for it, before Butler is told of it.

`lsst.daf.butler.Butler.ingest` moves files and registers them in one go, and
undoes the one when the other fails.  Of two processes that ingest the same
files the one that loses then deletes what the winner registered, and a kill
during a move leaves files that nothing refers to.  So a file is placed first,
under its final name only when it is whole, and then registered in place; what
is placed is never taken away again, and a rerun finds it there.

A link is made under its final name at once, which fails if that is taken.  A
copy is written under a temporary name in the same folder (see `.temporary`),
and gets its own name by a hard link.
"""

from __future__ import annotations

__all__ = (
    "TRANSFER_MODES",
    "TransferMode",
    "place",
    "publish",
    "remove_source",
    "require_replaceable",
    "require_transfer",
    "resolve_transfer",
)

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from lsst.resources import ResourcePath

from ..errors import ParameterError
from .remote import download
from .sameness import require_same_bytes
from .temporary import lock, remove_leftovers, temporary_file

TransferMode: TypeAlias = Literal["auto", "copy", "move", "link", "hardlink", "symlink", "relsymlink", "direct"]
"""One of Butler's ways to bring a file in."""

TRANSFER_MODES: tuple[TransferMode, ...] = get_args(TransferMode)
"""All of them."""

_NO_HARD_LINK = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of file systems that make no hard links, or not this one."""


def require_transfer(transfer: str) -> None:
    """Refuse a transfer mode that does not exist."""
    if transfer not in TRANSFER_MODES:
        raise ParameterError(f"There is no transfer mode {transfer!r}; known ones are {', '.join(TRANSFER_MODES)}.")


def resolve_transfer(transfer: str, source: ResourcePath, root: ResourcePath) -> str | None:
    """Return what a transfer mode means for one file, `None` for one that is in place already."""
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


def place(source: ResourcePath, target: ResourcePath, mode: str, *, size: int | None = None) -> None:
    """Put a file in its place; a target that holds the same content is left alone.

    ``size`` is that of a remote file when it was looked at, if known: a copy of another size is refused.
    A moved file's source stays: it is for `remove_source` after the registration.
    """
    target.dirname().mkdir()
    try:
        if mode == "copy" and target.isLocal:
            _copy(source, Path(target.ospath), size)
        elif target.isLocal:
            _PLACING[mode](source, Path(target.ospath))
        else:  # where a file appears whole, or not at all
            target.transfer_from(source, transfer="copy")
    except FileExistsError:
        require_same_bytes(source, target)


def _hard_link(source: ResourcePath, path: Path) -> None:
    os.link(os.path.realpath(source.ospath), path)


def _symbolic_link(source: ResourcePath, path: Path) -> None:
    path.symlink_to(os.path.realpath(source.ospath))


def _relative_link(source: ResourcePath, path: Path) -> None:
    path.symlink_to(os.path.relpath(os.path.realpath(source.ospath), os.path.realpath(path.parent)))


def _link(source: ResourcePath, path: Path) -> None:
    _try_hard_link(source, path, otherwise=_symbolic_link)


def _move(source: ResourcePath, path: Path) -> None:
    _try_hard_link(source, path, otherwise=_copy)


def _try_hard_link(source: ResourcePath, path: Path, *, otherwise: Callable[[ResourcePath, Path], None]) -> None:
    try:
        _hard_link(source, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
        otherwise(source, path)


def _copy(source: ResourcePath, path: Path, size: int | None = None) -> None:
    remove_leftovers(path.parent)
    if os.path.lexists(path):
        raise FileExistsError
    with temporary_file(path.parent) as temporary:
        if source.isLocal:
            shutil.copy(source.ospath, temporary)
        else:
            download(source, temporary, size=size)
        publish(temporary, path)


def publish(temporary: Path, path: Path, *, replace: bool = False) -> None:
    """Give a whole temporary file its own name in the same folder.

    Raises
    ------
    FileExistsError
        Raised if the name is taken, and the file there is not to be replaced.
    ParameterError
        Raised if it is to be replaced, and is no file: root would lose a device such as ``/dev/null`` by it.
    """
    _flush(temporary)
    if replace:
        require_replaceable(path)
        temporary.replace(path)
    else:
        _give_name(temporary, path)
    _flush(path.parent)


def require_replaceable(path: Path) -> None:
    """Refuse to write over what is there and no file, such as a device or a pipe.

    Raises
    ------
    ParameterError
        Raised if it is refused.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise ParameterError(f"{str(path)!r} is {kind}; expected a file, or one that is not there yet.")


_PLACING: Mapping[str, Callable[[ResourcePath, Path], None]] = {
    "move": _move,
    "link": _link,
    "hardlink": _hard_link,
    "symlink": _symbolic_link,
    "relsymlink": _relative_link,
}


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk: the registry that tells of it will be, and a source gone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_name(temporary: Path, path: Path) -> None:
    """Give a file its own name, which must not be taken."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
        _rename_in_turn(temporary, path)


def _rename_in_turn(temporary: Path, path: Path) -> None:
    """Rename a file where there are no hard links, one process at a time: a rename would replace what is there."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        lock(folder, fcntl.LOCK_EX)
        if os.path.lexists(path):
            raise FileExistsError
        temporary.rename(path)
    finally:
        os.close(folder)


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
