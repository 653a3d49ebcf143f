"""What the FITS formatters share: whole files, exact header cards, write recipes, provenance.

Provenance is stored in the primary header as ``HIERARCH LSST BUTLER …``
cards, the form that `lsst.daf.butler.DatasetProvenance.from_flat_dict` reads
and that Rubin's own image formatters write.
"""

from __future__ import annotations

__all__ = (
    "FITS_RECIPES",
    "add_provenance_cards",
    "copy_hdus",
    "exact_images",
    "file_ranges",
    "native",
    "provenance_cards",
    "read_remote",
    "strip_provenance",
    "tile_compressed",
    "whole_file",
    "write_hdus",
)

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from astropy.io import fits
from lsst.daf.butler import DatasetProvenance, DatasetRef
from lsst.resources import ResourcePath
from numpy.typing import NDArray

from ..errors import FormatError
from ..fits_io import FitsFile, RangeReader, local_ranges
from ..gzipped import is_gzipped, unzipped_ranges
from ..provenance import PREFIX
from ..tile_compression import tile_compressed

FITS_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "none": {"compression": None, "quantize_level": 0.0},
    "gzip_2": {"compression": "GZIP_2", "quantize_level": 0.0},
    "rice_1": {"compression": "RICE_1", "quantize_level": 0.0},
}
"""Write recipes of images.

``compression`` is a tile compression astropy knows, or `None`; a plane that it
cannot hold without loss is written with GZIP_2.  ``quantize_level`` above zero
quantizes float planes, which *loses* digits: noise / ``quantize_level`` is the
step (FITS standard 4.0, section 10.2).
"""

_MAX_INPUTS = 3000  # as Rubin's obs_base: beyond that a header is no place for them
_REWRITTEN = {"BSCALE", "BZERO", "CHECKSUM", "DATASUM"}


# Reading.


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


def read_remote(uri: ResourcePath, expected_size: int, read: Callable[[FitsFile], Any]) -> Any:
    """Read a part of a remote file by byte ranges.

    Parameters
    ----------
    uri
        The file.
    expected_size
        Its size in bytes, if above zero.
    read
        Reads what is wanted.

    Returns
    -------
    part
        What ``read`` returns; `NotImplemented` where only the whole file can be fetched.
    """
    try:
        # Needs an extra, without which Butler's own download still works.
        from ..remote import NoRangesError, remote_ranges  # noqa: PLC0415
    except ImportError:
        return NotImplemented
    if uri.getExtension().endswith(".gz"):
        return NotImplemented
    size = expected_size if expected_size > 0 else None
    try:
        return read(FitsFile(remote_ranges(uri, size), size, repr(str(uri))))
    except NoRangesError:
        return NotImplemented


# Header cards.


def exact_images(header: fits.Header) -> list[str]:
    """Return the header's cards as 80-character images that hold every digit of their values.

    astropy cuts the image of a float at 20 characters, in fixed format; the
    free format (FITS standard 4.0, section 4.2.4) has room for all of them.

    Raises
    ------
    FormatError
        Raised if a card cannot be written.
    """
    images: list[str] = []
    for card in header.cards:
        try:
            image = _exact_image(card)
            image.encode("ascii")
        except (ValueError, fits.VerifyError) as error:
            raise FormatError(f"Header card {card.keyword!r} cannot be written to FITS: {error}") from error
        images += [image[at : at + 80] for at in range(0, len(image), 80)]
    return images


def _exact_image(card: fits.Card) -> str:
    image = str(card.image)
    if isinstance(card.value, str | fits.card.Undefined | None) or _value(image) == card.value:
        return image
    if isinstance(card.value, float | complex):
        comment = f" / {card.comment}" if card.comment else ""
        image = f"{image[: image.index('= ')]}= {_all_digits(card.value)}{comment}"[:80].ljust(80)
    if _value(image) != card.value:
        raise ValueError(f"80 characters do not hold its value {card.value!r}; shorten the keyword")
    return image


def _value(image: str) -> Any:
    return fits.Card.fromstring(image).value


def _all_digits(value: complex) -> str:
    if isinstance(value, float):
        return repr(float(value)).replace("e", "E")
    return f"({_all_digits(float(value.real))}, {_all_digits(float(value.imag))})"


def native(pixels: NDArray[Any], dtype: str | None = None) -> NDArray[Any]:
    """Return pixels that were just read in this machine's byte order, and as ``dtype`` where one is given."""
    array = np.asarray(pixels)
    if not array.dtype.isnative and array.flags.writeable:
        # In place: whoever reads an image wants one copy of it in memory.
        array = array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))
    return array.astype(dtype or array.dtype.newbyteorder("="), copy=False)


# Provenance.


def provenance_cards(header: fits.Header) -> list[fits.Card]:
    """Return the Butler provenance cards of a header."""
    return [card for card in header.cards if card.keyword.startswith(PREFIX + " ")]


def strip_provenance(header: fits.Header) -> None:
    """Remove the Butler provenance cards from a header."""
    for card in provenance_cards(header):
        header.remove(card.keyword)


def add_provenance_cards(header: fits.Header, ref: DatasetRef, provenance: DatasetProvenance | None) -> None:
    """Say in a header which dataset it belongs to and what that was made from, in place of what it said."""
    strip_provenance(header)
    flat = (provenance or DatasetProvenance()).to_flat_dict(
        ref, prefix=f"HIERARCH {PREFIX}", sep=" ", simple_types=True, max_inputs=_MAX_INPUTS
    )
    for keyword, value in flat.items():
        header.append(fits.Card(keyword, value), end=True)


# Writing.


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
