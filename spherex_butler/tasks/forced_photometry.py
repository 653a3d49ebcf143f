"""The fluxes of catalogued sources in an image."""

from __future__ import annotations

__all__ = ("ForcedPhotometryConfig", "ForcedPhotometryConnections", "ForcedPhotometryTask")

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from astropy.nddata import CCDData
from astropy.table import Table, vstack
from lsst.pex.config import Field, FieldValidationError, ListField, RangeField
from lsst.pipe.base import NoWorkFound, PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base import connectionTypes as connect

from ..errors import ParameterError
from ..images.spectral_image import SpectralImage
from ..spectra import BAD_FLAGS, Method, measure_catalog
from ..spectra.photometry import LARGEST_SIZE, SIZE, SMALLEST_SIZE, require_method
from ..spectra.table import storable
from ..spectra.tiles import CATALOG
from .quanta import IMAGE, calibration_input


class ForcedPhotometryConnections(PipelineTaskConnections, dimensions=IMAGE):
    """An image and a catalogue, and the fluxes of its sources in the image."""

    image = connect.Input(doc="The image.", name="level2", storageClass="SpectralImage", dimensions=IMAGE)
    catalogs = connect.PrerequisiteInput(
        doc="The sources: the tiles of a catalogue that the image overlaps, or the one that there is.",
        name=CATALOG,
        storageClass="VOTable",
        dimensions=("healpix4",),
        multiple=True,
        minimum=0,
    )
    solidAngles = calibration_input(
        "solid_angle_pixel_map", "The solid angles of the detector's pixels; without, they follow from the WCS."
    )
    fluxes = connect.Output(
        doc="The fluxes of the sources in the image.",
        name="forced_photometry",
        storageClass="VOTable",
        dimensions=IMAGE,
    )

    def __init__(self, *, config: ForcedPhotometryConfig | None = None) -> None:
        super().__init__(config=config)
        if config is None:
            return
        self.catalogs = replace(self.catalogs, dimensions=tuple(config.catalogDimensions))
        if not config.useSolidAngles:
            del self.solidAngles


class ForcedPhotometryConfig(PipelineTaskConfig, pipelineConnections=ForcedPhotometryConnections):
    """Configuration of `ForcedPhotometryTask`."""

    catalogDimensions = ListField[str](
        doc="The dimensions of the catalogue: a HEALPix or HTM system if it is in tiles, as put_catalog makes them; "
        "none if it is one dataset.",
        default=["healpix4"],
    )
    size = RangeField(
        dtype=int,
        doc="Side in pixels of the part of the image around each source that is looked at.",
        default=SIZE,
        min=SMALLEST_SIZE,
        max=LARGEST_SIZE,
        inclusiveMax=True,
    )
    aperture = RangeField(
        dtype=float,
        doc="Radius in pixels of a circular aperture (extra spectra). By default fluxes are those of a matched filter.",
        default=None,
        optional=True,
        min=0.0,
        inclusiveMin=False,
    )
    badFlags = ListField[str](doc="Pixels with one of these flags are left out.", default=list(BAD_FLAGS))
    deblend = Field[bool](doc="Whether sources near each other are fitted together.", default=True)
    useSolidAngles = Field[bool](
        doc="Whether the solid angles of pixels are those of the valid solid_angle_pixel_map, where there is one.",
        default=True,
    )

    def validate(self) -> None:
        """Refuse an aperture that is not within the part of an image around a source."""
        super().validate()
        try:
            require_method(self.method(), self.size)
        except ParameterError as error:
            field: Any = ForcedPhotometryConfig.aperture
            raise FieldValidationError(field, self, str(error)) from error

    def method(self) -> Method:
        """Return how flux is measured."""
        return Method(self.aperture, tuple(self.badFlags))


class ForcedPhotometryTask(PipelineTask):
    """Measure the flux of each source of a catalogue that is in an image."""

    ConfigClass = ForcedPhotometryConfig
    config: ForcedPhotometryConfig
    _DefaultName = "forcedPhotometry"

    def run(self, image: SpectralImage, catalogs: Sequence[Table], solidAngles: CCDData | None = None) -> Struct:
        """Return the fluxes of sources in an image.

        Parameters
        ----------
        image
            An image or a cutout with FLAGS, VARIANCE, PSF and wavelengths, in MJy/sr.
        catalogs
            The sources, or parts of them, as for `~spherex_butler.spectra.measure_catalog`.
        solidAngles
            A ``solid_angle_pixel_map`` of its detector.

        Returns
        -------
        result
            ``fluxes``, the table of `~spherex_butler.spectra.measure_catalog`, with times as text.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if no source is in the image.
        """
        parts = [Table(part) for part in catalogs if len(part)]
        if not parts:
            raise NoWorkFound("No source of the catalogue is near the image.")
        fluxes = measure_catalog(
            image,
            vstack(parts, metadata_conflicts="silent"),
            size=self.config.size,
            method=self.config.method(),
            deblend=self.config.deblend,
            solid_angles=solidAngles,
        )
        if not len(fluxes):
            raise NoWorkFound("No source of the catalogue is in the image.")
        self.log.info("%d sources, %d with a flux", len(fluxes), np.isfinite(fluxes["flux"]).sum())
        return Struct(fluxes=storable(fluxes))
