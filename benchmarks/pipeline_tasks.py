"""A task that does nothing, on any Butler: what a pipeline costs when its steps are free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lsst.pipe.base as pipe
from lsst.pex.config import Field
from lsst.pipe.base import connectionTypes as connect

IMAGE = ("instrument", "exposure", "detector")


class NothingConnections(pipe.PipelineTaskConnections, dimensions=IMAGE):
    """Images, which are not read, and a few bytes."""

    images = connect.Input(
        doc="The images.",
        name="level2",
        storageClass="SpectralImage",
        dimensions=IMAGE,
        multiple=True,
        deferLoad=True,
    )
    nothing = connect.Output(doc="A few bytes.", name="nothing", storageClass="StructuredDataDict", dimensions=IMAGE)

    def __init__(self, *, config: NothingConfig | None = None) -> None:
        super().__init__(config=config)
        if config is not None:
            self.images = replace(self.images, storageClass=config.storageClass)

    def adjust_all_quanta(self, adjuster: pipe.QuantaAdjuster) -> None:
        """Add the exposure before to each quantum, if that is wanted."""
        if self.config.previous:
            from spherex_butler.tasks import look_up_inputs, previous_exposure  # noqa: PLC0415 - not on a plain Butler

            look_up_inputs(adjuster, "images", previous_exposure)


class NothingConfig(pipe.PipelineTaskConfig, pipelineConnections=NothingConnections):
    """What the images are, and whether each comes with the exposure before."""

    storageClass = Field[str](doc="The storage class of the images.", default="SpectralImage")
    previous = Field[bool](doc="Whether each quantum gets the exposure before, too.", default=False)


class NothingTask(pipe.PipelineTask):
    """Write a few bytes."""

    ConfigClass = NothingConfig
    _DefaultName = "nothing"

    def run(self, images: Sequence[Any]) -> pipe.Struct:
        """Return a few bytes."""
        return pipe.Struct(nothing={"exposures": [int(image.dataId["exposure"]) for image in images]})
