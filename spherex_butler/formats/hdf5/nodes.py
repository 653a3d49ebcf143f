"""Opening HDF5 files of our format, and their datasets, tags and attributes one at a time.

The format is specified in `spherex_butler.formatters.hdf5`.
"""

from __future__ import annotations

__all__ = (
    "ATTRIBUTES",
    "Options",
    "index_of",
    "member",
    "named",
    "new_file",
    "new_group",
    "open_file",
    "read_attributes",
    "read_tags",
    "read_value",
    "value_shape",
    "write_attributes",
    "write_tags",
    "write_value",
)

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from ...errors import FormatError, ParameterError, SpherexButlerError
from ..selection import as_slice
from .values import SLICEABLE_KINDS, Tags, check_name, decode, encode

_log = logging.getLogger(__name__)

ATTRIBUTES = "@attrs"
"""The key under which a mapping keeps its attributes."""

_FORMAT_VERSION = 1

_TAGS = "spherex_butler"
"""The HDF5 attribute that holds an object's tags."""

_COMPRESSED_FROM = 32_768
"""Size in bytes below which chunks and filters cost more than they save."""

Options = Mapping[str, Any]
"""The options of a write recipe."""


def named(path: str) -> str:
    """Return what to call the object at ``path`` in an error."""
    return repr(path) if path else "the root of the file"


@contextmanager
def open_file(path: str) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises
    ------
    FormatError
        Raised if it is no HDF5 file, is damaged or of a newer version.
    """
    try:
        # Datasets never change, and some shared file systems have no locks.
        with h5py.File(path, "r", locking=False) as file:
            _check_version(file)
            yield file
    except SpherexButlerError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        found = "truncated or damaged" if h5py.is_hdf5(path) else "no HDF5 file: it lacks the HDF5 signature"
        raise FormatError(f"The file is {found} ({error}). Expected a complete HDF5 file; fetch it again.") from error


def _check_version(file: h5py.File) -> None:
    version = read_tags(file, "").get("format", _FORMAT_VERSION)
    if not isinstance(version, int) or version > _FORMAT_VERSION:
        raise FormatError(
            f"The file has format version {version!r}; this spherex-butler reads versions up to {_FORMAT_VERSION}. "
            "Upgrade spherex-butler."
        )


@contextmanager
def new_file(path: str) -> Iterator[h5py.File]:
    """Open a new file for writing."""
    # Bounds fix the file's own format whatever HDF5 library writes it; from
    # 1.8 on, attributes may exceed 64 kB.  Only Butler knows the file's
    # temporary name, so it needs no lock.
    with h5py.File(path, "w", libver=("v108", "v108"), track_order=True, locking=False) as file:
        write_tags(file, {"format": _FORMAT_VERSION})
        yield file


def member(group: h5py.Group, name: str, path: str) -> Any:
    """Return a member of a group, which must lie in the same file.

    Raises
    ------
    FormatError
        Raised if it is a link to another file or to nothing.
    """
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise FormatError(
            f"{named(path)} is a link to {link.path!r} in the file {link.filename!r}; expected data in the file itself."
        )
    try:
        return group[name]
    except KeyError as error:
        raise FormatError(f"{named(path)} is a broken link or damaged: {error.args[0]}.") from error


def new_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a new group that keeps the order of its members."""
    return parent.create_group(name, track_order=True)


# Tags.


def write_tags(target: Any, tags: Tags) -> None:
    """Add to the tags of a file, group or dataset."""
    if tags:
        target.attrs[_TAGS] = json.dumps({**read_tags(target, ""), **tags})


def read_tags(source: Any, path: str) -> Tags:
    """Return the tags of a file, group or dataset; none for what others wrote.

    Raises
    ------
    FormatError
        Raised if they are not what this package writes.
    """
    text = source.attrs.get(_TAGS, "{}")
    try:
        tags = json.loads(text)
    except (TypeError, ValueError):
        tags = None
    if not isinstance(tags, dict):
        raise FormatError(f"Attribute {_TAGS!r} of {named(path)} is {text!r}; expected a JSON object.")
    return tags


# Values.


def write_value(group: h5py.Group, name: str, value: Any, where: str, options: Options) -> h5py.Dataset:
    """Write one value as a dataset.

    Raises
    ------
    FormatError
        Raised if the value or the recipe is not one HDF5 can do.
    """
    data, tags = encode(value, where)
    large = isinstance(data, np.ndarray) and data.ndim > 0 and data.nbytes >= _COMPRESSED_FROM
    filters = {option: setting for option, setting in options.items() if setting is not None} if large else {}
    try:
        dataset = group.create_dataset(name, data=data, track_times=False, **filters)
    except (TypeError, ValueError, OSError) as error:
        raise FormatError(f"HDF5 cannot store {where} with options {filters!r}: {error}.") from error
    write_tags(dataset, tags)
    return dataset


def read_value(dataset: h5py.Dataset, tags: Tags, path: str, index: tuple[slice, ...] = ()) -> Any:
    """Read one value, or the part of an array that ``index`` (see `index_of`) chooses.

    Raises
    ------
    FormatError
        Raised if the dataset is damaged, or lies in another file.
    """
    if dataset.external or dataset.is_virtual:
        raise FormatError(f"{named(path)} keeps its data in other files; expected data in the file itself.")
    try:
        text = h5py.check_string_dtype(dataset.dtype)
        if text is not None and text.length is None and dataset.shape is not None:
            stored = dataset.asstr(errors="surrogateescape")[index or ()]
        else:
            stored = dataset[index or ...]
    except (OSError, RuntimeError) as error:
        raise FormatError(f"{named(path)} cannot be read: {error}. The file is damaged; fetch it again.") from error
    return decode(stored, dataset.dtype, tags, named(path))


def index_of(dataset: h5py.Dataset, tags: Tags, path: str, slices: Any) -> tuple[slice, ...]:
    """Return slices with explicit bounds for the leading dimensions of a dataset.

    Parameters
    ----------
    dataset
        The dataset to slice.
    tags
        Its tags.
    path
        Its path, for an error.
    slices
        A slice or a tuple of them.

    Raises
    ------
    ParameterError
        Raised if there are more slices than dimensions.
    """
    shape = value_shape(dataset, tags)
    wanted = slices if isinstance(slices, tuple) else (slices,)
    bounds = [as_slice(item, what="slices") for item in wanted]
    if len(bounds) > len(shape):
        raise ParameterError(
            f"slices={slices!r} has {len(bounds)} dimensions, but {named(path)} has shape {shape}; give no more slices "
            "than an array has dimensions, or choose arrays with a mapping of path to slices."
        )
    return tuple(_bounded(item, size) for item, size in zip(bounds, shape, strict=False))


def _bounded(item: slice, size: int) -> slice:
    start, stop, step = item.indices(size)
    return slice(start, max(start, stop), step)


def value_shape(dataset: h5py.Dataset, tags: Tags) -> tuple[int, ...]:
    """Return the shape of the value in a dataset, which is ``()`` for all but arrays."""
    return tuple(dataset.shape or ()) if tags.get("kind") in SLICEABLE_KINDS else ()


# Attributes.


def write_attributes(target: Any, attributes: Any, path: str) -> None:
    """Write the attributes of a mapping.

    Raises
    ------
    FormatError
        Raised if they are not a mapping, or one cannot be stored.
    """
    if not isinstance(attributes, Mapping):
        raise FormatError(f"{ATTRIBUTES!r} in {named(path)} is {attributes!r}; expected a mapping of attributes.")
    listing = []
    for name, value in attributes.items():
        where = f"attribute {name!r} of {named(path)}"
        if check_name(name, where) == _TAGS:
            raise FormatError(f"{where} has a name that this format keeps for itself; choose another.")
        data, tags = encode(value, where)
        try:
            target.attrs.create(name, data)
        except (TypeError, ValueError, OSError, KeyError) as error:
            raise FormatError(f"HDF5 cannot store {where}: {error}.") from error
        listing.append([name, tags])
    write_tags(target, {"attributes": listing})


def read_attributes(source: Any, path: str) -> dict[str, Any] | None:
    """Return the attributes of a group or dataset, or `None` if it has none."""
    listing = read_tags(source, path).get("attributes")
    if listing is not None:
        return {name: _read_attribute(source, name, tags, path) for name, tags in listing}
    attributes = {}
    for name in source.attrs:
        if name != _TAGS:
            try:
                attributes[name] = _read_attribute(source, name, {}, path)
            except FormatError as error:
                # References to other objects, as netCDF's, mean nothing outside the file.
                _log.info("Left out of the attributes: %s", error)
    return attributes or None


def _read_attribute(source: Any, name: str, tags: Tags, path: str) -> Any:
    return decode(source.attrs[name], source.attrs.get_id(name).dtype, tags, f"attribute {name!r} of {named(path)}")
