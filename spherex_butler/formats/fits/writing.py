"""HDUs written to a file from copies, so that the caller's do not change, and with valid checksums."""

from __future__ import annotations

__all__ = ("copy_hdus", "write_hdus")

import copy
from typing import Any

from astropy.io import fits

from ...errors import FormatError


def copy_hdus(hdus: fits.HDUList) -> fits.HDUList:
    """Return the HDUs with headers of their own and the same data, to be written.

    Raises
    ------
    FormatError
        Raised if there is no HDU, if the first is not a primary HDU, or if the
        data of one are not in memory and its file is closed.
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
        # Pixels that were not looked at are copied as stored; astropy would scale them and drop the scaling's cards.
        clone._data_needs_rescale = False  # noqa: SLF001
    return clone


def write_hdus(hdus: fits.HDUList, path: str) -> None:
    """Write HDUs, which may change, and renew the checksums that are in their headers."""
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
