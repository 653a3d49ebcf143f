"""How one value, such as an array or a string, is stored in one HDF5 dataset or attribute."""

from __future__ import annotations

__all__ = ("SLICEABLE_KINDS", "Tags", "check_name", "check_tags", "decode", "encode", "shortened", "unit_text")

import json
from collections.abc import Callable, Mapping
from typing import Any

import astropy.units as u
import h5py
import numpy as np

from ...errors import FormatError

Tags = dict[str, Any]
"""What HDF5 itself cannot say about a stored value; JSON in the file."""

SLICEABLE_KINDS = frozenset({None, "array", "quantity"})
"""The kinds whose HDF5 dimensions are those of the value; no tag is a plain array."""


_TAG_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "attributes": list,
    "class": str,
    "description": str,
    "dtype": (str, list, dict),
    "format": (int, str),
    "kind": str,
    "masked": bool,
    "meta": str,
    "parts": str,
    "rows": int,
    "unit": str,
}

_PADDING = 1 << 28
"""Bytes to which text and fields may be padded in memory, however little is stored of them …"""

_PADDED = 64
"""… and beyond which they are this many times as large at most."""

_ASCII = 128

_LONGEST = 200
"""Characters of a value in a message."""

Encoded = tuple[Any, Tags]


def encode(value: Any, where: str) -> Encoded:
    """Return what HDF5 stores for a value, and its tags.

    ``where`` names the value in errors, such as ``"'a/b'"``. Subclasses of the types listed in `_ENCODERS` are
    refused.
    """
    encoder = _ENCODERS.get(type(value), _encode_scalar if isinstance(value, np.generic) else None)
    if encoder is None:
        raise FormatError(
            f"{where} is a {_type_name(value)}, which this format does not store; expected a mapping, table, plain "
            "array, Quantity, scalar, str, bytes, None, or list or tuple of plain Python values; convert it."
        )
    try:
        return encoder(value, where)
    except UnicodeEncodeError as error:
        raise FormatError(f"{where} holds text that is not valid Unicode: {error}. Store it as bytes.") from None


def decode(stored: Any, dtype: np.dtype[Any], tags: Tags, where: str) -> Any:
    """Return the value that was encoded.

    ``dtype`` is the type that h5py states. Without tags the value is what the file's writer most likely meant.
    """
    check_tags(tags, where)
    decoder = _DECODERS.get(tags.get("kind"))
    if decoder is None:
        raise FormatError(
            f"{where} is of kind {tags['kind']!r}; expected one of {sorted(filter(None, _DECODERS))}. "
            "The file is damaged or was written by a newer spherex-butler."
        )
    raw = _raw(stored, dtype, tags, where)
    try:
        if "dtype" in tags:
            dtype = _parsed_dtype(tags["dtype"])
            _require_small(raw, dtype, where)
            raw = _restored(raw, dtype)
        return decoder(raw, tags)
    except FormatError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, SyntaxError, ArithmeticError, RecursionError) as error:
        raise FormatError(f"{where} is damaged: its tags {tags!r} do not fit what is stored ({error}).") from error


def check_tags(tags: Any, where: str) -> Tags:
    """Return tags, or refuse those that are of the wrong type."""
    if not isinstance(tags, dict):
        raise FormatError(f"The tags of {where} are {shortened(tags)}; expected a JSON object.")
    for name, value in tags.items():
        if not isinstance(value, _TAG_TYPES.get(name, object)):
            raise FormatError(f"The tag {name!r} of {where} is {shortened(value)}; the file is damaged.")
    return tags


def shortened(value: Any) -> str:
    """Return how Python writes a value, without the middle of long ones."""
    text = repr(value[:_LONGEST]) if isinstance(value, str | bytes) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def _require_small(stored: Any, dtype: np.dtype[Any], where: str) -> None:
    """Refuse a type in which what is stored would fill the memory with padding."""
    size, there = getattr(stored, "size", 1) * dtype.itemsize, getattr(stored, "nbytes", 0)
    if size > max(_PADDING, _PADDED * there):
        raise FormatError(
            f"{where} takes {size:,} bytes as {shortened(dtype)}, but only {there:,} bytes are stored for it; expected "
            f"at most {_PADDED} times as many. Convert it with astype."
        )


def unit_text(unit: u.UnitBase, where: str) -> str:
    """Return a unit as a string from which astropy makes the same unit."""
    text: str = unit.to_string()
    if u.Unit(text, parse_strict="silent") != unit:
        raise FormatError(f"The unit {text!r} of {where} cannot be restored from its name; expected one of astropy's.")
    return text


def check_name(name: Any, where: str) -> str:
    """Return a name that HDF5 can give to a link, field or attribute."""
    # Encoding drops lone surrogates here, which UTF-8 does not have.
    if not isinstance(name, str) or not name or "\0" in name or name.encode(errors="ignore").decode() != name:
        raise FormatError(f"{where} has the name {name!r}; expected a non-empty str of valid Unicode without NUL.")
    return name


# Encoding.


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _encode_int(value: int, where: str) -> Encoded:
    if not -(2**63) <= value < 2**64:
        raise FormatError(
            f"{where} is an integer of {value.bit_length()} bits, which the 64 bits of HDF5 cannot hold; "
            "store it as a str or a float."
        )
    return np.asarray(value), {"kind": "int"}


def _encode_bytes(value: bytes, _where: str) -> Encoded:
    # numpy and HDF5 strip trailing NULs from byte strings, so they are stored as numbers.
    return np.frombuffer(value, np.uint8), {"kind": "bytes"}


def _encode_json(value: Any, where: str) -> Encoded:
    return _fixed(json.dumps(_to_json(value, where))), {"kind": "json"}


def _encode_str(value: str, where: str) -> Encoded:
    if "\0" in value:
        raise FormatError(f"{where} is text with a NUL, at which HDF5 would end it. Store it as bytes.")
    return _fixed(str(value)), {"kind": "str"}


def _fixed(text: str) -> np.ndarray[Any, Any]:
    """Return text as UTF-8 of fixed length: in a damaged file, libhdf5 may search for others for ever."""
    encoded = text.encode()
    return np.array(encoded, h5py.string_dtype("utf-8", max(1, len(encoded))))


def _to_json(value: Any, where: str) -> Any:
    if type(value) is int:
        _encode_int(value, where)
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


def _encode_scalar(value: np.generic, where: str) -> Encoded:
    data, tags = _encode_array(np.asarray(value), where)
    return data, {**tags, "kind": "scalar"}


def _encode_quantity(value: u.Quantity, where: str) -> Encoded:
    data, tags = _encode_array(value.view(np.ndarray), where)
    return data, {**tags, "kind": "quantity", "unit": unit_text(value.unit, where)}


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
    if data.dtype != native.dtype:
        _require_small(data, native.dtype, where)  # what cannot be read back is not written
        tags["dtype"] = _described_dtype(native.dtype)
    return data, tags


def _storable(array: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """Return an array, or what HDF5 can store in its place."""
    dtype = array.dtype
    if dtype.kind == "U":
        encoded = np.asarray(np.strings.encode(array, "utf-8"))
        return encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
    if dtype.kind in "mM":
        return array.view(np.int64)
    if dtype.names is None:
        return array
    fields = {name: _storable(array[_field_name(dtype, name, where)], where) for name in dtype.names}
    if all(field.dtype == array[name].dtype for name, field in fields.items()):
        return array
    result = np.zeros(array.shape, [(name, field.dtype, field.shape[array.ndim :]) for name, field in fields.items()])
    for name, field in fields.items():
        result[name] = field
    return result


def _field_name(dtype: np.dtype[Any], name: str, where: str) -> str:
    title = dict(dtype.fields or {})[name][2:]
    if title:
        raise FormatError(f"The field {name!r} of {where} has the title {title[0]!r}; expected fields without titles.")
    return check_name(name, f"A field of {where}")


_ENCODERS: Mapping[type, Callable[[Any, str], Encoded]] = {
    type(None): lambda _value, _where: (h5py.Empty(np.dtype("u1")), {"kind": "none"}),
    bool: lambda value, _where: (np.asarray(value), {"kind": "bool"}),
    int: _encode_int,
    float: lambda value, _where: (np.asarray(value), {"kind": "float"}),
    complex: lambda value, _where: (np.asarray(value), {"kind": "complex"}),
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
        return stored if isinstance(stored, str) else np.asarray(stored, object).astype(str)
    if dtype.hasobject:
        raise FormatError(
            f"{where} holds items of variable length or references (HDF5 type {h5py.h5t.py_create(dtype)!r}), which "
            "this format does not read; choose other data with the parameter keys, or open the file with h5py."
        )
    array = stored if isinstance(stored, np.ndarray) else np.asarray(stored, dtype)
    if array.dtype.metadata is not None or array.dtype.names is not None or not array.dtype.isnative:
        plain = _parsed_dtype(_described_dtype(array.dtype))  # without h5py's metadata, in native byte order
        array = array.view(plain) if array.dtype.isnative else array.astype(plain)
    return _text(array) if text is not None and text.encoding == "utf-8" and "dtype" not in tags else array


def _text(array: np.ndarray[Any, Any], errors: str = "surrogateescape") -> np.ndarray[Any, Any]:
    if array.dtype.kind != "S" or array.dtype.itemsize == 0:
        return array.astype(str)
    codes = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    if codes.size and codes.max() < _ASCII:
        # An ASCII character has its code in every encoding, in numpy's in four bytes.
        return codes.astype(np.uint32).view(f"U{array.dtype.itemsize}").reshape(array.shape)
    return np.asarray(np.strings.decode(array, "utf-8", errors))


def _restored(raw: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if raw.dtype == dtype:
        return raw
    if dtype.kind == "U":
        return _text(raw, "surrogatepass").astype(dtype, copy=False)  # which early files have
    if dtype.kind in "mM" and raw.dtype == np.int64:
        return raw.view(dtype)
    if dtype.names is not None:
        result = np.zeros(raw.shape, dtype)
        for name in dtype.names:
            result[name] = _restored(raw[name], dtype[name].base)
        return result
    raise ValueError(f"{raw.dtype!r} is not stored for {dtype!r}")


def _decode_untagged(raw: Any, _tags: Tags) -> Any:
    if not isinstance(raw, np.ndarray) or raw.ndim:
        return raw
    return str(raw) if raw.dtype.kind == "U" else raw[()]


def _decode_str(raw: Any, _tags: Tags) -> str:
    if isinstance(raw, str):
        return raw
    return str(raw) if raw.dtype.kind == "U" else _decode_bytes(raw, _tags).decode("utf-8", "surrogatepass")


def _decode_bytes(raw: Any, _tags: Tags) -> bytes:
    return bytes(raw.astype(np.uint8, casting="no", copy=False).tobytes())


def _decode_quantity(raw: Any, tags: Tags) -> u.Quantity:
    return u.Quantity(raw, u.Unit(tags["unit"], parse_strict="silent"), dtype=raw.dtype, copy=False)


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
    "int": lambda raw, _tags: int(raw, 16) if isinstance(raw, str) else int(raw),
    "float": lambda raw, _tags: float(raw),
    "complex": lambda raw, _tags: complex(raw),
    "str": _decode_str,
    "numpy.str": _decode_str,
    "bytes": _decode_bytes,
    "numpy.bytes": _decode_bytes,
    "json": lambda raw, _tags: _from_json(json.loads(str(raw))),
    "scalar": lambda raw, _tags: raw[()],
    "array": lambda raw, _tags: np.asarray(raw),
    "quantity": _decode_quantity,
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
