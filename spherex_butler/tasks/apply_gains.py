"""Images on the gains of QR3, without the pixels that do not work: by the calibrations that are valid for them."""

from __future__ import annotations

__all__ = ("ApplyGainsConfig", "ApplyGainsConnections", "ApplyGainsTask")

import numpy as np
from astropy.nddata import CCDData
from lsst.pex.config import Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base import connectionTypes as connect

from ..errors import ParameterError
from ..images.checks import require_spectral_image
from ..images.flagging import with_flag
from ..images.gains import apply_gains, part_of_frame, with_wavelengths_of
from ..images.spectral_image import SpectralImage
from .quanta import IMAGE, calibration_input

_RELEASE = "qr3"


class ApplyGainsConnections(PipelineTaskConnections, dimensions=IMAGE):
    """An image, the calibrations that are valid at its time, and the image on the gains of QR3."""

    image = connect.Input(doc="The image.", name="level2", storageClass="SpectralImage", dimensions=IMAGE)
    corrections = calibration_input(
        "l3_flux_corrections", "Factors that put the detector's QR2 images onto the gains of QR3."
    )
    nonfunctional = calibration_input("nonfunc", "Where pixels of the detector do not work.")
    corrected = connect.Output(
        doc="The image on the gains of QR3.", name="gain_corrected", storageClass="SpectralImage", dimensions=IMAGE
    )


class ApplyGainsConfig(PipelineTaskConfig, pipelineConnections=ApplyGainsConnections):
    """Configuration of `ApplyGainsTask`."""

    requireCorrections = Field[bool](
        doc="Whether an image of QR2 without valid corrections fails. Otherwise it keeps its gains and wavelengths.",
        default=True,
    )
    flagNonfunctional = Field[bool](
        doc="Whether pixels that do not work by the valid nonfunc get the flag NONFUNC.", default=True
    )
    correctWavelengths = Field[bool](
        doc="Whether images of QR2 get the wavelengths of QR3, in which detectors 5 and 6 are 6.4 nm longer.",
        default=True,
    )


class ApplyGainsTask(PipelineTask):
    """Put images of QR2 onto the gains and wavelengths of QR3, and flag pixels that do not work.

    An image of QR3, which is told by the form of its PSF, keeps its gains and wavelengths.
    """

    ConfigClass = ApplyGainsConfig
    config: ApplyGainsConfig
    _DefaultName = "applyGains"

    def run(
        self, image: SpectralImage, corrections: CCDData | None = None, nonfunctional: CCDData | None = None
    ) -> Struct:
        """Return an image on the gains of QR3.

        Parameters
        ----------
        image
            An image or a cutout, with FLAGS and PSF.
        corrections
            An ``l3_flux_corrections`` of its detector.
        nonfunctional
            A ``nonfunc`` of its detector: not 0 where a pixel does not work.

        Returns
        -------
        result
            ``corrected``, the image. Pixels whose factor is wild have the flag UNCORRECTED, those that do not work
            NONFUNC.

        Raises
        ------
        ParameterError
            Raised if a calibration does not cover the image, or an image of QR2 has no corrections and the
            configuration requires them.
        """
        require_spectral_image(image)
        if not image.psf.is_effective:
            image = self._on_gains_of_qr3(image, corrections)
        if self.config.flagNonfunctional and nonfunctional is not None:
            broken = part_of_frame(np.asarray(nonfunctional.data), image) != 0
            image = with_flag(image, "NONFUNC", broken, "does not work")
        return Struct(corrected=image)

    def _on_gains_of_qr3(self, image: SpectralImage, corrections: CCDData | None) -> SpectralImage:
        if corrections is None:
            if self.config.requireCorrections:
                raise ParameterError(
                    f"The image {image.obs_id} of detector {image.detector} is of QR2, and no l3_flux_corrections is "
                    "valid for it; expected one to be certified ('butler spherex certify'), or the configuration "
                    "requireCorrections=False, with which it keeps its gains."
                )
            return image
        corrected = apply_gains(image, corrections)
        return with_wavelengths_of(corrected, _RELEASE) if self.config.correctWavelengths else corrected
