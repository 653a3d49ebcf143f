"""The gain corrections that are certified for QR2's images, which put them onto the gains of QR3."""

from __future__ import annotations

__all__ = ("Gains",)

from typing import Any

import numpy as np
from lsst.daf.butler import Butler, DatasetRef
from numpy.typing import NDArray

from ..calibrations.certified import CertifiedCalibrations
from ..calibrations.lookup import calibration_for
from ..images.gains import apply_gains
from ..images.spectral_image import SpectralImage

_TYPE = "l3_flux_corrections"


class Gains:
    """The corrections of a repository's detectors.

    Parameters
    ----------
    butler
        The repository.
    """

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._certified = CertifiedCalibrations(butler, _TYPE)
        self._read: dict[Any, NDArray[np.floating]] = {}
        self.runs: set[str] = set()
        """Of the corrections that were applied."""

    def applied(self, image: SpectralImage, ref: DatasetRef, time: int) -> SpectralImage:
        """Return a cutout of a QR2 dataset, taken at a time in nanoseconds, on the gains of QR3.

        Raises
        ------
        ParameterError
            Raised, with the candidates, if no correction is valid for it.
        """
        found = self._certified.at(int(ref.dataId["detector"]), time)
        if found is None:
            found = calibration_for(self._butler, _TYPE, ref)  # which says why there is none
        if found.id not in self._read:
            self._read[found.id] = np.asarray(self._butler.get(found).data)
        self.runs.add(found.run)
        return apply_gains(image, self._read[found.id])
