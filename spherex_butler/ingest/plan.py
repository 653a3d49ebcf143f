"""What a file's name and headers say of its image, read in as few and small pieces as describe it.

A local file is read at its beginning, where the primary and the IMAGE header
are, and at its end, where the wavelength table is if the file is whole.  A
remote one takes one request for the beginning, and one for the size.
"""

from __future__ import annotations

__all__ = ("PlannedFile", "describe_whole", "read_local", "read_remote")

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from lsst.resources import ResourcePath

from ..constants import DATASET_TYPE, INSTRUMENT
from ..errors import FormatError
from ..files.failures import FailedFile, FailingAlone, or_failed
from ..files.fits import open_fits
from ..files.waiting import limit_waits
from ..formats.fits.file import FitsFile, open_local_fits
from ..formats.fits.lazy_header import LazyHeader
from ..images.description import ImageDescription, describe_image
from ..images.wavelengths import EXTNAME as LAST_HDU
from ..names import ProductName, parse_product_name
from ..repository.runs import doubt_of, release_of

_log = logging.getLogger(__name__)


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
        Its size in bytes, `None` where a server does not give it.
    doubt
        Why the release may be another one, if it may.
    """

    uri: str
    name: ProductName
    release: str
    description: ImageDescription
    size: int | None
    doubt: str | None = None

    @property
    def data_id(self) -> dict[str, Any]:
        """Which image it is."""
        exposure = self.description.observation.exposure_id
        return {"instrument": INSTRUMENT, "exposure": exposure, "detector": self.description.detector}

    @property
    def warnings(self) -> list[str]:
        """What is odd about it, but does not keep it out."""
        found, expected = self.description.expidn, self.description.expected_expidn
        if found == expected:
            return []
        return [f"{self.uri}: EXPIDN is {found}; {expected} was expected from OBSID and DETECTOR, and is used."]


def read_local(uris: list[str], release: str | None) -> list[PlannedFile | FailedFile]:
    """Return files at ``file://`` URIs as planned or failed."""
    return [or_failed(uri, partial(_plan, uri, release, describe_whole)) for uri in uris]


def read_remote(uris: list[str], release: str | None) -> list[PlannedFile | FailedFile]:
    """Return remote files as planned or failed."""
    return [or_failed(uri, partial(_plan, uri, release, _describe_remote)) for uri in uris]


def _plan(uri: str, release: str | None, describe: Callable[[str], tuple[ImageDescription, int | None]]) -> PlannedFile:
    name = _image_name(uri)
    description, size = describe(uri)
    _require_same_image(name, description)
    doubt = doubt_of(name, uri, release)
    return PlannedFile(uri, name, release_of(name, uri, release), description, size, doubt)


def describe_whole(uri: str) -> tuple[ImageDescription, int | None]:
    """Return what the IMAGE header of a local file says, and its size, having checked that the file is whole."""
    with open_local_fits(unquote(urlsplit(uri).path), repr(uri)) as file:
        description = _describe(file)
        _require_whole(file)
    return description, file.size


def _require_whole(file: FitsFile) -> None:
    """Refuse a file that was cut off; the HDU at its end tells in most cases, without the headers before it."""
    last = file.find_last(LAST_HDU)
    if last is None or last.end != file.size:
        file.check_complete()


def _describe_remote(uri: str) -> tuple[ImageDescription, int | None]:
    source = ResourcePath(uri)
    with open_fits(source) as file:
        description = _describe(file)
        if not file.remote or file.size is None:  # unzipped, or of a server that sends files as a whole only
            return description, _remote_size(source)
        _require_whole(file)
        return description, file.size


def _remote_size(uri: ResourcePath) -> int | None:
    """Return the size of a remote file as it is stored; `None` if the server does not tell."""
    with FailingAlone(lambda error: _log.debug("%s does not tell its size: %s", uri, error)):
        limit_waits(uri)
        return uri.size()
    return None


def _image_name(uri: str) -> ProductName:
    name = parse_product_name(uri)
    if name.dataset_type != DATASET_TYPE or name.observation is None:
        raise FormatError(f"{str(name)!r} is a {name.dataset_type!r}; expected a {DATASET_TYPE!r} image.")
    return name


def _describe(file: FitsFile) -> ImageDescription:
    image = file["IMAGE"]
    return describe_image(LazyHeader(image.text), image.shape)


def _require_same_image(name: ProductName, description: ImageDescription) -> None:
    said, found = (name.observation, name.detector), (description.observation, description.detector)
    if said != found:
        raise FormatError(
            f"The name says {said[0]} detector {said[1]}, the header {found[0]} detector {found[1]}; "
            "expected the same image."
        )
