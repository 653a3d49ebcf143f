"""SPHEREx as Rubin's pipelines know an instrument: its names, its registration, and data IDs as single integers.

Needs lsst-pipe-base, the extra ``pipelines``. Imports `..repository`, `..formatters` and what those import.
"""

from __future__ import annotations

__all__ = ("ExposureDetectorPacker", "Spherex")

import logging
import math
from typing import Any

from lsst.daf.butler import DataCoordinate, DataId, DimensionPacker, FormatterV2, Registry
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.utils.introspection import get_full_type_name

from .constants import DATASET_TYPE, DETECTORS, INSTRUMENT
from .errors import FormatError, ParameterError
from .formatters import SpectralImageFormatter
from .lazy import require_extra
from .names import RUN_PREFIX, ObservationId, ProcessingToken
from .repository.butler_internals import butler_of
from .repository.configured import lack_of_configuration
from .repository.instrument import register_as
from .repository.opened import require_universe

require_extra("lsst.pipe.base", "pipelines", "Pipelines")

from lsst.pipe.base import Instrument  # noqa: E402 - after the words about its absence

_log = logging.getLogger(__name__)

_FIRST_YEAR = 2020
_RADICES = (64, 54, 10, 27, 10_000, 10, DETECTORS.stop)
"""How many values there can be of the year from 2020, week, upload number, revision, large and small slew, detector."""


class Spherex(Instrument):
    """The SPHEREx spectrophotometer.

    ``instrument: spherex_butler.instrument.Spherex`` in a pipeline gives every data ID of it this instrument, and
    ``butler register-instrument REPO spherex_butler.instrument.Spherex`` registers it in a repository of our universe,
    as `~spherex_butler.register` does.

    Parameters
    ----------
    collection_prefix
        The beginning of collection names, by default ``SPHEREx``.

    Notes
    -----
    `makeCalibrationCollectionName` and `makeUmbrellaCollectionName` give the collections of every SPHEREx repository,
    ``SPHEREx/calib`` and ``SPHEREx/defaults``. The archive's products are in a run of each processing, ``spx/<token>``.
    """

    raw_definition = (DATASET_TYPE, ("instrument", "exposure", "detector"), "SpectralImage")
    """The archive's images are what pipelines begin with."""

    @classmethod
    def getName(cls) -> str:
        """Return ``SPHEREx``."""
        return INSTRUMENT

    def register(self, registry: Registry, *, update: bool = False) -> None:
        """Register the instrument, its detectors and channels, the archive's dataset types, and our collections.

        What is there already stays, so that a second call changes nothing. A repository whose configuration lacks our
        storage classes gets the records alone, and a warning says what to add.

        Parameters
        ----------
        registry
            Of a writeable repository of our universe, or an extension of it.
        update
            Whether records that differ from those of this package are replaced.

        Raises
        ------
        ConfigurationError
            Raised if the repository is read-only or has another universe.
        lsst.daf.butler.registry.ConflictingDefinitionError
            Raised, with nothing changed, if records differ and ``update`` is false.
        """
        butler = butler_of(registry)
        require_universe(butler)
        name, lack = get_full_type_name(self), lack_of_configuration(butler)
        different = register_as(butler, name, update=True, dry_run=True, with_types=False).replaced
        if different and not update:
            raise ConflictingDefinitionError(
                f"{'; '.join(different)}. Nothing was changed. Expected the records of this package, or --update "
                "(update=True), which replaces those that differ."
            )
        for text in register_as(butler, name, update=update, with_types=not lack).kept:
            _log.warning("%s; it was left as it is", text)
        if lack:
            _log.warning("Dataset types were not registered. %s After that, 'butler spherex register' adds them.", lack)

    def getRawFormatter(self, dataId: DataId) -> type[FormatterV2]:  # noqa: ARG002 - all images have the same
        """Return the formatter of the archive's images."""
        return SpectralImageFormatter

    def makeUnboundedCalibrationRunName(self, *labels: str) -> str:
        """Return the run of calibrations whose validity is unbounded, as that of the archive's is.

        Parameters
        ----------
        *labels
            The processing token of the calibrations, as in ``cal-drk-v4-2025-161``, gives the run that they are
            ingested into, ``spx/cal-drk-v4-2025-161``; for anything else the name is Rubin's,
            ``SPHEREx/calib/<labels>/unbounded``.
        """
        try:
            (token,) = labels
            return f"{RUN_PREFIX}{ProcessingToken.parse(token)}"
        except (FormatError, ValueError):
            return super().makeUnboundedCalibrationRunName(*labels)

    def _make_default_dimension_packer(
        self,
        config_dict: Any,  # noqa: ARG002 - for packers that are chosen by name
        data_id: DataCoordinate,
        is_exposure: bool | None = None,
        default: str = "spherex",  # noqa: ARG002
    ) -> DimensionPacker:
        return ExposureDetectorPacker(data_id, is_exposure=is_exposure)


class ExposureDetectorPacker(DimensionPacker):
    """Makes one integer of exposure and detector, of 40 bits, and the data ID of such an integer.

    Exposure ids are dates and counters, of 14 decimal digits. Taken as they are they would leave 13 bits of a signed
    64-bit integer for what is counted in an image, such as sources; packed by their parts they leave 23.

    `lsst.pipe.base.Instrument.make_default_dimension_packer` makes one, as do the fields that
    `lsst.pipe.base.Instrument.make_dimension_packer_config_field` gives the configuration of a task.

    Parameters
    ----------
    data_id
        A data ID with the instrument.
    is_exposure
        Whether observations are exposures: there are no others.

    Raises
    ------
    ParameterError
        Raised if visits are asked for.
    """

    def __init__(self, data_id: DataCoordinate, *, is_exposure: bool | None = None) -> None:
        if is_exposure is False:
            raise ParameterError("is_exposure=False asks for visits; SPHEREx has exposures only.")
        universe = data_id.universe
        super().__init__(
            data_id.subset(universe.conform(["instrument"])),
            universe.conform(["instrument", "exposure", "detector"]),
        )

    @property
    def maxBits(self) -> int:
        """How many bits an integer has at most."""
        return (math.prod(_RADICES) - 1).bit_length()

    def _pack(self, dataId: DataCoordinate) -> int:
        packed = 0
        for part, radix in zip(_parts(dataId), _RADICES, strict=True):
            if not 0 <= part < radix:
                raise ParameterError(f"{dataId} cannot be packed: {part} is out of range; expected 0 to {radix - 1}.")
            packed = packed * radix + part
        return packed

    def unpack(self, packedId: int) -> DataCoordinate:
        """Return the data ID of which an integer was made."""
        parts: list[int] = []
        rest = packedId
        for radix in reversed(_RADICES):
            rest, part = divmod(rest, radix)
            parts.insert(0, part)
        year, week, upload, revision, large, small, detector = parts
        exposure = int(f"{year + _FIRST_YEAR}{week:02d}{upload}{revision:02d}{large:04d}{small}")
        return DataCoordinate.standardize(self.fixed, dimensions=self.dimensions, exposure=exposure, detector=detector)


def _parts(data_id: DataCoordinate) -> tuple[int, ...]:
    observation = ObservationId.of_exposure(int(data_id["exposure"]))
    digits = str(observation.exposure_id)
    year, week, upload, revision = int(digits[:4]), int(digits[4:6]), int(digits[6]), int(digits[7:9])
    slews = (observation.large_slew, observation.small_slew)
    return (year - _FIRST_YEAR, week, upload, revision, *slews, int(data_id["detector"]))
