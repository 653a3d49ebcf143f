"""When a simulated observation happens and what it is called, from its observation id alone.

An observation id is ``<planning period>_<large slew>_<small slew>``, such as
``2025W51_1A_0684_2``.  The spacing of slews and the dates of processings are
those of real archive rows, anchored so that this observation starts exactly
when its real header says.
"""

from __future__ import annotations

__all__ = ("Observation", "Times", "processing_date", "token_of")

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from ..errors import FormatError

_OBSERVATION_ID = re.compile(r"(\d{4})W(\d{2})_(\d)([A-Z])_(\d{4})_([1-4])")
_TOKEN = re.compile(r"l2b(?:_retry)?-v(\d+)-(\d{4})-(\d{3})")

_UPLOAD_LENGTH = timedelta(days=3.5)
_LARGE_SLEW = timedelta(seconds=405.9)
_SMALL_SLEW = timedelta(seconds=128.95)
_PERIOD_OFFSET = timedelta(seconds=10.1)  # puts the saved real header's observation at its real time

_SMALL_SLEWS = 3  # as many as fit in the mean time of a large slew; real ones hold 1 to 4
_LARGE_SLEWS = int(_UPLOAD_LENGTH / _LARGE_SLEW)

# The read-outs of one exposure are not simultaneous: archive rows differ by about 1 ms.
_DETECTOR_DELAY = {
    detector: timedelta(milliseconds=delay) for detector, delay in {1: -1, 2: 1, 3: 0, 4: 1, 5: 0, 6: -1}.items()
}
_FRAME_TIME = timedelta(microseconds=1_534_900)  # TSAMP
_FRAMES = 75  # from MJD-BEG to MJD-END

_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Times:
    """When one detector's exposure began, was half done, and ended (UTC)."""

    begin: datetime
    average: datetime
    end: datetime

    def cards(self) -> dict[str, str | float]:
        """Return the header cards, ISO-8601 to the millisecond and MJD to 1e-9 d."""
        cards: dict[str, str | float] = {}
        for suffix, time in (
            ("OBS", self.begin),
            ("BEG", self.begin),
            ("AVG", self.average),
            ("END", self.end),
        ):
            cards[f"DATE-{suffix}"] = iso_date(time)
            cards[f"MJD-{suffix}"] = round((time - _MJD_EPOCH) / timedelta(days=1), 9)
        return cards


@dataclass(frozen=True, slots=True)
class Observation:
    """One pointing of the telescope, taken by all six detectors.

    Parameters
    ----------
    year, week
        ISO year and week of the planning period.
    upload
        Number of the upload in that week, about 3.5 days each.
    revision
        Revision letter of the plan.
    large, small
        Counters of the large slew in the period and the small slew in it.
    """

    year: int
    week: int
    upload: int
    revision: str
    large: int
    small: int

    @classmethod
    def parse(cls, obs_id: str) -> Observation:
        """Return the observation that ``obs_id`` names.

        Raises
        ------
        FormatError
            Raised if it is not an observation id.
        """
        match = _OBSERVATION_ID.fullmatch(obs_id)
        if match is None:
            raise FormatError(
                f"obs_id={obs_id!r} is not a SPHEREx observation id; expected year, week, upload, revision, large "
                "and small slew (1 to 4) as in '2025W51_1A_0684_2'."
            )
        year, week, upload, revision, large, small = match.groups()
        observation = cls(int(year), int(week), int(upload), revision, int(large), int(small))
        try:
            observation.period_date  # noqa: B018  (a property that checks the calendar)
        except ValueError as error:
            raise FormatError(f"obs_id={obs_id!r} names no ISO week: {error}.") from None
        return observation

    def __str__(self) -> str:
        return f"{self.planning_period}_{self.large:04d}_{self.small}"

    @property
    def planning_period(self) -> str:
        """The planning period, such as ``2025W51_1A``."""
        return f"{self.year}W{self.week:02d}_{self.upload}{self.revision}"

    @property
    def period_date(self) -> date:
        """The day on which the planning period starts."""
        days = int((self.upload - 1) * _UPLOAD_LENGTH / timedelta(days=1))
        return date.fromisocalendar(self.year, self.week, 1) + timedelta(days=days)

    @property
    def pointing_number(self) -> int:
        """How many pointings precede this one in its planning period."""
        return self.large * _SMALL_SLEWS + self.small - 1

    def expidn(self, detector: int) -> int:
        """Return ``EXPIDN``, the integer id of one detector's image."""
        revision = ord(self.revision) - ord("A") + 1
        return int(f"{self.year}{self.week:02d}{self.upload}{revision:02d}{self.large:04d}{self.small}{detector}")

    def times(self, detector: int) -> Times:
        """Return the begin, middle and end of one detector's exposure."""
        monday = datetime.combine(date.fromisocalendar(self.year, self.week, 1), datetime.min.time(), tzinfo=UTC)
        begin = (
            monday
            + _PERIOD_OFFSET
            + (self.upload - 1) * _UPLOAD_LENGTH
            + self.large * _LARGE_SLEW
            + (self.small - 1) * _SMALL_SLEW
            + _DETECTOR_DELAY[detector]
        )
        return Times(begin, begin + _FRAMES * _FRAME_TIME / 2, begin + _FRAMES * _FRAME_TIME)

    def following(self) -> Observation:
        """Return the next pointing of a survey with three small slews a large slew.

        After a fourth small slew one large slew is skipped, in which it would
        not have ended.
        """
        if self.small < _SMALL_SLEWS:
            return replace(self, small=self.small + 1)
        large = self.large + 1 + (self.small > _SMALL_SLEWS)
        if large < _LARGE_SLEWS:
            return replace(self, large=large, small=1)
        if self.upload == 1:
            return replace(self, upload=2, large=1, small=1)
        monday = date.fromisocalendar(self.year, self.week, 1) + timedelta(weeks=1)
        year, week, _ = monday.isocalendar()
        return Observation(year, week, 1, self.revision, 1, 1)


def token_of(observation: Observation, version: int) -> str:
    """Return the processing token of a planning period processed five days after its start."""
    day = observation.period_date + timedelta(days=5)
    return f"l2b-v{version}-{day.year}-{day.timetuple().tm_yday:03d}"


def processing_date(token: str) -> str:
    """Return the ``DATE`` of the files of a processing, the same for all of them.

    Raises
    ------
    FormatError
        Raised if ``token`` is not a processing token of Level 2 files.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise FormatError(
            f"token={token!r} is not a Level 2 processing token; expected one such as 'l2b-v21-2025-354'."
        )
    start = datetime(int(match[2]), 1, 1, tzinfo=UTC) + timedelta(days=int(match[3]))
    # The time of day of the saved real header.
    return iso_date(start + timedelta(hours=7, minutes=46, seconds=20, milliseconds=948))


def iso_date(time: datetime) -> str:
    """Return ``time`` to the nearest millisecond, as headers have it."""
    rounded = time + timedelta(microseconds=500)  # isoformat truncates
    return rounded.replace(tzinfo=None).isoformat(timespec="milliseconds")
