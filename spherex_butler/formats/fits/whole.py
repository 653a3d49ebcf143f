"""Whole FITS files: opened where nothing of them is missing, copied HDU by HDU, and written."""

from __future__ import annotations

__all__ = ("copy_hdus", "file_ranges", "native", "whole_file", "write_hdus")

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ...errors import FormatError
from .file import FitsFile, RangeReader, local_ranges
from .gzipped import is_gzipped, unzipped_ranges


@contextmanager
def file_ranges(path: str) -> Iterator[tuple[RangeReader, int]]:
    """Give a reader of byte ranges of a local file, and its size; of a gzipped one those of what it holds.

    Raises
    ------
    FormatError
        Raised if it is gzipped and cut off or spoilt.
    """
    with local_ranges(path) as (read_ranges, size):
        (start,) = read_ranges([(0, 2)])
        if is_gzipped(start):
            yield unzipped_ranges(read_ranges([(0, size)])[0], "The file")
        else:
            yield read_ranges, size


def whole_file(read_ranges: RangeReader, size: int) -> FitsFile:
    """Return a local file whose HDUs were all found whole, having read only headers.

    Raises
    ------
    FormatError
        Raised if the file is not FITS, or is truncated.
    """
    file = FitsFile(read_ranges, size, "The file")
    last = file.hdus()[-1]
    stop = last.data_offset + last.data_size
    if stop > size:
        raise FormatError(
            f"The file is truncated in HDU {last.index} ({last.name!r}): its data reach to byte {stop}, "
            f"the file has {size}; get the file again from where it came from."
        )
    return file


def native(pixels: NDArray[Any], dtype: str | None = None) -> NDArray[Any]:
    """Return pixels that were just read in this machine's byte order, and as ``dtype`` where one is given."""
    array = np.asarray(pixels)
    if not array.dtype.isnative and array.flags.writeable:
        # In place: whoever reads an image wants one copy of it in memory.
        array = array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))
    return array.astype(dtype or array.dtype.newbyteorder("="), copy=False)


def copy_hdus(hdus: fits.HDUList) -> fits.HDUList:
    """Return the HDUs with headers of their own and the same data, to be written.

    Raises
    ------
    FormatError
        Raised if there is no HDU, the first is no primary HDU, or one is
        not in memory and its file is closed.
    """
    if len(hdus) == 0:
        raise FormatError("The HDUList is empty; expected at least a PrimaryHDU.")
    if not isinstance(hdus[0], fits.PrimaryHDU | fits.GroupsHDU):
        raise FormatError(
            f"HDU 0 is {type(hdus[0]).__name__} {hdus[0].name!r}; expected a PrimaryHDU: insert one before it."
        )
    # The only sign astropy gives that a closed file had more HDUs than it had parsed.
    if not getattr(hdus, "_read_all", True):
        raise FormatError(
            f"The HDUList has {len(hdus)} HDUs but its file was closed before all were parsed; "
            "put it while the file is open."
        )
    return fits.HDUList([_copy_hdu(number, hdu) for number, hdu in enumerate(hdus)])


def _copy_hdu(number: int, hdu: Any) -> Any:
    info = hdu.fileinfo()
    if info and info["file"].closed and info["datSpan"]:
        try:
            _ = hdu.data
        except (OSError, ValueError) as error:
            raise FormatError(
                f"The data of HDU {number} ({hdu.name!r}) are not in memory and its file is closed ({error}); "
                "put the HDUList while the file is open, or open it with memmap=False and read them."
            ) from error
    clone = copy.copy(hdu)
    # Not by the header property: it would mark data that are unchanged as changed, and so convert them.
    clone._header = hdu.header.copy()  # noqa: SLF001
    clone._header._modified = hdu.header._modified  # noqa: SLF001
    if "data" not in vars(hdu):
        # Pixels nobody looked at are copied as stored; astropy would apply their scaling and drop its cards.
        clone._data_needs_rescale = False  # noqa: SLF001
    return clone


def write_hdus(hdus: fits.HDUList, path: str) -> None:
    """Write HDUs that are ours to change, and renew the checksums that their headers have."""
    hdus.writeto(path, output_verify="silentfix+exception")
    if not any({"CHECKSUM", "DATASUM"} & set(hdu.header) for hdu in hdus):
        return
    # Of the bytes as they are in the file, hence not at writing.
    with fits.open(path, mode="update", memmap=False, disable_image_compression=True) as written:
        for hdu in written:
            if "CHECKSUM" in hdu.header:
                hdu.add_checksum()
            elif "DATASUM" in hdu.header:
                hdu.add_datasum()
