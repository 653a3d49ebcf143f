"""HDF5 files of our format, and their groups and datasets one at a time."""

from __future__ import annotations

__all__ = (
    "ATTRIBUTES",
    "DEEPEST",
    "Node",
    "Options",
    "named",
    "new_file",
    "new_group",
    "open_file",
    "write_attributes",
    "write_tags",
    "write_value",
)

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from ...errors import FormatError, ParameterError, SpherexButlerError
from ..regular import require_regular
from ..selection import as_slice
from .values import SLICEABLE_KINDS, Tags, check_name, check_tags, decode, encode, shortened

_log = logging.getLogger(__name__)

ATTRIBUTES = "@attrs"
"""The key under which a mapping keeps its attributes."""

_FORMAT_VERSION = 1

_TAGS = "spherex_butler"
"""The HDF5 attribute that holds an object's tags."""

_COMPRESSED_FROM = 32_768
"""Size in bytes below which chunks and filters cost more than they save."""

_UNSTORED = 1 << 26
"""Bytes that may be read of what was never stored; HDF5 fills it in …"""

_COMPRESSED = 2048
"""… and beyond which they are this many times what is stored at most: gzip makes zeros 1,030 times smaller."""

DEEPEST = 64
"""How many mappings may be in each other."""

Options = Mapping[str, Any]
"""The options of a write recipe."""


@contextmanager
def open_file(path: str) -> Iterator[h5py.File]:
    """Open a file for reading."""
    require_regular(path)
    try:
        # Stored datasets never change, and some shared file systems have no locks.
        with h5py.File(path, "r", locking=False) as file:
            _check_version(file)
            yield file
    except SpherexButlerError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        found = "truncated or damaged" if h5py.is_hdf5(path) else "not an HDF5 file: it lacks the HDF5 signature"
        raise FormatError(f"The file is {found} ({error}). Expected a complete HDF5 file; fetch it again.") from error


def _check_version(file: h5py.File) -> None:
    version = _read_tags(file, "").get("format", _FORMAT_VERSION)
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


# Reading.


def named(path: str) -> str:
    """Return what to call the object at ``path`` in an error."""
    return repr(path) if path else "the root of the file"


@dataclass(frozen=True, slots=True)
class Node:
    """A group or dataset of an open file, of which only the tags have been read.

    ``path`` is its keys joined by "/", empty for the root. ``source`` is `None` for a link that leads out of the
    file, nowhere, or to a group around it. Objects that others wrote have no ``tags``.
    """

    path: str
    source: Any
    tags: Tags
    slices: Any = None

    @classmethod
    def of(cls, source: Any, path: str = "", slices: Any = None) -> Node:
        """Return the node for a group or dataset."""
        return cls(path, source, {} if source is None else _read_tags(source, path), slices)

    def member(self, name: str, path: str, slices: Any = None) -> Node:
        """Return a member of this group."""
        external = isinstance(self.source.get(name, getlink=True), h5py.ExternalLink)
        return self.of(None if external else self.source.get(name), path, slices)

    @property
    def is_table(self) -> bool:
        """Whether the node is a table."""
        return isinstance(self.source, h5py.Group) and self.tags.get("kind") == "table"

    @property
    def is_mapping(self) -> bool:
        """Whether the node is a mapping."""
        return isinstance(self.source, h5py.Group) and not self.is_table

    @property
    def is_array(self) -> bool:
        """Whether the node is an array of at least one dimension."""
        return isinstance(self.source, h5py.Dataset) and self._full_shape != ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the part to read: of an array, ``(rows,)`` of a table, ``()`` of other values."""
        if self.slices is None:
            return self._full_shape
        index, full = self.index, self._full_shape
        return tuple(len(range(size)[part]) for part, size in zip(index, full, strict=False)) + full[len(index) :]

    @property
    def index(self) -> tuple[slice, ...]:
        """The slices of the leading dimensions."""
        if self.slices is None:
            return ()
        wanted = self.slices if isinstance(self.slices, tuple) else (self.slices,)
        index, shape = tuple(as_slice(item, what="slices") for item in wanted), self._full_shape
        if len(index) > len(shape):
            raise ParameterError(
                f"slices={self.slices!r} has {len(index)} dimensions, but {named(self.path)} has shape {shape}; give "
                "no more slices than an array has dimensions, or choose arrays with a mapping of path to slices."
            )
        return index

    @property
    def _full_shape(self) -> tuple[int, ...]:
        if self.is_table:
            return (self.tags["rows"],)
        return tuple(self._dataset().shape or ()) if self.tags.get("kind") in SLICEABLE_KINDS else ()

    def _dataset(self) -> h5py.Dataset:
        found = self.source
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            raise FormatError(
                f"{named(self.path)} is not a dataset, but damaged or a reference to data elsewhere (another "
                "file, nothing, a group around it); expected data in the file itself."
            )
        return found

    def read(self) -> Any:
        """Read a value, or the part of an array that the slices choose."""
        dataset, index = self._dataset(), self.index
        dtype = dataset.dtype  # made anew by h5py whenever it is asked for
        self._require_stored(dataset, dtype)
        try:
            text = h5py.check_string_dtype(dtype)
            if text is not None and text.length is None and dataset.shape is not None:
                stored = dataset.asstr(errors="surrogateescape")[index or ()]
            else:
                stored = dataset[index or ...]
        except (OSError, RuntimeError) as error:
            raise FormatError(
                f"{named(self.path)} cannot be read: {error}. The file is damaged; fetch it again."
            ) from error
        return decode(stored, dtype, self.tags, named(self.path))

    def _require_stored(self, dataset: h5py.Dataset, dtype: np.dtype[Any]) -> None:
        """Refuse a shape that far more data belong to than there are, so that small files do not fill the memory."""
        shape = dataset.shape if self.slices is None else self.shape
        size = math.prod(shape or dataset.shape or ()) * dtype.itemsize
        if size > _UNSTORED and size > _COMPRESSED * (stored := dataset.id.get_storage_size()):
            raise FormatError(
                f"{named(self.path)} has shape {dataset.shape}, of which {size:,} bytes would be read, but only "
                f"{stored:,} bytes are stored. Choose less of it with the parameter slices, or fetch the file again."
            )

    def attributes(self) -> dict[str, Any] | None:
        """Return the attributes of a group or dataset, or `None` if it has none."""
        if "attributes" in self.tags:
            return {name: self._attribute(name, tags) for name, tags in self._listed_attributes()}
        attributes = {}
        for name in {} if self.source is None else self.source.attrs:
            if name != _TAGS:
                try:
                    attributes[name] = self._attribute(name, {})
                except FormatError as error:
                    # References to other objects, as netCDF's, mean nothing outside the file.
                    _log.info("Left out of the attributes: %s", error)
        return attributes or None

    def _listed_attributes(self) -> Iterator[tuple[str, Tags]]:
        for item in self.tags["attributes"]:
            match item:
                case [str(name), dict(tags)] if name in self.source.attrs:
                    yield name, tags
                case _:
                    raise FormatError(
                        f"The attributes of {named(self.path)} have {shortened(item)} in their list; expected the name "
                        "of one and its tags. The file is damaged."
                    )

    def _attribute(self, name: str, tags: Tags) -> Any:
        attributes = self.source.attrs
        where = f"attribute {name!r} of {named(self.path)}"
        return decode(attributes[name], attributes.get_id(name).dtype, tags, where)


def _read_tags(source: Any, path: str) -> Tags:
    text = source.attrs.get(_TAGS, "{}")
    try:
        tags = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        tags = None
    if not isinstance(tags, dict):
        raise FormatError(f"Attribute {_TAGS!r} of {named(path)} is {shortened(text)}; expected a JSON object.")
    return check_tags(tags, named(path))


# Writing.


def new_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a new group that keeps the order of its members."""
    return parent.create_group(name, track_order=True)


def write_tags(target: Any, tags: Tags) -> None:
    """Add to the tags of a file, group or dataset."""
    if tags:
        # Of fixed length: in a damaged file, libhdf5 may search for text of variable length for ever.
        target.attrs[_TAGS] = np.bytes_(json.dumps({**_read_tags(target, ""), **tags}))


def write_value(group: h5py.Group, name: str, value: Any, where: str, options: Options, **tags: Any) -> None:
    """Write one value as a dataset, with ``tags`` besides its own."""
    data, own = encode(value, where)
    large = isinstance(data, np.ndarray) and data.ndim > 0 and data.nbytes >= _COMPRESSED_FROM
    filters = {option: setting for option, setting in options.items() if setting is not None} if large else {}
    try:
        dataset = group.create_dataset(name, data=data, track_times=False, **filters)
    except (TypeError, ValueError, OSError) as error:
        raise FormatError(f"HDF5 cannot store {where} with options {filters!r}: {error}.") from error
    write_tags(dataset, {**own, **tags})


def write_attributes(target: Any, attributes: Any, path: str) -> None:
    """Write the attributes of a mapping."""
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
