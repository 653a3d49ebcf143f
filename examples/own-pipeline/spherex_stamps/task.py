"""What the pipeline does: cut targets out of images."""

from __future__ import annotations

__all__ = ("StampsConfig", "StampsConnections", "StampsTask")

from collections.abc import Iterable

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from lsst.pex.config import RangeField
from lsst.pipe.base import (
    InputQuantizedConnection,
    NoWorkFound,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base import connectionTypes as connect

from spherex_butler import SpectralImage

from .stamps import StampStack


class StampsConnections(PipelineTaskConnections, dimensions=("instrument", "detector", "target")):
    """The images of a detector that overlap a target, and the stamps of it."""

    images = connect.Input(
        doc="The images. They are not read as a whole: deferLoad.",
        name="level2",
        storageClass="SpectralImage",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
    )
    stamps = connect.Output(
        doc="The stamps, in order of wavelength.",
        name="stamps",
        storageClass="StampStack",
        dimensions=("instrument", "detector", "target"),
    )


class StampsConfig(PipelineTaskConfig, pipelineConnections=StampsConnections):
    """What is cut out."""

    size = RangeField(doc="Side of a stamp, in pixels.", dtype=int, default=15, min=5, max=301)


class StampsTask(PipelineTask):
    """Cut a target out of every image that has it."""

    ConfigClass = StampsConfig
    config: StampsConfig
    _DefaultName = "stamps"

    def runQuantum(
        self, butlerQC: QuantumContext, inputRefs: InputQuantizedConnection, outputRefs: OutputQuantizedConnection
    ) -> None:
        """Get from Butler what `run` takes, and put what it returns."""
        record = butlerQC.quantum.dataId.records["target"]
        target = SkyCoord(record.ra, record.dec, unit="deg")
        wanted = {"center": target, "size": self.config.size, "planes": ["WCS-WAVE"]}
        cutouts = (image.get(parameters=wanted) for image in butlerQC.get(inputRefs.images))
        butlerQC.put(self.run(cutouts, target), outputRefs)

    def run(self, cutouts: Iterable[SpectralImage], target: SkyCoord) -> Struct:
        """Return stamps in order of wavelength.

        Parameters
        ----------
        cutouts
            Images with the target in the middle; smaller ones, at the edge of a detector, are left out.
        target
            Where it is.

        Returns
        -------
        result
            ``stamps``, a `StampStack`.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if there are none.
        """
        shape = (self.config.size, self.config.size)
        found = [(image.wavelength_at(target).to_value(u.um), image) for image in cutouts if image.data.shape == shape]
        if not found:
            raise NoWorkFound("The target is in none of the images.")
        found.sort(key=lambda pair: pair[0])
        wavelengths = np.array([float(wavelength) for wavelength, _ in found])
        images = np.stack([image.data - np.nanmedian(image.data) for _, image in found])
        solid_angle = found[0][1].wcs.proj_plane_pixel_area().to_value(u.sr)
        self.log.info("%d stamps", len(found))
        return Struct(stamps=StampStack(images, wavelengths, solid_angle))
