"""How often each pixel of the sky was seen, all in all and in each spectral channel."""

from __future__ import annotations

__all__ = ("Coverage", "coverage")

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

import hpgeom
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from lsst.daf.butler import Butler
from numpy.typing import NDArray

from ..arguments import detectors_given, require_number, require_text
from ..calibrations.ranges import UserTime, range_given
from ..constants import CHANNELS, DETECTORS
from ..errors import ConfigurationError, ParameterError
from ..images.level2 import write_file
from ..repository.butler_internals import image_tables
from ..repository.failures import told_as_repository_failures
from ..repository.opened import require_universe
from ..summaries import number_of, percent_of
from .candidates import Chosen
from .counting import Counter
from .emptiness import require_known
from .regions import require_finite, vectors_of
from .registered import ImageFilter, searched_collections

if TYPE_CHECKING:
    from mocpy import MOC

Channel: TypeAlias = tuple[int, int]
"""A spectral channel: the detector and the number, 1 to 17."""

_ORDER = 7
_LARGEST = 10
_SUFFIXES = (".fits", ".fit", ".fits.gz")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Coverage:
    """How many images hold the centre of each HEALPix pixel, from `coverage`.

    Parameters
    ----------
    order
        Of the HEALPix pixels, whose number is ``12 * 4**order``; nested, ICRS.
    depth
        The number of images, for each pixel.
    channels
        The number of images in which the centre lies in a channel, for each pixel, by detector and channel.
    images
        How many images were counted.
    """

    order: int
    depth: NDArray[np.int32]
    channels: Mapping[Channel, NDArray[np.int32]]
    images: int

    def __repr__(self) -> str:
        seen = percent_of(int((self.depth > 0).sum()), len(self.depth))
        return (
            f"<Coverage: {number_of(self.images, 'image')}, {seen} of the sky, up to "
            f"{number_of(int(self.depth.max()), 'time')}, "
            f"{number_of(len(self.channels), 'channel')}, HEALPix order {self.order}>"
        )

    def map(self, channel: Channel | None = None) -> NDArray[np.int32]:
        """Return the depth of a channel, or of all images.

        Raises
        ------
        ParameterError
            Raised if the channel was not asked for.
        """
        if channel is None:
            return self.depth
        if channel not in self.channels:
            raise ParameterError(
                f"channel={channel!r} is not in this coverage; expected (detector, channel) of one that was asked for: "
                "coverage(…, channels=True) counts all 102."
            )
        return self.channels[channel]

    def at(self, position: SkyCoord, channel: Channel | None = None) -> NDArray[np.int32]:
        """Return the depth of the pixels that positions lie in, in their shape.

        Raises
        ------
        ParameterError
            Raised if a position is not finite, or masked.
        """
        directions = vectors_of(position)
        require_finite(directions)
        pixels = hpgeom.vector_to_pixel(1 << self.order, *np.moveaxis(directions, -1, 0), nest=True)
        return np.asarray(self.map(channel)[pixels])

    def moc(self, channel: Channel | None = None, *, at_least: int = 1) -> MOC:
        """Return where the sky was seen so many times, as a MOC.

        Raises
        ------
        ConfigurationError
            Raised if mocpy is not installed.
        """
        try:
            from mocpy import MOC  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ConfigurationError("MOCs need mocpy; install spherex-butler[vo].") from error
        pixels = np.flatnonzero(self.map(channel) >= at_least).astype(np.uint64)
        depths = np.full(len(pixels), self.order, np.uint8)
        return MOC.from_healpix_cells(pixels, depths, max_depth=self.order)

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write all maps into one FITS file, as ``healpy.read_map`` and Aladin read them.

        The table has a row for each pixel, and the columns ``DEPTH`` and ``D1C01``, … for channels.

        Raises
        ------
        FileExistsError
            Raised if the file is there and ``overwrite`` was not given.
        ParameterError
            Raised if the name is that of another format.
        """
        if not os.fspath(path).lower().endswith(_SUFFIXES):
            raise ParameterError(
                f"{os.fspath(path)!r} is not the name of a FITS file; expected one in {', '.join(_SUFFIXES)}. "
                "spherex_butler.plot.plot_coverage draws a picture."
            )
        names = {"DEPTH": self.depth} | {f"D{d}C{c:02d}": depth for (d, c), depth in self.channels.items()}
        hdu = fits.BinTableHDU.from_columns([fits.Column(name, "J", array=depth) for name, depth in names.items()])
        hdu.header.update(
            PIXTYPE="HEALPIX",
            ORDERING="NESTED",
            NSIDE=1 << self.order,
            FIRSTPIX=0,
            LASTPIX=len(self.depth) - 1,
            INDXSCHM="IMPLICIT",
            COORDSYS="C",
            OBJECT="FULLSKY",
            EXTNAME="COVERAGE",
        )
        write_file(fits.HDUList([fits.PrimaryHDU(), hdu]), path, overwrite=overwrite)


@told_as_repository_failures()
def coverage(
    butler: Butler,
    *,
    channels: bool | Channel | Iterable[Channel] = False,
    time: tuple[UserTime | None, UserTime | None] | None = None,
    detectors: int | str | Iterable[int | str] | None = None,
    survey: str | None = None,
    planning_period: str | None = None,
    collections: str | Iterable[str] | None = None,
    order: int = _ORDER,
) -> Coverage:
    """Return how often each pixel of the sky was seen; no file is opened.

    A pixel counts as seen by an image if `find_images` finds the image at the pixel's centre. Each image counts once,
    however often it was processed.

    Parameters
    ----------
    butler
        A SPHEREx repository.
    channels
        Which spectral channels to count as well: `True` for all 102, or some, as ``(detector, channel)``.
    time, detectors, survey, planning_period, collections
        As for `find_images`.
    order
        Of the HEALPix pixels, from 0 to 10; 7 are pixels of 27 arcmin. Time and memory grow with their number.

    Raises
    ------
    ParameterError
        Raised if an argument makes no sense, or no exposure is of the survey or planning period.
    ConfigurationError
        Raised if it is no SPHEREx repository.
    """
    require_universe(butler)
    require_number("order", order, least=0, most=_LARGEST)
    require_text("survey", survey, "all_sky")
    require_text("planning_period", planning_period, "2025W51_1A")
    known = detectors_given(detectors)
    wanted = _wanted(channels, known)
    timespan = range_given(time)
    with butler.registry.caching_context():
        searched = searched_collections(butler, collections)
        images = ImageFilter(searched.numbers, searched.all_runs, True, timespan, planning_period, survey)
        tables = image_tables(butler)
        counter = Counter(butler, tables, searched.names, order, {detector for detector, _ in wanted})
        counter.count(Chosen(known), images)
    if not counter.images:
        require_known(butler, tables, searched.names, survey, planning_period)
    return Coverage(order, counter.depth, {one: counter.channel(*one) for one in wanted}, counter.images)


def _wanted(channels: bool | Channel | Iterable[Channel], detectors: frozenset[int] | None) -> list[Channel]:
    every = [(d, c) for d in DETECTORS for c in range(1, CHANNELS + 1) if detectors is None or d in detectors]
    if isinstance(channels, bool):
        return every if channels else []
    several: Any = channels
    given = list(several) if isinstance(several, Iterable) else [several]
    alone = bool(given) and isinstance(given[0], Integral)
    pairs = [tuple(pair) if isinstance(pair, Iterable) else pair for pair in ([given] if alone else given)]
    if unknown := [pair for pair in pairs if pair not in every]:
        raise ParameterError(
            f"There is no channel {unknown[0]!r} to count; expected (detector, channel), the channel from 1 to "
            f"{CHANNELS}, of a detector that is counted."
        )
    return [(int(detector), int(channel)) for detector, channel in dict.fromkeys(pairs)]
