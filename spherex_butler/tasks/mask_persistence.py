"""Images in which pixels are flagged that the exposure before may have left an afterglow in."""

from __future__ import annotations

__all__ = ("MaskPersistenceConfig", "MaskPersistenceConnections", "MaskPersistenceTask")

from functools import partial
from typing import cast

import astropy.units as u
import numpy as np
from lsst.daf.butler import DataCoordinate, DatasetRef
from lsst.pex.config import Field, ListField, RangeField
from lsst.pipe.base import (
    InputQuantizedConnection,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantaAdjuster,
    QuantumContext,
    Struct,
)
from lsst.pipe.base import connectionTypes as connect
from numpy.typing import NDArray

from ..errors import ParameterError
from ..formats.fits.boxes import Box
from ..images.checks import require_spectral_image
from ..images.flagging import with_flag
from ..images.flags import flagged, require_known_flags
from ..images.spectral_image import SpectralImage
from .lookups import look_up_inputs, previous_exposure
from .quanta import IMAGE, quantum_data_id

_PLANES = ("FLAGS",)
"""What is read of the exposure before, besides its pixels."""


class MaskPersistenceConnections(PipelineTaskConnections, dimensions=IMAGE):
    """An image and that of the exposure before, and the image with a flag where an afterglow may be."""

    images = connect.Input(
        doc="The image, and that of the exposure before, of the same detector.",
        name="level2",
        storageClass="SpectralImage",
        dimensions=IMAGE,
        multiple=True,
        deferLoad=True,
    )
    masked = connect.Output(
        doc="The image with the flag PERSIST where an afterglow may be.",
        name="persistence_masked",
        storageClass="SpectralImage",
        dimensions=IMAGE,
    )

    def adjust_all_quanta(self, adjuster: QuantaAdjuster) -> None:
        """Add the exposure before to each quantum's inputs."""
        gap = cast("MaskPersistenceConfig", adjuster.task_node.config).gap
        look_up_inputs(
            adjuster, "images", previous_exposure if gap is None else partial(previous_exposure, gap=gap * u.s)
        )


class MaskPersistenceConfig(PipelineTaskConfig, pipelineConnections=MaskPersistenceConnections):
    """Configuration of `MaskPersistenceTask`."""

    gap = RangeField(
        dtype=float,
        doc="At most so many seconds are between the end of the exposure before and the begin of this one. By default "
        "both have to be of the same large slew, within which the telescope moves by a spectral channel.",
        default=None,
        optional=True,
        min=0.0,
    )
    flags = ListField[str](
        doc="Pixels with one of these flags in the exposure before leave an afterglow; flags that its release does not "
        "define count for nothing.",
        default=["OVERFLOW", "BLOOM"],
    )
    brightness = Field[float](
        doc="Pixels above this surface brightness in the exposure before, in MJy/sr, leave one, too.",
        default=None,
        optional=True,
    )
    grow = RangeField(
        dtype=int, doc="Pixels up to so many columns and rows away are flagged as well.", default=1, min=0, max=100
    )
    flag = Field[str](doc="The flag that is set.", default="PERSIST")


class MaskPersistenceTask(PipelineTask):
    """Flag the pixels in which the exposure before may have left an afterglow.

    The first exposure of a large slew, or one that nothing came before within the configured gap, stays as it is.
    """

    ConfigClass = MaskPersistenceConfig
    config: MaskPersistenceConfig
    _DefaultName = "maskPersistence"

    def runQuantum(
        self, butlerQC: QuantumContext, inputRefs: InputQuantizedConnection, outputRefs: OutputQuantizedConnection
    ) -> None:
        """Read the image whole, and of the exposure before what is looked at."""
        own = _own(inputRefs.images, quantum_data_id(butlerQC))
        before = next((ref for ref in inputRefs.images if ref != own), None)
        image = butlerQC.get(own).get()
        previous = None if before is None else butlerQC.get(before).get(parameters={"planes": _PLANES})
        butlerQC.put(self.run(image, previous), outputRefs)

    def run(self, image: SpectralImage, previous: SpectralImage | None = None) -> Struct:
        """Return an image in which the afterglow of another one is flagged.

        Parameters
        ----------
        image
            An image or a cutout, with FLAGS.
        previous
            That of the exposure before, of the same detector, with FLAGS.

        Returns
        -------
        result
            ``masked``, the image.

        Raises
        ------
        ParameterError
            Raised if one is no image, they are of two detectors, or the configuration names a flag that no image
            defines.
        """
        require_spectral_image(image)
        if previous is None:
            return Struct(masked=image)
        require_spectral_image(previous)
        if previous.detector != image.detector:
            raise ParameterError(
                f"The exposure before is of detector {previous.detector}, and the image of {image.detector}; expected "
                "the same detector, whose pixels keep an afterglow."
            )
        afterglow = _moved(self._afterglow(previous), previous.box, image.box, self.config.grow)
        self.log.info("%d pixels may have an afterglow", np.count_nonzero(afterglow))
        return Struct(masked=with_flag(image, self.config.flag, afterglow, "afterglow of the exposure before"))

    def _afterglow(self, previous: SpectralImage) -> NDArray[np.bool_]:
        definitions = previous.flag_definitions
        require_known_flags(self.config.flags, definitions, "flags")
        found = flagged(previous.flags, definitions, [name for name in self.config.flags if name in definitions])
        if self.config.brightness is not None:
            with np.errstate(invalid="ignore"):
                found |= previous.data > self.config.brightness
        return found


def _own(refs: list[DatasetRef], data_id: DataCoordinate) -> DatasetRef | None:
    """Return the dataset of a quantum's own exposure."""
    return next((ref for ref in refs if ref.dataId["exposure"] == data_id["exposure"]), None)


def _moved(pixels: NDArray[np.bool_], have: Box, want: Box, grow: int) -> NDArray[np.bool_]:
    """Return pixels of one part of the frame on another part, with those around them."""
    padded = Box(want.x_min - grow, want.x_max + grow, want.y_min - grow, want.y_max + grow)
    on_want = np.zeros(padded.shape, bool)
    if (common := have.clipped(padded)) is not None:
        to, source = (common.shifted(-box.x_min, -box.y_min).slices for box in (padded, have))
        on_want[to] = pixels[source]
    for axis in (0, 1):
        length = on_want.shape[axis] - 2 * grow
        parts = [on_want.take(range(step, step + length), axis) for step in range(2 * grow + 1)]
        on_want = np.logical_or.reduce(parts)
    return on_want
