"""What ingest makes of paths: files found, headers read and checked, nothing changed and no repository needed."""

from __future__ import annotations

__all__ = ("DATASET_TYPE", "PlannedFile", "plan_files")

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lsst.daf.butler.progress import Progress
from lsst.resources import ResourcePath

from .conventions import INSTRUMENT
from .errors import FormatError, ParameterError
from .fits_io import FitsFile
from .headers import ImageDescription, describe_image
from .lazy_header import LazyHeader
from .names import ProductName, parse_product_name
from .ranges import open_ranges
from .reports import FailedFile, reason_of
from .runs import release_of

DATASET_TYPE = "level2"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that can be ingested.

    Parameters
    ----------
    uri
        Where it is.
    name
        Its name, in fields.
    release
        The release it belongs to.
    description
        What its headers say.
    size
        Its size in bytes, `None` for a remote file.
    """

    uri: str
    name: ProductName
    release: str
    description: ImageDescription
    size: int | None

    @property
    def data_id(self) -> dict[str, Any]:
        """Which image it is."""
        exposure = self.description.observation.exposure_id
        return {"instrument": INSTRUMENT, "exposure": exposure, "detector": self.description.detector}

    @property
    def warnings(self) -> list[str]:
        """What is odd about it, but no obstacle."""
        found, expected = self.description.expidn, self.description.expected_expidn
        if found == expected:
            return []
        return [f"{self.uri}: EXPIDN is {found}; {expected} was expected from OBSID and DETECTOR, and is used."]


def plan_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | ResourcePath],
    *,
    processes: int = 1,
    release: str | None = None,
) -> tuple[list[PlannedFile], list[FailedFile]]:
    """Read the headers of files.

    Parameters
    ----------
    paths, processes, release
        As for `ingest_files`.

    Returns
    -------
    planned, failed
        Files that can be ingested, by run in order of exposure and detector, and the others.

    Raises
    ------
    ParameterError
        Raised if ``processes`` is less than one, or a path empty.
    """
    found = list(dict.fromkeys(_expand(paths)))
    uris = [entry for entry in found if isinstance(entry, str)]
    missing = [entry for entry in found if isinstance(entry, FailedFile)]
    progress = Progress(__name__)
    with _mapper(processes) as mapper:
        tasks = mapper(_plan_file, uris, [release] * len(uris))
        results = list(progress.wrap(tasks, total=len(uris), desc="Reading headers"))
    planned = [result for result in results if isinstance(result, PlannedFile)]
    planned.sort(key=lambda file: (file.name.run, file.release, file.data_id["exposure"], file.data_id["detector"]))
    return planned, [*missing, *(result for result in results if isinstance(result, FailedFile))]


@contextmanager
def _mapper(processes: int) -> Iterator[Callable[..., Iterator[Any]]]:
    if processes < 1:
        raise ParameterError(f"processes={processes} cannot read anything; expected at least 1.")
    if processes == 1:
        yield map
    else:
        # Not by fork, which copies threads and connections of this process in whatever state they are.
        with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
            yield lambda function, *columns: pool.map(function, *columns, chunksize=16)


def _expand(paths: Any) -> Iterator[str | FailedFile]:
    """Yield the URIs of the files that paths, folders and globs stand for, and those that stand for none."""
    for path in [paths] if isinstance(paths, (str, os.PathLike, ResourcePath)) else paths:
        text = str(path) if isinstance(path, ResourcePath) else os.fspath(path)
        if not text:
            raise ParameterError("A path is empty; expected a file, a folder ('.' for the current one) or a URL.")
        try:
            uri = ResourcePath(text) if _SCHEME.match(text) else None
        except NotImplementedError as error:
            yield FailedFile(text, f"{error}; expected a path or an http, https or s3 URL.")
            continue
        except ImportError as error:
            yield FailedFile(text, f"{error}; pip install 'spherex-butler[https]', or [s3] for s3:// URLs.")
            continue
        if uri is not None and not uri.isLocal:
            yield str(uri)
        else:
            yield from _local_files(Path(text if uri is None else uri.ospath).absolute())


def _local_files(path: Path) -> Iterator[str | FailedFile]:
    """Yield ``file://`` URIs, as a ``%`` or ``#`` in a bare path would have a meaning of its own."""
    path = path.resolve() if ".." in path.parts else path
    files: Iterable[Path] = ()
    if path.is_dir():
        pattern = f"{DATASET_TYPE}_*.fits"
        files, nothing = path.rglob(pattern), f"there is no {pattern} in this folder."
    elif path.exists():
        files, nothing = [path], ""
    elif glob.has_magic(str(path)):
        files = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        nothing = f"nothing matches the pattern {str(path)!r}."
    else:
        nothing = "there is no such file or folder."
    found = sorted(files)
    yield from (file.as_uri() for file in found)
    if not found:
        yield FailedFile(path.as_uri(), nothing)


def _plan_file(uri: str, release: str | None) -> PlannedFile | FailedFile:
    try:
        name = parse_product_name(uri)
        if name.dataset_type != DATASET_TYPE or name.observation is None:
            raise FormatError(f"{str(name)!r} is a {name.dataset_type!r}; expected a {DATASET_TYPE!r} image.")
        with open_ranges(ResourcePath(uri)) as (read_ranges, size):
            description = _describe(FitsFile(read_ranges, size, repr(uri)), complete=size is not None)
        _require_agreement(name, description)
        return PlannedFile(uri, name, release_of(name, uri, release), description, size)
    except (OSError, ValueError) as error:  # ours are ValueErrors, as are those of astropy's WCS and coordinates
        return FailedFile(uri, reason_of(error))


def _describe(file: FitsFile, *, complete: bool) -> ImageDescription:
    image = file["IMAGE"]
    if complete:
        file.check_complete()
    return describe_image(LazyHeader(image.text), image.shape)


def _require_agreement(name: ProductName, description: ImageDescription) -> None:
    said, found = (name.observation, name.detector), (description.observation, description.detector)
    if said != found:
        raise FormatError(
            f"The name says {said[0]} detector {said[1]}, the header {found[0]} detector {found[1]}; "
            "expected the same image."
        )
