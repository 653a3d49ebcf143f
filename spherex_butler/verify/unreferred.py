"""Check of a datastore's folders: files that no record names, and what killed copies left."""

from __future__ import annotations

__all__ = ("check_folders",)

import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from lsst.daf.butler import CollectionType
from lsst.resources import ResourcePath
from numpy.typing import NDArray

from ..errors import FormatError, reason_of
from ..files.temporary import has_temporary_name, is_stale
from ..names import parse_product_name
from ..repository.butler_internals import recorded_paths
from ..repository.configured import holds_repository
from ..repository.opened import OpenedRepository
from .report import Findings, Kind

_FEW = 10_000  # files whose paths are in memory at a time


def check_folders(repository: OpenedRepository, found: Findings, *, remote: bool) -> None:
    """Look for what is in the datastore's folders without being on record; in a remote store only by request.

    Of the files on record 8 bytes each are held in memory. What is registered while folders are looked through is
    looked up once more.
    """
    if not (repository.root.isLocal or remote):
        return
    recorded = _recorded(repository)
    for candidates in _batches(_candidates(repository, found)):
        if unknown := _without(candidates, recorded):
            recorded = _recorded(repository)
            for path in _without(unknown, recorded):
                _report(repository.root, path, found)


def _recorded(repository: OpenedRepository) -> NDArray[np.int64]:
    """Return hashes of the paths on record, relative to the root, in order."""
    root = str(repository.root).rstrip("/") + "/"
    hashes = array("q")
    for path in recorded_paths(repository.butler):
        inside = path.partition("#")[0].removeprefix(root)
        hashes.append(hash(inside))
        if "%" in inside:
            hashes.append(hash(unquote(inside)))
    return np.unique(np.frombuffer(hashes, dtype=np.int64)) if hashes else np.empty(0, dtype=np.int64)


def _without(paths: list[str], recorded: NDArray[np.int64]) -> list[str]:
    known = np.isin(np.array([hash(path) for path in paths], dtype=np.int64), recorded)
    return [path for path, is_known in zip(paths, known.tolist(), strict=True) if not is_known]


def _batches(paths: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for path in paths:
        batch.append(path)
        if len(batch) == _FEW:
            yield batch
            batch = []
    if batch:
        yield batch


def _candidates(repository: OpenedRepository, found: Findings) -> Iterator[str]:
    """Yield, relative to the root, the files with names of products, and all others in the folders of runs."""
    runs = set(repository.butler.collections.query("*", CollectionType.RUN))
    for folder, names in _walk(repository.root, found):
        parts = folder.split("/") if folder else []
        in_run = any("/".join(parts[:depth]) in runs for depth in range(1, len(parts) + 1))
        for name in names:
            path = f"{folder}/{name}" if folder else name
            if has_temporary_name(name):
                if repository.root.isLocal:
                    _check_part(Path(repository.root.ospath, path), found)
            elif in_run or _is_product(name):
                yield path


def _walk(root: ResourcePath, found: Findings) -> Iterator[tuple[str, list[str]]]:
    """Yield folders, relative to the root, and the names of the files in them; none of repositories inside of this."""
    if root.isLocal:
        base = root.ospath
        for folder, folders, names in os.walk(base):
            relative = os.path.relpath(folder, base)
            if relative == os.curdir:
                yield "", names
            elif "butler.yaml" in names and holds_repository(Path(folder)):
                folders.clear()
            else:
                yield relative, names
    else:
        try:
            for uri, _, names in root.walk():
                yield (uri.relative_to(root) or "").strip("/").removeprefix("."), [name for name in names if name]
        except Exception as error:  # noqa: BLE001  # whatever the protocol raises is the finding
            found.add(Kind.FILE_UNREADABLE, str(root), f"its folders cannot be listed: {reason_of(error)}")


def _is_product(name: str) -> bool:
    try:
        parse_product_name(name)
    except FormatError:
        return False
    return True


def _report(root: ResourcePath, path: str, found: Findings) -> None:
    place = str(Path(root.ospath, path)) if root.isLocal else f"{str(root).rstrip('/')}/{path}"
    if _is_product(path):
        message = "no dataset's file is on record there; an ingest was interrupted, or is at work."
        found.add(Kind.FILE_UNREFERRED, place, message)
    else:
        message = "is in the folder of a run, but on record for no dataset."
        found.add(Kind.FILE_UNREFERRED, place, message, problem=False)


def _check_part(path: Path, found: Findings) -> None:
    try:
        stale = is_stale(path)
    except OSError as error:  # another user's, who alone may remove it
        message = f"it cannot be said whether an interrupted copy left it: {reason_of(error)}"
        found.add(Kind.FILE_UNREADABLE, str(path), message, problem=False)
        return
    if stale:
        found.add(Kind.STALE_PART, str(path), "was left by an interrupted copy; it is older than a day.")
