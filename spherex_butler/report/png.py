"""Pictures of few colours as PNG files, in pages that hold them: https://www.w3.org/TR/png-3."""

from __future__ import annotations

__all__ = ("data_url",)

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def data_url(pixels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> str:
    """Return a picture as an address that holds it.

    Parameters
    ----------
    pixels
        The number of each pixel's colour, from the top; shape (height, width). Pixels of number 0 are transparent.
    colours
        Red, green and blue of each; shape (n, 3), n up to 256.
    """
    height, width = pixels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each begins with its filter, none
    rows[:, 1:] = pixels
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", colours.astype(np.uint8).tobytes()),
        (b"tRNS", b"\x00"),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
