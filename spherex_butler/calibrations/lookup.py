"""Which calibration an image gets, and why: those valid when it was taken, and the other candidates."""

from __future__ import annotations

__all__ = ("Explanation", "Image", "calibration_for", "explain")

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from astropy.time import Time
from lsst.daf.butler import (
    Butler,
    CollectionType,
    DataCoordinate,
    DatasetRef,
    DatasetType,
    DimensionRecord,
    Timespan,
)

from ..arguments import require_detectors
from ..constants import CALIBRATION_COLLECTION, INSTRUMENT
from ..errors import ConfigurationError, ParameterError
from ..formats.fits.lazy_header import LazyHeader
from ..images.description import describe_image
from ..images.spectral_image import SpectralImage
from ..names import ObservationId
from ..repository.data_ids import is_key, with_keys
from ..repository.failures import told_as_repository_failures
from ..repository.json_values import json_value
from ..repository.times import format_time
from ..summaries import Summarized
from .queries import calibration_types, candidates, certifications, search_path
from .ranges import Certification, Rule, range_text, release_ranges, token_of

Image: TypeAlias = Mapping[str, Any] | DataCoordinate | DatasetRef | SpectralImage
"""What an image may be given as."""


@dataclass(frozen=True, slots=True, repr=False)
class Explanation(Summarized):
    """Why an image gets a calibration, or none.

    Parameters
    ----------
    dataset_type
        Name of the calibration type.
    image
        The image, in words.
    timespan
        When it was taken; TAI.
    valid
        The calibrations valid then, in order of time, in the first collection that has any.
    invalid
        Those that are certified for other times.
    uncertified
        Datasets for this detector, of every run, that are certified for no time, now: newest first, and last those
        of runs that no token names.
    hidden
        Those valid then in collections that are searched later, so that they are not found.
    collections
        Where calibrations were looked for, in this order.
    data_id
        The image's.
    """

    dataset_type: str
    image: str
    timespan: Timespan
    valid: tuple[Certification, ...]
    invalid: tuple[Certification, ...]
    uncertified: tuple[DatasetRef, ...]
    hidden: tuple[Certification, ...] = ()
    collections: tuple[str, ...] = ()
    data_id: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chosen(self) -> DatasetRef | None:
        """The calibration; `None` if none was valid, or several were."""
        return self.valid[0].ref if len({found.ref.id for found in self.valid}) == 1 else None

    @property
    def rule(self) -> Rule | None:
        """The rule that gives the range of the chosen calibration; Butler records ranges without a rule."""
        return None if self.chosen is None else self.valid[0].rule

    @property
    def summary(self) -> str:
        """Of which calibration and image it tells, and what was decided."""
        return f"{self.dataset_type} of {self.image}: {self.verdict}"

    @property
    def verdict(self) -> str:
        """What was decided, in a sentence."""
        if self.chosen is not None:
            found = self.valid[0]
            chosen = f"{token_of(self.chosen.run)} ({self.chosen.id})"
            return f"It gets {chosen}{self._place(found)}: {_REASONS[found.rule]}."
        if not self.valid:
            return "It gets none: nothing was valid then."
        bounds = {bound for found in self.valid for bound in (found.timespan.begin, found.timespan.end)}
        inside = sorted(bound for bound in bounds if isinstance(bound, Time) and self.timespan.contains(bound))
        several = f"{len(self.valid)} calibrations were valid{self._place(self.valid[0])}"
        return (
            f"It gets none: {several}, as their ranges meet inside the exposure, at "
            f"{', '.join(map(format_time, inside))} UTC. Move that bound between exposures: certify one of them again, "
            "in place of the other, up to the begin of the exposure or from its end on."
        )

    @property
    def candidates(self) -> list[str]:
        """All calibrations for this detector: token, validity and rule, in words."""
        certified = {"valid then": self.valid, "hidden": self.hidden, "not valid then": self.invalid}
        lines = [
            f"{_describe(found, when)}{self._place(found)}" for when, ranges in certified.items() for found in ranges
        ]
        return [*lines, *(f"not certified    {token_of(ref.run)} ({ref.id})" for ref in self.uncertified)]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as what JSON can hold."""
        found: dict[str, Any] = json_value(
            {
                "dataset_type": self.dataset_type,
                "image": self.data_id,
                "timespan": self.timespan,
                "chosen": self.chosen,
                "rule": self.rule,
                "verdict": self.verdict,
                "valid": self.valid,
                "hidden": self.hidden,
                "invalid": self.invalid,
                "uncertified": self.uncertified,
                "collections": self.collections,
            }
        )
        return found

    def __str__(self) -> str:
        heading = f"{self.dataset_type} for {self.image}, {range_text(self.timespan)}"
        listed = [f"  {line}" for line in self.candidates] or ["  There are no candidates."]
        return "\n".join([heading, self.verdict, *listed])

    def _place(self, found: Certification) -> str:
        """Return where a range is recorded, in words, if it could be in several collections."""
        return f" in {found.collection}" if len(self.collections) > 1 else ""


_REASONS = {
    Rule.LATEST: "its range has no bounds, as the rule 'latest' gives it to "
    "the newest token that has a file for this detector",
    Rule.RELEASE: "its range is the time of a release's observations, as the rule 'release' gives",
    Rule.EXPLICIT: "its range has bounds of its own, as given explicitly",
}


@told_as_repository_failures()
def explain(butler: Butler, dataset_type: str, image: Image, *, collection: str | None = None) -> Explanation:
    """Return why an image gets a calibration, or none.

    Parameters
    ----------
    butler
        The repository.
    dataset_type
        A calibration type, such as ``"dark"``.
    image
        A data ID with an exposure, a dataset with one, or a `~spherex_butler.SpectralImage`.
    collection
        Where calibrations are certified. By default the calibration collections of ``SPHEREx/defaults`` in their
        order: the first that has something valid for the image decides, as for `lsst.daf.butler.Butler.get`.

    Returns
    -------
    explanation
        What was valid, what else there is, and which rule decided; ``str()`` of it is for reading.

    Raises
    ------
    ParameterError
        Raised if it is not a calibration type, or the detector or time of the image is not known.
    """
    (kind,) = calibration_types(butler, dataset_type)
    data_id, obs_id, timespan = _look_at(butler, image)
    key = _key(kind, data_id)
    collections = (search_path(butler) or [CALIBRATION_COLLECTION]) if collection is None else [collection]
    certified = [
        found
        for collection in collections
        for found in certifications(butler, kind.name, collection=collection)
        if found.ref.dataId.required_values == key
    ]
    valid = [found for found in certified if found.timespan.overlaps(timespan)]
    known = {found.ref.id for found in certified}
    runs = butler.collections.query("*", collection_types=CollectionType.RUN)
    there = [ref for ref in candidates(butler, kind, runs) if ref.dataId.required_values == key]
    return Explanation(
        kind.name,
        _image_text(data_id, obs_id),
        timespan,
        tuple(found for found in valid if found.collection == valid[0].collection),
        tuple(found for found in certified if not found.timespan.overlaps(timespan)),
        tuple(ref for ref in there if ref.id not in known),
        tuple(found for found in valid if found.collection != valid[0].collection),
        tuple(collections),
        data_id,
    )


@told_as_repository_failures()
def calibration_for(butler: Butler, dataset_type: str, image: Image, *, collection: str | None = None) -> DatasetRef:
    """Return the calibration that is valid for an image, as Butler's own look-up does.

    Parameters
    ----------
    butler
        The repository.
    dataset_type
        A calibration type, such as ``"dark"``.
    image
        A data ID with an exposure, a dataset with one, or a `~spherex_butler.SpectralImage`, which
        needs not be in the repository.
    collection
        Where calibrations are certified; by default as for `explain`.

    Raises
    ------
    ParameterError
        Raised, with the candidates, if none was valid; or as for `explain`.
    ConfigurationError
        Raised, with the candidates, if several were.
    """
    explanation = explain(butler, dataset_type, image, collection=collection)
    if explanation.chosen is not None:
        return explanation.chosen
    raise (ConfigurationError if explanation.valid else ParameterError)(str(explanation))


def _describe(found: Certification, when: str) -> str:
    release = [name for name, timespan in release_ranges().items() if timespan == found.timespan]
    rule = f"{found.rule} {release[0]}" if release else str(found.rule)
    return f"{when:15}  {found.token} ({found.ref.id}), {range_text(found.timespan)} ({rule})"


def _look_at(butler: Butler, image: Image) -> tuple[dict[str, Any], str, Timespan]:
    """Return an image's data ID, observation and time: as its exposure is registered, else as its header has it."""
    data_id = with_keys(butler, {"instrument": INSTRUMENT, **_data_id(image)})
    require_detectors([data_id["detector"]] if "detector" in data_id else ())
    if "exposure" not in data_id:
        raise ParameterError(
            f"{_words(data_id) or 'The image'} has no exposure, so that its time is not known; add exposure=…."
        )
    if (record := _exposure(butler, data_id["exposure"])) is not None:
        return data_id, record.obs_id, record.timespan
    if not isinstance(image, SpectralImage):
        raise ParameterError(f"The exposure {data_id['exposure']!r} is not registered; ingest an image of it first.")
    described = describe_image(LazyHeader(image.image_header), image.data.shape)
    timespan = Timespan(*Time([described.begin, described.end], format="mjd", scale="utc").tai)
    return data_id, str(image.obs_id), timespan


def _exposure(butler: Butler, exposure: Any) -> DimensionRecord | None:
    if not is_key(butler, "exposure", exposure):
        return None
    with butler.query() as query:
        records = query.dimension_records("exposure").where(instrument=INSTRUMENT, exposure=exposure)
        return next(iter(records), None)


def _data_id(image: Image) -> Mapping[str, Any]:
    if isinstance(image, SpectralImage):
        if image.obs_id is None or image.detector is None:
            raise ParameterError(
                f"The image's header says OBSID {image.obs_id!r} and DETECTOR {image.detector!r}, by which "
                "calibrations are looked up; give a data ID instead."
            )
        return {"exposure": ObservationId.parse(image.obs_id).exposure_id, "detector": image.detector}
    given = image.dataId if isinstance(image, DatasetRef) else image
    if isinstance(given, DataCoordinate):
        return given.mapping
    if isinstance(given, Mapping):
        return given
    raise ParameterError(f"{image!r} is not an image; expected a data ID, a DatasetRef or a SpectralImage.")


def _key(dataset_type: DatasetType, data_id: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values by which datasets of a type are looked up."""
    names = dataset_type.dimensions.required
    missing = [name for name in names if name not in data_id]
    if missing:
        raise ParameterError(
            f"Give {', '.join(f'{name}=…' for name in missing)}: {dataset_type.name!r} is looked up by "
            f"{' and '.join(name for name in names if name != 'instrument')}, and {_words(data_id)} alone was given."
        )
    return tuple(data_id[name] for name in names)


def _words(data_id: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in data_id.items() if value != INSTRUMENT)


def _image_text(data_id: Mapping[str, Any], obs_id: str) -> str:
    detector = f", detector {data_id['detector']}" if "detector" in data_id else ""
    return f"exposure {data_id['exposure']} ({obs_id}){detector}"
