"""The headers of a Level 2 file, local or remote, read in as few and small pieces as describe its image.

A local file is read at its beginning, where the primary and the IMAGE header
are, and at its end, where the wavelength table is if the file is whole.  A
remote one takes one request for the beginning, and one for the size.
"""

from __future__ import annotations

__all__ = ("Reading", "read_local", "read_remote")

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from astropy.io import fits
from lsst.resources import ResourcePath

from ..constants import DATASET_TYPE
from ..errors import FormatError, reason_of
from ..files.fits import open_fits
from ..formats.fits.file import FitsFile, open_local_fits
from ..formats.fits.lazy_header import LazyHeader
from ..images.description import ImageDescription, describe_image
from ..images.wavelengths import EXTNAME as LAST_HDU
from ..names import ProductName, parse_product_name

_ERRORS = (OSError, ValueError, TypeError, ArithmeticError, LookupError, fits.VerifyError)
"""Errors that keep one file out, but not the others: ours, and astropy's, which raises many kinds for a wrong card."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file's name and headers say."""

    name: ProductName
    description: ImageDescription
    size: int | None


def read_local(uris: list[str]) -> list[Reading | str]:
    """Return what ``file://`` URIs hold, or why they cannot be ingested."""
    return [_read_local(uri) for uri in uris]


def read_remote(uris: list[str]) -> list[Reading | str]:
    """Return what remote files hold, or why they cannot be ingested."""
    return [_read_remote(uri) for uri in uris]


def _read_local(uri: str) -> Reading | str:
    try:
        name = _image_name(uri)
        with open_local_fits(unquote(urlsplit(uri).path), repr(uri)) as file:
            description = _describe(file)
            last = file.find_last(LAST_HDU)
            if last is None or last.end != file.size:
                file.check_complete()
        return Reading(name, _agreeing(name, description), file.size)
    except _ERRORS as error:
        return reason_of(error)


def _read_remote(uri: str) -> Reading | str:
    try:
        name, source = _image_name(uri), ResourcePath(uri)
        with open_fits(source) as file:
            description = _describe(file)
        return Reading(name, _agreeing(name, description), _remote_size(source))
    except _ERRORS as error:
        return reason_of(error)


def _remote_size(uri: ResourcePath) -> int | None:
    """Return the size of a remote file, with which a later get finds its last HDU at once; `None` if it is unknown."""
    try:
        return uri.size()
    except (OSError, ValueError):
        return None


def _image_name(uri: str) -> ProductName:
    name = parse_product_name(uri)
    if name.dataset_type != DATASET_TYPE or name.observation is None:
        raise FormatError(f"{str(name)!r} is a {name.dataset_type!r}; expected a {DATASET_TYPE!r} image.")
    return name


def _describe(file: FitsFile) -> ImageDescription:
    image = file["IMAGE"]
    return describe_image(LazyHeader(image.text), image.shape)


def _agreeing(name: ProductName, description: ImageDescription) -> ImageDescription:
    """Return the description if the name is of the same image."""
    said, found = (name.observation, name.detector), (description.observation, description.detector)
    if said != found:
        raise FormatError(
            f"The name says {said[0]} detector {said[1]}, the header {found[0]} detector {found[1]}; "
            "expected the same image."
        )
    return description
