"""Which wavelength an image has at a pixel, without the image: from the control points that are valid for it."""

from __future__ import annotations

__all__ = ("WavelengthMaps", "WavelengthRange", "channel_counts", "channels_of")

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import astropy.units as u
import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef
from numpy.typing import NDArray

from ..calibrations.certified import CertifiedCalibrations
from ..calibrations.ranges import release_ranges, token_of
from ..constants import CHANNELS, DETECTORS
from ..errors import FormatError, ParameterError
from ..images.channels import channel_edges
from ..images.wavelengths import EXTNAME, WavelengthTable
from ..repository.runs import calibration_tokens

_TYPE = "spectral_wcs"
_TOLERANCE = 0.1  # bandwidths
_RELEASES = ("qr2", "qr3")
"""Those whose control points are shipped, the oldest first."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WavelengthRange:
    """What a user asks for, in µm."""

    shortest: float
    longest: float
    tolerance: float = 0.0
    """By how many bandwidths more a band may be off; with a tolerance, one that is not known (NaN) is taken in."""

    @classmethod
    def of(cls, wavelength: Any) -> Self:
        """Return a range that is given as a quantity, or as two of them, in any spectral unit.

        Raises
        ------
        ParameterError
            Raised if it is something else.
        """
        expected = "expected a wavelength such as 2.2 * u.um, or two such as (1.2, 1.4) * u.um, in any spectral unit"
        try:
            values = u.Quantity(wavelength).to_value(u.um, equivalencies=u.spectral())
        except (TypeError, ValueError, u.UnitsError) as error:
            raise ParameterError(f"wavelength={wavelength!r} is not a wavelength ({error}); {expected}.") from None
        found = np.atleast_1d(values)
        if found.shape not in {(1,), (2,)} or not (np.isfinite(found).all() and (found > 0).all()):
            raise ParameterError(f"wavelength={wavelength!r} is neither one nor two positive wavelengths; {expected}.")
        return cls(float(found.min()), float(found.max()))

    def widened(self) -> Self:
        """Return the range for bands that are not known well, but to a tenth of a bandwidth."""
        return replace(self, tolerance=_TOLERANCE)

    def half_of(self, bandwidth: Numbers) -> Numbers:
        """Return how far bands reach to both sides of their wavelengths."""
        return bandwidth * (0.5 + self.tolerance)

    def meets(self, wavelength: Numbers, bandwidth: Numbers) -> NDArray[np.bool_]:
        """Return where a band half a bandwidth to both sides of a wavelength meets the range."""
        half = self.half_of(bandwidth)
        found: NDArray[np.bool_] = (wavelength - half <= self.longest) & (wavelength + half >= self.shortest)
        return found | np.isnan(wavelength) if self.tolerance else found


class WavelengthMaps:
    """The control points of every detector: those that are certified, and those that are shipped.

    A certified ``spectral_wcs`` serves an image that it is valid for. By the rule "latest" the newest serves all times:
    one that the archive made for another release than the image's is left aside, as it would be wrong by 6.4 nm for
    detectors 5 and 6 of QR2.

    Parameters
    ----------
    butler
        The repository.
    collections
        Where calibrations are looked for.
    """

    def __init__(self, butler: Butler, collections: Iterable[str]) -> None:
        self._butler = butler
        self._certified = CertifiedCalibrations(butler, _TYPE, collections)
        self._read: dict[Any, WavelengthTable] = {}

    def possible(self, detector: int) -> list[WavelengthTable]:
        """Return all control points that an image of a detector may have."""
        shipped = [WavelengthTable.of_detector(detector, release) for release in _RELEASES]
        return [*shipped, *(self._table(found.ref) for found in self._certified.of(detector))]

    def at(
        self, detector: int, releases: NDArray[np.str_], times: NDArray[np.int64], x: Numbers, y: Numbers
    ) -> tuple[Numbers, Numbers]:
        """Return wavelength and bandwidth in µm of images of one detector at one pixel of each.

        Parameters
        ----------
        detector
            1 to 6.
        releases
            Each image's; empty where it is of none, which then follows from its time.
        times
            The middle of each exposure in Butler's nanoseconds, TAI.
        x, y
            0-based full-frame pixels; NaN gives NaN.
        """
        wavelength, bandwidth = np.full(len(x), np.nan), np.full(len(x), np.nan)
        known = np.isfinite(x) & np.isfinite(y)
        for table, served in self.serving(detector, releases, times):
            some = served & known
            wavelength[some], bandwidth[some] = table.interpolated(x[some], y[some])
        return wavelength, bandwidth

    def serving(
        self, detector: int, releases: NDArray[np.str_], times: NDArray[np.int64]
    ) -> Iterator[tuple[WavelengthTable, NDArray[np.bool_]]]:
        """Yield control points, and which images of one detector they are valid for; each image is in one at most."""
        by_release = self._releases_at(releases, times)
        for release in _RELEASES:
            remaining = by_release == release
            for found in self._certified.of(detector):
                begin, end = found.timespan.nsec
                valid = remaining & (times >= begin) & (times < end)
                if valid.any() and not _is_of_another_release(found.ref, release):
                    yield self._table(found.ref), valid
                    remaining &= ~valid
            if remaining.any():
                yield WavelengthTable.of_detector(detector, release), remaining

    def _releases_at(self, releases: NDArray[np.str_], times: NDArray[np.int64]) -> NDArray[np.str_]:
        found = releases
        for release, timespan in release_ranges().items():
            begin, end = timespan.nsec
            # An array of empty texts has no room for a release; np.where makes it.
            found = np.where((releases == "") & (times >= begin) & (times < end), release, found)
        return found

    def of_release(self, detector: int, release: str) -> WavelengthTable:
        """Return the control points of a release: certified ones that the archive made for it, or those shipped."""
        for found in self._certified.of(detector):
            if token_of(found.ref.run) in calibration_tokens(release):
                return self._table(found.ref)
        return WavelengthTable.of_detector(detector, release)

    def _table(self, ref: DatasetRef) -> WavelengthTable:
        if ref.id not in self._read:
            hdus = self._butler.get(ref, parameters={"hdus": [EXTNAME]})
            try:
                self._read[ref.id] = WavelengthTable.from_table(hdus[EXTNAME].data)
            except KeyError as error:
                raise FormatError(f"{ref} has no table {EXTNAME}; expected one with control points.") from error
        return self._read[ref.id]


def _is_of_another_release(ref: DatasetRef, release: str) -> bool:
    token = token_of(ref.run)
    made_for = [name for name in _RELEASES if token in calibration_tokens(name)]
    return bool(made_for) and release not in made_for


def channels_of(detectors: NDArray[np.int64], wavelengths: Numbers) -> NDArray[np.int64]:
    """Return the spectral channels that wavelengths (µm) lie in, 1 to 17, or 0 outside all and for NaN."""
    found = np.zeros(len(wavelengths), np.int64)
    for detector in np.unique(detectors).tolist():
        of_detector = np.flatnonzero((detectors == detector) & np.isfinite(wavelengths))
        edges = channel_edges(detector)
        number = np.searchsorted(edges, wavelengths[of_detector], side="right")
        found[of_detector] = np.where(number < len(edges), number, 0)
    return found


def channel_counts(table: Table) -> dict[tuple[int, int], int]:
    """Return how often each of the 102 spectral channels was seen, by detector and channel.

    Parameters
    ----------
    table
        From `find_images`.
    """
    seen = Counter(zip(table["detector"].tolist(), table["channel"].tolist(), strict=True))
    return {
        (detector, channel): seen[detector, channel] for detector in DETECTORS for channel in range(1, CHANNELS + 1)
    }
