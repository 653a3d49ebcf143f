"""How one value, such as an array or a string, is stored in one HDF5 dataset or attribute.

The format is specified in `spherex_butler.formatters.hdf5`; here are its
*kinds*, what HDF5 lacks (unicode arrays, times) and how both come back.
"""

from __future__ import annotations

__all__ = ("SLICEABLE_KINDS", "Encoded", "Tags", "check_name", "decode", "encode", "plain_dtype", "unit_text")

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import astropy.units as u
import h5py
import numpy as np

from ...errors import FormatError

Tags = dict[str, Any]
"""What HDF5 itself cannot say about a stored value; JSON in the file."""

SLICEABLE_KINDS = frozenset({None, "array", "quantity"})
"""The kinds whose HDF5 dimensions are those of the value; no tag is a plain array."""


class Encoded(NamedTuple):
    """What goes into HDF5 for a value."""

    data: Any
    tags: Tags


def encode(value: Any, where: str) -> Encoded:
    """Return what HDF5 stores for a value.

    Parameters
    ----------
    value
        An array, `~astropy.units.Quantity`, numpy or Python scalar, string,
        bytes, `None`, or a list, tuple or `dict` of Python values.
    where
        What the value is, for an error: ``"'a/b'"``.

    Raises
    ------
    FormatError
        Raised for anything else, subclasses included: what is read back has
        the very type that was written.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is None and isinstance(value, np.generic):
        encoder = _encode_numpy_scalar
    if encoder is None:
        raise FormatError(
            f"{where} is a {_type_name(value)}, which this format does not store; expected a mapping, a table, "
            "a plain array or Quantity, a scalar, str, bytes, None, or a list or tuple of plain Python values. "
            "Convert it (np.asarray, u.Quantity), or make it a column of a table."
        )
    return encoder(value, where)


def decode(stored: Any, dtype: np.dtype[Any], tags: Tags, where: str) -> Any:
    """Return the value that was encoded.

    Parameters
    ----------
    stored
        What h5py read.
    dtype
        The data type that h5py states for the dataset or attribute.
    tags
        The tags of the value; without any, it is what the file's writer,
        whoever that was, most likely meant.
    where
        What the value is, for an error.

    Raises
    ------
    FormatError
        Raised if the tags do not fit what is stored.
    """
    decoder = _DECODERS.get(tags.get("kind"))
    if decoder is None:
        raise FormatError(
            f"{where} is of kind {tags['kind']!r}; expected one of {sorted(filter(None, _DECODERS))}. "
            "The file is damaged or was written by a newer spherex-butler."
        )
    raw = _raw(stored, dtype, tags, where)
    try:
        if "dtype" in tags:
            raw = _restored(raw, _parsed_dtype(tags["dtype"]))
        return decoder(raw, tags)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise FormatError(f"{where} is damaged: its tags {tags!r} do not fit what is stored ({error}).") from error


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a data type in native byte order, without what h5py notes in its metadata."""
    return _parsed_dtype(_described_dtype(dtype))


def unit_text(unit: u.UnitBase, where: str) -> str:
    """Return a unit as a string that gives the same unit back.

    Raises
    ------
    FormatError
        Raised if there is none, as for a unit the user defined.
    """
    text: str = unit.to_string()
    if u.Unit(text, parse_strict="silent") != unit:
        raise FormatError(
            f"The unit {text!r} of {where} cannot be restored from its name; expected a unit astropy knows."
        )
    return text


def check_name(name: Any, where: str) -> str:
    """Return a name that HDF5 can give to a link or attribute.

    Raises
    ------
    FormatError
        Raised if it is not a string, is empty, or holds what HDF5 lacks.
    """
    if not isinstance(name, str) or not name or "\0" in name or not _encodes(name):
        raise FormatError(f"{where} has the name {name!r}; expected a non-empty str of valid unicode without NUL.")
    return name


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


# Encoding.


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _encode_none(_value: None, _where: str) -> Encoded:
    return Encoded(h5py.Empty(np.dtype("u1")), {"kind": "none"})


def _encode_number(value: complex, _where: str) -> Encoded:
    return Encoded(np.asarray(value), {"kind": type(value).__name__})


def _encode_int(value: int, where: str) -> Encoded:
    if -(2**63) <= value < 2**63:
        return _encode_number(value, where)
    return Encoded(hex(value), {"kind": "int"})


def _encode_str(value: str, _where: str) -> Encoded:
    kind = "numpy.str" if isinstance(value, np.str_) else "str"
    try:
        value.encode()
        simple = "\0" not in value
    except UnicodeEncodeError:
        simple = False
    # HDF5 strings end at the first NUL and hold no lone surrogates.
    return Encoded(str(value) if simple else _bytes_array(value.encode("utf-8", "surrogatepass")), {"kind": kind})


def _encode_bytes(value: bytes, _where: str) -> Encoded:
    # numpy and HDF5 strip trailing NULs from byte strings, so they are stored as numbers.
    return Encoded(_bytes_array(value), {"kind": "numpy.bytes" if isinstance(value, np.bytes_) else "bytes"})


def _bytes_array(value: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(value, np.uint8)


def _encode_json(value: Any, where: str) -> Encoded:
    try:
        text = json.dumps(_to_json(value, where))
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{where} cannot be stored as JSON: {error}.") from error
    return Encoded(text, {"kind": "json"})


def _to_json(value: Any, where: str) -> Any:
    if value is None or type(value) in {bool, int, float, str}:
        return value
    if type(value) is list:
        return [_to_json(item, where) for item in value]
    if type(value) is tuple:
        return {"tuple": [_to_json(item, where) for item in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: _to_json(item, where) for key, item in value.items()}}
    raise FormatError(
        f"{where} holds a {_type_name(value)} within a list, tuple or dict; expected only None, bool, int, float, "
        "str and lists, tuples and str-keyed dicts of them. Use an array, or a mapping with a key for each item."
    )


def _encode_numpy_scalar(value: np.generic, where: str) -> Encoded:
    encoded = _encode_array(np.asarray(value), where)
    return Encoded(encoded.data, {**encoded.tags, "kind": "scalar"})


def _encode_quantity(value: u.Quantity, where: str) -> Encoded:
    encoded = _encode_array(value.view(np.ndarray), where)
    return Encoded(encoded.data, {**encoded.tags, "kind": "quantity", "unit": unit_text(value.unit, where)})


def _encode_array(value: np.ndarray[Any, Any], where: str) -> Encoded:
    dtype = value.dtype
    if dtype.hasobject or dtype.itemsize == 0:
        reason = "Python objects, which only pickle could store" if dtype.hasobject else "nothing"
        raise FormatError(
            f"{where} has dtype {dtype!r}: it holds {reason}. Expected numbers, strings, times or fields of them; "
            "convert it with astype."
        )
    native = value.astype(dtype.newbyteorder("="), copy=False)
    data = _storable(native, where)
    tags: Tags = {} if native.ndim else {"kind": "array"}
    if data.dtype != native.dtype or native.dtype.names is not None:
        tags["dtype"] = _described_dtype(native.dtype)
    return Encoded(data, tags)


def _storable(array: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """Return an array, or what HDF5 can store in its place."""
    dtype = array.dtype
    if dtype.kind == "U":
        encoded = np.asarray(np.strings.encode(array, "utf-8", "surrogatepass"))
        return encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
    if dtype.kind in "mM":
        return array.view(np.int64)
    if dtype.names is None:
        return array
    fields = {name: _storable(array[check_name(name, f"A field of {where}")], where) for name in dtype.names}
    if all(field.dtype == array[name].dtype for name, field in fields.items()):
        return array
    layout = [(name, field.dtype, field.shape[array.ndim :]) for name, field in fields.items()]
    result = np.zeros(array.shape, layout)
    for name, field in fields.items():
        result[name] = field
    return result


_ENCODERS: Mapping[type, Callable[[Any, str], Encoded]] = {
    type(None): _encode_none,
    bool: _encode_number,
    int: _encode_int,
    float: _encode_number,
    complex: _encode_number,
    str: _encode_str,
    np.str_: _encode_str,
    bytes: _encode_bytes,
    np.bytes_: _encode_bytes,
    list: _encode_json,
    tuple: _encode_json,
    dict: _encode_json,
    np.ndarray: _encode_array,
    np.memmap: _encode_array,
    u.Quantity: _encode_quantity,
}


# Decoding.


def _raw(stored: Any, dtype: np.dtype[Any], tags: Tags, where: str) -> Any:
    """Return what h5py read as `None`, a `str` or an array of plain, native dtype."""
    if isinstance(stored, h5py.Empty):
        return None
    text = h5py.check_string_dtype(dtype)
    if text is not None and text.length is None:
        return stored if isinstance(stored, str) else _unicode_array(np.asarray(stored, object))
    if dtype.hasobject:
        raise FormatError(
            f"{where} holds items of variable length or references (HDF5 type {h5py.h5t.py_create(dtype)!r}), which "
            "this format does not read; choose other data with the parameter keys, or open the file with h5py."
        )
    array = stored if isinstance(stored, np.ndarray) else np.asarray(stored, dtype)
    plain = plain_dtype(array.dtype)
    array = array.view(plain) if array.dtype.isnative else array.astype(plain)
    if text is not None and text.encoding == "utf-8" and "dtype" not in tags:
        return _unicode_array(np.strings.decode(array, "utf-8", "surrogateescape"))
    return array


def _unicode_array(strings: Any) -> Any:
    array = np.asarray(strings)
    return array.astype(str) if array.ndim else str(array[()])


def _restored(raw: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if raw.dtype == dtype:
        return raw
    if dtype.kind == "U":
        return np.asarray(np.strings.decode(raw, "utf-8", "surrogatepass")).astype(dtype)
    if dtype.kind in "mM" and raw.dtype == np.int64:
        return raw.view(dtype)
    if dtype.names is not None:
        result = np.zeros(raw.shape, dtype)
        for name in dtype.names:
            result[name] = _restored(raw[name], dtype[name].base)
        return result
    raise ValueError(f"{raw.dtype!r} is not stored for {dtype!r}")


def _decode_untagged(raw: Any, _tags: Tags) -> Any:
    return raw[()] if isinstance(raw, np.ndarray) and raw.ndim == 0 else raw


def _decode_int(raw: Any, _tags: Tags) -> int:
    return int(raw, 16) if isinstance(raw, str) else int(raw)


def _decode_str(raw: Any, _tags: Tags) -> str:
    return raw if isinstance(raw, str) else _decode_bytes(raw, _tags).decode("utf-8", "surrogatepass")


def _decode_bytes(raw: Any, _tags: Tags) -> bytes:
    return bytes(raw.astype(np.uint8, casting="no", copy=False).tobytes())


def _decode_json(raw: str, _tags: Tags) -> Any:
    return _from_json(json.loads(raw))


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if isinstance(value, dict):
        ((kind, items),) = value.items()
        if kind == "tuple":
            return tuple(_from_json(items))
        return {key: _from_json(item) for key, item in items.items()}
    return value


_DECODERS: Mapping[str | None, Callable[[Any, Tags], Any]] = {
    None: _decode_untagged,
    "none": lambda _raw, _tags: None,
    "bool": lambda raw, _tags: bool(raw),
    "int": _decode_int,
    "float": lambda raw, _tags: float(raw),
    "complex": lambda raw, _tags: complex(raw),
    "str": _decode_str,
    "numpy.str": lambda raw, tags: np.str_(_decode_str(raw, tags)),
    "bytes": _decode_bytes,
    "numpy.bytes": lambda raw, tags: np.bytes_(_decode_bytes(raw, tags)),
    "json": _decode_json,
    "scalar": lambda raw, _tags: raw[()],
    "array": lambda raw, _tags: np.asarray(raw),
    "quantity": lambda raw, tags: u.Quantity(
        raw, u.Unit(tags["unit"], parse_strict="silent"), dtype=raw.dtype, copy=False
    ),
}


# Data types as JSON.


def _described_dtype(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_described_dtype(base), list(shape)]
    if dtype.fields is None:
        return dtype.newbyteorder("<").str
    fields = [dtype.fields[name] for name in dtype.names or ()]
    return {
        "names": list(dtype.names or ()),
        "formats": [_described_dtype(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "titles": [field[2] if len(field) > 2 else None for field in fields],
        "itemsize": dtype.itemsize,
    }


def _parsed_dtype(description: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any]
    if isinstance(description, list):
        base, shape = description
        dtype = np.dtype((_parsed_dtype(base), tuple(shape)))
    elif isinstance(description, dict):
        layout: Any = {**description, "formats": [_parsed_dtype(item) for item in description["formats"]]}
        dtype = np.dtype(layout)
    else:
        dtype = np.dtype(description).newbyteorder("=")
    return dtype
