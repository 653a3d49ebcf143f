"""Product, run and observation names: parsed into fields and formatted back, with no I/O.

A file name is ``{dataset type}_{observation id}D{detector}_{run}.{extension}``,
without the observation id or the detector if a product has none, and with the
run ``spx/<token>`` written with ``_`` for ``/`` (SPHEREx Archive User Guide,
and the names of the archive itself).
"""

from __future__ import annotations

__all__ = ("RUN_PREFIX", "ObservationId", "ProcessingToken", "ProductName", "detector_number", "parse_product_name")

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from .errors import FormatError

_OBSERVATION = re.compile(r"(?P<period>(\d{4})W(\d{2})_(\d)([A-Z]))_(?P<large>\d{4})_(?P<small>\d)", re.ASCII)
_EXPOSURE = re.compile(r"(\d{4})(\d{2})(\d)(0[1-9]|1\d|2[0-6])(\d{4})(\d)", re.ASCII)
_TOKEN = re.compile(
    r"(?P<process>[a-z0-9]+(?:_retry)?(?:-[a-z]+)?)(?:-v(?P<version>0|[1-9]\d{0,5}))?-(?P<year>\d{4})-(?P<day>\d{3})",
    re.ASCII,
)
_PRODUCT = re.compile(
    rf"(?P<dataset_type>[a-z0-9]+(?:_[a-z0-9]+)*?)"
    rf"(?:_(?P<observation>{_OBSERVATION.pattern}))?"
    r"(?:(?(observation)|_)D(?P<detector>[1-6]))?"
    r"_spx_(?P<token>[a-z0-9_-]+)\.(?P<extension>fits|ya?ml|(?(observation)(?!)|fits\.gz))",
    re.ASCII,
)
_PARTS = ("dataset_type", "observation", "detector", "token", "extension")
_RETRY = "_retry"

_DETECTOR = re.compile(r"D?(\d{1,4})", re.ASCII)

RUN_PREFIX = "spx/"
"""The beginning of the RUN collections of the archive's products."""

_RUN_PREFIX_IN_NAMES = RUN_PREFIX.replace("/", "_")  # as Butler writes it in file names


@dataclass(frozen=True, slots=True, order=True)
class ObservationId:
    """One pointing of the telescope, seen by up to six detectors.

    Parameters
    ----------
    planning_period
        ISO year and week, upload number in the week and revision letter: ``2025W51_1A``.
    large_slew
        Counter of large slews in the planning period, 0 to 9999.
    small_slew
        Counter of small slews in the large one, 1 to 4.
    """

    planning_period: str
    large_slew: int
    small_slew: int

    def __post_init__(self) -> None:
        if not _OBSERVATION.fullmatch(str(self)):
            raise FormatError(f"{str(self)!r} is not an observation id such as '2025W51_1A_0684_2'.")

    def __str__(self) -> str:
        return f"{self.group}_{self.small_slew}"

    @classmethod
    def parse(cls, obs_id: str) -> Self:
        """Return the fields of an observation id.

        Raises
        ------
        FormatError
            Raised if it does not have the form ``2025W51_1A_0684_2``.
        """
        match = _OBSERVATION.fullmatch(obs_id)
        if not match:
            raise FormatError(f"{obs_id!r} is not an observation id such as '2025W51_1A_0684_2'.")
        return cls(match["period"], int(match["large"]), int(match["small"]))

    @classmethod
    def of_exposure(cls, exposure: int) -> Self:
        """Return the pointing of an exposure, the inverse of `exposure_id`.

        Raises
        ------
        FormatError
            Raised if it is the id of none.
        """
        match = _EXPOSURE.fullmatch(str(exposure))
        if match:
            year, week, upload, revision, large, small = match.groups()
            return cls(f"{year}W{week}_{upload}{chr(ord('A') + int(revision) - 1)}", int(large), int(small))
        raise FormatError(f"{exposure!r} is not the id of an exposure such as 20255110106842.")

    @property
    def group(self) -> str:
        """Name of the large slew: ``2025W51_1A_0684``."""
        return f"{self.planning_period}_{self.large_slew:04d}"

    @property
    def exposure_id(self) -> int:
        """The pointing as an integer: the header's ``EXPIDN`` without its last digit, the detector.

        Year, week, upload number, revision (A is 01), large and small slew.
        """
        period = self.planning_period
        year, week, upload, revision = period[:4], period[5:7], period[8], ord(period[9]) - ord("A") + 1
        return int(f"{year}{week}{upload}{revision:02d}{self.large_slew:04d}{self.small_slew}")


@dataclass(frozen=True, slots=True)
class ProcessingToken:
    """The processing that made a product: ``l2b-v21-2025-354``, ``cal-drk-v4-2025-161``, ``base-2025-158``.

    Parameters
    ----------
    process
        The kind of processing: ``l2b``, ``cal-drk``, ``base``.
    version
        Version number of the processing; `None` if the token has none.
    year, day
        Year and day of year of the processing.
    retry
        Whether this is a second attempt (``l2b_retry``).
    """

    process: str
    version: int | None
    year: int
    day: int
    retry: bool = False

    def __str__(self) -> str:
        version = "" if self.version is None else f"-v{self.version}"
        return f"{self.process}{_RETRY if self.retry else ''}{version}-{self.year:04d}-{self.day:03d}"

    @classmethod
    def parse(cls, token: str) -> Self:
        """Return the fields of a processing token.

        Raises
        ------
        FormatError
            Raised if it has none of the forms above.
        """
        match = _TOKEN.fullmatch(token)
        if not match:
            raise FormatError(f"{token!r} is not a processing token such as 'l2b-v21-2025-354' or 'base-2025-158'.")
        process, version, year, day = match.group("process", "version", "year", "day")
        number = None if version is None else int(version)
        retry = process.endswith(_RETRY)
        return cls(process.removesuffix(_RETRY), number, int(year), int(day), retry=retry)

    @property
    def rank(self) -> tuple[int, int, int, bool]:
        """Sort key within a release: of two processings, the later has the greater rank."""
        return (-1 if self.version is None else self.version, self.year, self.day, self.retry)


@dataclass(frozen=True, slots=True)
class ProductName:
    """The file name of an archive product, in fields; ``str()`` gives the name back.

    Parameters
    ----------
    dataset_type
        The name's first word: ``level2``, ``dark``, ``spectral_channels``.
    token
        The processing that made it.
    observation
        The pointing that it shows; `None` for calibrations.
    detector
        Detector number, 1 to 6; `None` if one file holds all.
    extension
        File extension without its dot.
    """

    dataset_type: str
    token: ProcessingToken
    observation: ObservationId | None = None
    detector: int | None = None
    extension: str = "fits"

    def __str__(self) -> str:
        subject = "" if self.observation is None else f"_{self.observation}"
        if self.detector is not None:
            subject += f"D{self.detector}" if subject else f"_D{self.detector}"
        return f"{self.dataset_type}{subject}_{_RUN_PREFIX_IN_NAMES}{self.token}.{self.extension}"

    @property
    def run(self) -> str:
        """The Butler RUN collection the product belongs to: ``spx/<token>``."""
        return f"{RUN_PREFIX}{self.token}"


def detector_number(text: str) -> int:
    """Return the number of a detector that is written as ``3`` or ``D3``; there need not be such a detector.

    Raises
    ------
    FormatError
        Raised if it has neither form.
    """
    match = _DETECTOR.fullmatch(text)
    if not match:
        raise FormatError(f"{text!r} is not a detector such as '3' or 'D3'.")
    return int(match[1])


def parse_product_name(name: str) -> ProductName:
    """Return the fields of an archive file name.

    Parameters
    ----------
    name
        A file name, or a path or URL that ends in one.

    Raises
    ------
    FormatError
        Raised if the last part of ``name`` is not the name of a SPHEREx product.

    Examples
    --------
    >>> name = parse_product_name("level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits")
    >>> name.observation.exposure_id, name.detector, name.run
    (20255110106842, 3, 'spx/l2b-v21-2025-354')
    """
    last = name.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
    match = _PRODUCT.fullmatch(last)
    if not match:
        raise FormatError(
            f"{last!r} is not the name of a SPHEREx product; expected the form "
            "'level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits' or 'dark_D3_spx_cal-drk-v4-2025-161.fits'."
        )
    dataset_type, observation, detector, token, extension = match.group(*_PARTS)
    return ProductName(
        dataset_type,
        _token(token),
        None if observation is None else _observation(observation),
        None if detector is None else int(detector),
        extension,
    )


# Of a million names few tokens differ, and up to six detectors have one observation.
_token = lru_cache(maxsize=1024)(ProcessingToken.parse)
_observation = lru_cache(maxsize=4096)(ObservationId.parse)
