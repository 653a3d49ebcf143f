"""A small picture of an image, made without any library for pictures: a PNG in shades of grey.

PNG is a signature and chunks, each with its length, name and checksum (https://www.w3.org/TR/png-3/, section 5). Pixels
are a byte of grey and one of opacity, in rows from above that begin with a byte for their filter, deflated by zlib.
"""

from __future__ import annotations

__all__ = ("thumbnail",)

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stretch import BrightnessRange

_SIDE = 160
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_AND_OPACITY = 4
_BITS = 8


def thumbnail(values: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> bytes:
    """Return an image as PNG, its first row below, at most 160 pixels a side.

    Parameters
    ----------
    values
        Its pixels, shape (rows, columns). Several that share a pixel of the picture are averaged.
    mask
        Pixels that are left out. What is left without any is transparent.
    """
    rows, columns = (_edges(length) for length in values.shape)
    good = np.isfinite(values) if mask is None else np.isfinite(values) & ~mask
    bright = BrightnessRange.of(values, mask).scaled(np.where(good, values, 0)) * good
    number = _summed(good.astype(np.int32), rows, columns)
    grey = 255 * _summed(bright, rows, columns) / np.maximum(number, 1)
    return _png(np.stack([grey, 255 * (number > 0)], axis=-1)[::-1].round().astype(np.uint8))


def _edges(length: int) -> NDArray[np.intp]:
    """Return where the pixels of the picture begin along a side."""
    number = min(length, _SIDE)
    return np.arange(number) * length // number


def _summed(values: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    found: NDArray[Any] = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    return found


def _png(pixels: NDArray[np.uint8]) -> bytes:
    rows, columns, _ = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, _BITS, _GREY_AND_OPACITY, 0, 0, 0)
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(lines.tobytes(), 9), b"IEND": b""}
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks.items())


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
