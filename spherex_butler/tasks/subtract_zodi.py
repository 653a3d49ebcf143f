"""Images without zodiacal light."""

from __future__ import annotations

__all__ = ("SubtractZodiConfig", "SubtractZodiConnections", "SubtractZodiTask")


from lsst.pex.config import Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base import connectionTypes as connect

from ..images.checks import require_spectral_image
from ..images.spectral_image import SpectralImage
from .quanta import IMAGE


class SubtractZodiConnections(PipelineTaskConnections, dimensions=IMAGE):
    """An image with its model of the zodiacal light, and the image without that light."""

    image = connect.Input(doc="The image.", name="level2", storageClass="SpectralImage", dimensions=IMAGE)
    subtracted = connect.Output(
        doc="The image without zodiacal light, and without its model.",
        name="zodi_subtracted",
        storageClass="SpectralImage",
        dimensions=IMAGE,
    )


class SubtractZodiConfig(PipelineTaskConfig, pipelineConnections=SubtractZodiConnections):
    """Configuration of `SubtractZodiTask`."""

    scale = Field[float](doc="The model is multiplied by this before it is subtracted.", default=1.0)


class SubtractZodiTask(PipelineTask):
    """Subtract the model of the zodiacal light that an image comes with."""

    ConfigClass = SubtractZodiConfig
    config: SubtractZodiConfig
    _DefaultName = "subtractZodi"

    def run(self, image: SpectralImage) -> Struct:
        """Return an image without zodiacal light.

        Parameters
        ----------
        image
            An image with ZODI.

        Returns
        -------
        result
            ``subtracted``, the image without zodiacal light.

        Raises
        ------
        ParameterError
            Raised if the image has no model of the zodiacal light, as one from which it was subtracted.
        """
        require_spectral_image(image)
        return Struct(subtracted=image.subtract_zodi(scale=self.config.scale))
