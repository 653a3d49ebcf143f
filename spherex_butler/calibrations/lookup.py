"""Which calibration an image gets, and why: what is valid when it was taken, and what else there is."""

from __future__ import annotations

__all__ = ("Explanation", "calibration_for", "explain")

from dataclasses import dataclass

from astropy.time import Time
from lsst.daf.butler import Butler, DatasetRef, DatasetType, Timespan

from ..conventions import CALIBRATION_COLLECTION
from ..errors import ConfigurationError, ParameterError
from .certifications import calibration_types, candidates, certifications
from .ranges import Certification, Rule, format_time, range_text, release_ranges, token_of
from .subject import Image, Subject, subject_of


@dataclass(frozen=True, slots=True)
class Explanation:
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
        What was valid then, in order of time.
    invalid
        What is certified for other times.
    uncertified
        Datasets for this detector that are certified for no time, newest first.
    """

    dataset_type: str
    image: str
    timespan: Timespan
    valid: tuple[Certification, ...]
    invalid: tuple[Certification, ...]
    uncertified: tuple[DatasetRef, ...]

    @property
    def chosen(self) -> DatasetRef | None:
        """The calibration; `None` if none was valid, or several were."""
        return self.valid[0].ref if len({found.ref.id for found in self.valid}) == 1 else None

    @property
    def rule(self) -> Rule | None:
        """The rule that gives the range of what was chosen; Butler keeps ranges without their rule."""
        return None if self.chosen is None else self.valid[0].rule

    @property
    def verdict(self) -> str:
        """What was decided, in a sentence."""
        if self.chosen is not None:
            return f"It gets {token_of(self.chosen.run)} ({self.chosen.id}): {_REASONS[self.valid[0].rule]}."
        if not self.valid:
            return "It gets none: nothing was valid then."
        bounds = {bound for found in self.valid for bound in (found.timespan.begin, found.timespan.end)}
        inside = sorted(bound for bound in bounds if isinstance(bound, Time) and self.timespan.contains(bound))
        return (
            f"It gets none: {len(self.valid)} calibrations were valid, as their ranges meet inside the exposure, at "
            f"{', '.join(map(format_time, inside))} UTC. Move that bound between exposures: certify(…, replace=True)."
        )

    @property
    def candidates(self) -> list[str]:
        """Everything there is for this detector: token, validity and rule, in words."""
        lines = [_describe(found, "valid then") for found in self.valid]
        lines += [_describe(found, "not valid then") for found in self.invalid]
        return [*lines, *(f"never certified  {token_of(ref.run)} ({ref.id})" for ref in self.uncertified)]

    def __str__(self) -> str:
        heading = f"{self.dataset_type} for {self.image}, {range_text(self.timespan)}"
        listed = [f"  {line}" for line in self.candidates] or ["  There are no candidates."]
        return "\n".join([heading, self.verdict, *listed])


_REASONS = {
    Rule.LATEST: "its range has no bounds, as the rule 'latest' gives, the newest token holding the detector",
    Rule.RELEASE: "its range is the time of a release's observations, as the rule 'release' gives",
    Rule.EXPLICIT: "its range has bounds of its own, as given explicitly",
}


def explain(
    butler: Butler, dataset_type: str, image: Image, *, collection: str = CALIBRATION_COLLECTION
) -> Explanation:
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
        Where calibrations are certified.

    Returns
    -------
    explanation
        What was valid, what else there is, and which rule decided; ``str()`` of it is for reading.

    Raises
    ------
    ParameterError
        Raised if it is no calibration type, or the image does not say of which detector and time it is.
    """
    (kind,) = calibration_types(butler, dataset_type)
    return _explain(butler, kind, subject_of(butler, image), collection)


def calibration_for(
    butler: Butler, dataset_type: str, image: Image, *, collection: str = CALIBRATION_COLLECTION
) -> DatasetRef:
    """Return the calibration that is valid for an image, the one that Butler's own look-up gives.

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
        Where calibrations are certified.

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


def _explain(butler: Butler, kind: DatasetType, subject: Subject, collection: str) -> Explanation:
    key = subject.values(kind)
    certified = [
        found
        for found in certifications(butler, kind.name, collection=collection)
        if found.ref.dataId.required_values == key
    ]
    known = {found.ref.id for found in certified}
    there = [ref for ref in candidates(butler, kind) if ref.dataId.required_values == key]
    return Explanation(
        kind.name,
        subject.text,
        subject.timespan,
        tuple(found for found in certified if found.timespan.overlaps(subject.timespan)),
        tuple(found for found in certified if not found.timespan.overlaps(subject.timespan)),
        tuple(ref for ref in there if ref.id not in known),
    )


def _describe(found: Certification, when: str) -> str:
    release = [name for name, timespan in release_ranges().items() if timespan == found.timespan]
    rule = f"{found.rule} {release[0]}" if release else str(found.rule)
    return f"{when:15}  {found.token} ({found.ref.id}), {range_text(found.timespan)} ({rule})"
