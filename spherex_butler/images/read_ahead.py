"""Which bytes of a remote Level 2 file to ask for together, so that a cutout takes few round trips.

The place of an HDU follows from the headers before it, one round trip each.
But all planes of a file have one shape, so the next headers lie where the
known sizes put them, give or take the few blocks of the headers in between: a
window that allows for those blocks finds them in the same round trip.  A wrong
guess costs bytes, never a wrong result, as every header is still looked for in
its place.

A cutout of 64 rows of a full frame takes these numbers of requests, round by
round: 1 + 5 + 3 in QR2, whose flags are uncompressed; 1 + 3 + 3 + 2 in QR3,
where only the header of the flags tells their size.
"""

from __future__ import annotations

__all__ = ("read_ahead",)

from collections.abc import Collection

from ..formats.fits.boxes import Box
from ..formats.fits.file import FitsFile
from ..formats.fits.hdu import BLOCK, HduInfo, whole_blocks
from .wavelengths import EXTNAME

_IMAGE_PLANES = ("FLAGS", "VARIANCE", "ZODI")
_HEADER = 14 * BLOCK  # header of a plane, and of compressed flags with their tile table's beginning
_COMPRESSED_SINCE = 7  # major version of the pipeline: QR3 compresses the flags


def read_ahead(file: FitsFile, image: HduInfo, box: Box | None, names: Collection[str], version: object) -> None:
    """Read the bytes that a box of the named HDUs needs, in as few rounds of requests as possible.

    The form of the flags is guessed from the pipeline's version.
    """
    wanted = [name for name in _IMAGE_PLANES if name in names]
    first = file.ranges(image, box) if "IMAGE" in names else []
    if wanted:
        first.append((image.end, image.end + _HEADER))
        if not _probably_compressed(version):
            first += _later_headers(image, image.end, wanted, step=1)
    file.prefetch([*first, *(file.tail_ranges() if EXTNAME in names else ())])
    if not wanted or (flags := file.find("FLAGS")) is None:
        return
    if flags.is_compressed:
        second = _later_headers(image, flags.end, wanted, step=0)
        file.prefetch([*second, *(file.ranges(flags, box) if "FLAGS" in wanted else ())])
    planes = [info for name in wanted if (info := file.find(name)) is not None]
    for _ in range(2):  # a tile table leads to its heap
        file.prefetch(span for info in planes for span in file.ranges(info, box))


def _later_headers(image: HduInfo, start: int, wanted: Collection[str], *, step: int) -> list[tuple[int, int]]:
    """Return windows that hold the headers of VARIANCE and ZODI, the first ``step`` planes after ``start``.

    The header of each plane in between has at least one block.
    """
    plane = whole_blocks(image.data_size) + BLOCK
    last = max(_IMAGE_PLANES.index(name) for name in wanted)
    begins = [(number, start + number * plane) for number in range(step, last + step)]
    return [(begin, begin + _HEADER + number * (_HEADER // 2)) for number, begin in begins]


def _probably_compressed(version: object) -> bool:
    major = str(version).partition(".")[0]
    return major.isdigit() and int(major) >= _COMPRESSED_SINCE
