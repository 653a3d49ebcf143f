"""Searching folders, of this machine's file systems and of object stores, one listing at a time.

Unlike `pathlib.Path.glob` this names the folders that cannot be read, goes on
where a link leads to another one, each once, and does not wait for the last
folder to give the first file.
"""

from __future__ import annotations

__all__ = ("Folder", "folder_uri", "has_magic", "may_be_made", "require_permission", "search")

import errno
import os
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

from lsst.resources import ResourcePath

from ..errors import reason_of
from .failures import FailedFile

Folder = Path | ResourcePath
"""An absolute path of this machine, or a folder of an object store: the keys that begin with its name."""

_MAGIC = re.compile(r"[*?[]")
_ANY_DEPTH = "**"


def folder_uri(folder: Folder) -> str:
    """Return where a folder is, without a slash at the end."""
    return (folder.as_uri() if isinstance(folder, Path) else str(folder)).removesuffix("/")


def may_be_made(folder: Path) -> bool:
    """Return whether permissions let this user write to a folder, or make it where it is not there."""
    there = next((one for one in (folder, *folder.absolute().parents) if one.exists()), None)
    return there is None or os.access(there, os.W_OK | os.X_OK)


def require_permission(folder: Path) -> None:
    """Raise the error that writing to a folder, or making it, would end in for lack of permission; nothing is tried."""
    if not may_be_made(folder):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def has_magic(text: str) -> bool:
    """Whether a path is a pattern."""
    return _MAGIC.search(text) is not None


def search(
    folder: Folder, pattern: tuple[str, ...], is_wanted: Callable[[str], bool], seen: set[object] | None = None
) -> Iterator[str | FailedFile]:
    """Yield the URIs of the files in a folder that match a pattern, and the folders that cannot be read.

    The pattern is the parts of a path relative to the folder, as in a shell:
    ``**`` stands for any number of folders.  In folders that it ends at, and
    if it is empty, all that `is_wanted` accepts by name is found.
    """
    seen = set() if seen is None else seen
    try:
        identity = _identity(folder)
        if (identity, pattern) in seen:
            return
        folders, files = _entries(folder)
    except OSError as error:
        yield FailedFile(folder_uri(folder), reason_of(error))
        return
    seen.add((identity, pattern))
    if pattern[:1] == (_ANY_DEPTH,):
        yield from search(folder, pattern[1:], is_wanted, seen)
        deeper, rest = [name for name in folders if pattern[1:] and not name.startswith(".")], pattern
    else:
        deeper, rest = [name for name in folders if _matches(name, pattern)], pattern[1:]
        base = folder_uri(folder)
        for name in files:
            if is_wanted(name) if not pattern else len(pattern) == 1 and _matches(name, pattern):
                yield f"{base}/{quote(os.fsencode(name))}"
    for name in deeper:
        inner = folder / name if isinstance(folder, Path) else folder.join(name, forceDirectory=True)
        yield from search(inner, rest, is_wanted, seen)


def _identity(folder: Folder) -> object:
    """Return what is equal for two paths to the same folder."""
    if isinstance(folder, ResourcePath):
        return folder
    found = folder.stat()
    return found.st_dev, found.st_ino


def _entries(folder: Folder) -> tuple[list[str], list[str]]:
    """Return the names of the folders in a folder and of the files, each in order."""
    if isinstance(folder, ResourcePath):
        return _stored_entries(folder)
    with os.scandir(folder) as found:
        are_folders = {entry.name: entry.is_dir() for entry in found}
    names = sorted(are_folders)
    return [name for name in names if are_folders[name]], [name for name in names if not are_folders[name]]


def _stored_entries(folder: ResourcePath) -> tuple[list[str], list[str]]:
    try:
        _, folders, files = next(iter(folder.walk()), (folder, [], []))
    except OSError:
        raise
    except Exception as error:  # the store's own exceptions have no other base
        raise OSError(f"the folder cannot be listed: {reason_of(error)}") from error
    return sorted(name.removesuffix("/") for name in folders), sorted(filter(None, files))


def _matches(name: str, pattern: tuple[str, ...]) -> bool:
    """Whether a name matches the first part of a pattern; a hidden one only a part that begins with a dot too."""
    if not pattern:
        return True
    return fnmatchcase(name, pattern[0]) and (not name.startswith(".") or pattern[0].startswith("."))
