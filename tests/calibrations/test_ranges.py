"""Times and ranges of validity: what users may write, and how they are shown."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from astropy.time import Time

from spherex_butler.calibrations.ranges import (
    as_time,
    format_time,
    range_between,
    range_text,
    release_ranges,
    token_of,
    token_rank,
)
from spherex_butler.errors import ParameterError
from spherex_butler.names import ProcessingToken
from spherex_butler.repository.runs import calibration_tokens, release_spans

NOON = Time("2026-07-20T12:00:37", scale="tai")


@pytest.mark.parametrize(
    "value",
    [
        "2026-07-20T12:00:00",
        "2026-07-20 12:00",
        "2026-07-20T12:00:00Z",
        dt.datetime(2026, 7, 20, 12),  # noqa: DTZ001  (without a zone it is UTC)
        dt.datetime(2026, 7, 20, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        Time("2026-07-20T12:00:00", scale="utc"),
        Time("2026-07-20T12:00:37", scale="tai"),
        Time("2026-07-20T12:01:09.184", scale="tt"),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(value):
    assert abs((as_time(value) - NOON).to_value("s")) < 1e-9
    assert as_time(value).scale == "tai"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("noon", "'noon' is not a time; expected UTC such as '2026-07-20T00:00:00', or an astropy Time"),
        (61241.5, "61241.5 is not a time"),
        (None, "None is not a time"),
        (Time("2026-07-20", scale="local"), "is not a time"),
        (Time(["2026-07-20", "2026-07-21"]), "is 2 times; expected one"),
        ("1969-07-20", "'1969-07-20' is not between 1970-01-01T00:00:00.000000 and 2100-01-01T00:00:00.*leave a bound"),
    ],
)
def test_what_is_no_time_is_refused(value, message):
    with pytest.raises(ParameterError, match=message):
        as_time(value)


@pytest.mark.parametrize("text", ["2026-07-20T01:02:03", "2026-07-20T01:02:03.1", "2026-07-20T01:02:03.123456789"])
def test_times_are_shown_so_that_they_can_be_given_again(text):
    timespan = range_between(text, None)
    assert format_time(timespan.begin) == text
    assert range_between(format_time(timespan.begin), None) == timespan


@pytest.mark.parametrize(
    ("begin", "end", "text"),
    [
        (None, None, "always"),
        ("2026-07-20", None, "from 2026-07-20T00:00:00 UTC"),
        (None, "2026-07-20", "until 2026-07-20T00:00:00 UTC"),
        ("2026-07-19", "2026-07-20", "from 2026-07-19T00:00:00 until 2026-07-20T00:00:00 UTC"),
    ],
)
def test_ranges_are_shown_in_words(begin, end, text):
    assert range_text(range_between(begin, end)) == text


@pytest.mark.parametrize("end", ["2026-07-20", "2026-07-19"])
def test_empty_range_is_refused(end):
    with pytest.raises(ParameterError, match=f"The range from 2026-07-20 to {end} is empty; expected a begin before"):
        range_between("2026-07-20", end)


def test_releases_follow_each_other_without_gap_or_overlap():
    spans = list(release_ranges().values())
    assert [before.end == after.begin for before, after in pairwise(spans)] == [True]
    assert range_text(spans[0]) == "from 2025-04-24T00:00:00 until 2026-07-20T00:00:00 UTC"
    assert spans[-1].end is None


def test_only_releases_that_others_do_not_hold_have_a_time_and_tokens():
    assert list(release_spans()) == ["qr2", "qr3"]
    assert not calibration_tokens("qr1")
    tokens = calibration_tokens("qr2") | calibration_tokens("qr3")
    assert {str(ProcessingToken.parse(token)) for token in tokens} == tokens
    with pytest.raises(ParameterError, match="There is no release 'qr9'"):
        calibration_tokens("qr9")


def test_rank_is_that_of_the_token_and_none_for_other_runs():
    assert (
        token_rank("spx/cal-swcs-v5-2026-191") > token_rank("spx/cal-wcs-v4-2025-254") > token_rank("spx/base-2025-158")
    )
    assert token_rank("u/me/darks") is None
    assert (token_of("spx/base-2025-158"), token_of("u/me/darks")) == ("base-2025-158", "u/me/darks")
