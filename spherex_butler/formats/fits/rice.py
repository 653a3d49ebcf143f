"""Rice-compressed rows of integers, decompressed by astropy's decoder without what astropy does around it.

Taken are images of whole-row tiles, stored without loss or scaling: the flags
of a Level 2 file, whose 2040 tiles astropy spends as long on in Python as in
the decoder.  Everything else is left to astropy.

The decoder is cfitsio's (``ricecomp.c``).  It looks for a tile's end only after
each block of pixels, so what a damaged tile makes it read may lie beyond.  Two
facts bound that: a pixel takes at most six bytes besides the zeros before its
leading one, and a byte that is not zero ends these.  So the heap is followed by
a guard without zeros that is longer than any block, and the decoder stays in
memory of ours whatever the tiles hold.
"""

from __future__ import annotations

__all__ = ("Rice",)

import importlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from .hdu import HduInfo

_Decoder: TypeAlias = Callable[[Any, int, int, int], bytes]


def _find_decoder() -> _Decoder | None:
    """Return astropy's decoder, which is not public; `None` where it has another place."""
    module = "astropy.io.fits.hdu.compressed._compression"
    return getattr(importlib.import_module(module), "decompress_rice_1_c", None) if find_spec(module) else None


_decoder = _find_decoder()

_BLOCKS = (16, 32)
_GUARD = b"\xff" * (8 * max(_BLOCKS) + 16)
_ALGORITHMS = ("RICE_1", "RICE_ONE")  # the second is an early name of the first
_POINTERS = re.compile(r"1?PB(\(\d+\))?")  # TFORM1 of 32-bit counts and places of bytes
_TYPES = {8: "u1", 16: "i2", 32: "i4"}
_SCALING = ("BSCALE", "BZERO", "BLANK", "ZSCALE", "ZZERO", "ZBLANK", "ZQUANTIZ")
_SHORTEST = 5
"""Bytes that the decoder takes of every tile: the first pixel, and the first block's code."""


@dataclass(frozen=True)
class Rice:
    """How the rows of an image are Rice-compressed.

    Parameters
    ----------
    info
        The HDU.
    tile_rows
        Rows of a tile.
    block
        Pixels of a block.
    dtype
        Type of the pixels.
    decoder
        Makes the bytes of pixels of a tile, a block's pixels, the bytes of a pixel and the count of pixels.
    """

    info: HduInfo
    tile_rows: int
    block: int
    dtype: np.dtype[Any]
    decoder: _Decoder

    @classmethod
    def of(cls, info: HduInfo) -> Rice | None:
        """Return how an image is compressed, or `None` if astropy has to decompress it."""
        bits, size = info.value("ZBITPIX"), math.prod(info.axes)
        if _decoder is None or info.value("ZCMPTYPE") not in _ALGORITHMS or bits not in _TYPES:
            return None
        settings = _settings(info)
        block, theap = settings.get("BLOCKSIZE", 32), info.value("THEAP", size)
        expected = (
            len(info.shape) == 2 and info.value("ZTILE1") == info.shape[1],
            info.axes[0] == 8 and info.value("TFIELDS") == 1,
            info.value("TTYPE1") == "COMPRESSED_DATA" and _POINTERS.fullmatch(str(info.value("TFORM1"))),
            settings.get("BYTEPIX", 4) == bits // 8 and isinstance(block, int) and block in _BLOCKS,
            isinstance(theap, int) and theap >= size,
            all(info.value(keyword) is None for keyword in _SCALING),
        )
        return cls(info, info.value("ZTILE2", 1), block, np.dtype(_TYPES[bits]), _decoder) if all(expected) else None

    def decompress(self, rows: Any, heap: Any, height: int) -> NDArray[Any] | None:
        """Return the pixels of successive tiles.

        Parameters
        ----------
        rows
            The bytes of the tiles' rows of the table.
        heap
            The bytes that these rows point into.
        height
            Rows of pixels that the tiles make up.

        Returns
        -------
        pixels
            Shape ``(height, width)``, native-endian; `None` if a tile is empty or
            lies outside the heap, which astropy understands or names.

        Raises
        ------
        FormatError
            Raised if a tile is damaged, as far as that shows.
        """
        pointers = np.frombuffer(rows, dtype=">i4").reshape(-1, 2).astype(np.int64)
        begins, ends = pointers[:, 1], pointers.sum(axis=1)
        if np.any(begins < 0) or np.any(pointers[:, 0] < _SHORTEST) or np.any(ends > len(heap)):
            return None
        guarded = np.frombuffer(b"".join([heap, _GUARD]), dtype=np.uint8)
        pixels = np.empty((height, self.info.shape[1]), self.dtype)
        for number, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
            tile = pixels[number * self.tile_rows : (number + 1) * self.tile_rows]
            tile[:] = np.frombuffer(self._decoded(guarded[begin:end], tile.size), self.dtype).reshape(tile.shape)
        return pixels

    def _decoded(self, tile: NDArray[Any], count: int) -> bytes:
        try:
            return self.decoder(tile, self.block, self.dtype.itemsize, count)
        except Exception as error:  # astropy's class for the errors of cfitsio is not public
            raise FormatError(f"HDU {self.info.name!r} holds tiles that do not decompress: {error!r}") from error


def _settings(info: HduInfo) -> dict[Any, Any]:
    """Return the algorithm's settings, from pairs of ``ZNAMEn`` and ``ZVALn``; the first of a name counts."""
    found: dict[Any, Any] = {}
    number = 1
    while (name := info.value(f"ZNAME{number}")) is not None:
        found.setdefault(name, info.value(f"ZVAL{number}"))
        number += 1
    return found
