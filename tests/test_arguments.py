"""Arguments that make no sense are refused by name, whatever their type."""

from __future__ import annotations

import numpy as np
import pytest

from spherex_butler.archive import ingest_archive_table
from spherex_butler.arguments import detectors_given, exposures_given, require_number, require_text
from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files, plan_files
from spherex_butler.search import coverage, find_images, get_cutouts, observations


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers_pass(value):
    require_number("processes", value, most=7)


@pytest.mark.parametrize("value", [0, -1, 8, "2", 2.0, None, True, np.float64(3), [2]])
def test_anything_else_is_refused_by_name(value):
    with pytest.raises(ParameterError) as raised:
        require_number("processes", value, most=7)
    assert str(raised.value) == f"processes={value!r} is not possible; expected a whole number from 1 to 7."


@pytest.mark.parametrize("given", [3, np.int64(3), [3], (3, 3), {3}, iter([3]), np.array([3])])
def test_one_detector_is_as_good_as_several(given):
    (found,) = detectors_given(given)
    assert (found, type(found)) == (3, int)


def test_no_detectors_and_all_are_not_the_same():
    assert detectors_given(None) is None
    assert detectors_given([]) == frozenset()


@pytest.mark.parametrize(
    "given",
    [20255110106842, np.int64(20255110106842), "2025W51_1A_0684_2", ["20255110106842"], np.array([20255110106842])],
)
def test_one_exposure_is_as_good_as_several(given):
    (found,) = exposures_given(given)
    assert (found, type(found)) == (20255110106842, int)
    assert exposures_given(None) is None
    assert exposures_given([]) == frozenset()


@pytest.mark.parametrize("given", [20255110106842.5, "D3", True, [None], 10**20, "9" * 5000])
def test_what_is_no_exposure_is_refused(given):
    with pytest.raises(ParameterError, match=r"There is no exposure .*; expected an exposure id such as 2025511010"):
        exposures_given(given)


def test_what_is_no_text_is_refused_by_name():
    require_text("survey", None, "all_sky")
    require_text("survey", "deep", "all_sky")
    with pytest.raises(ParameterError, match=r"^survey=3 is not possible; expected one text such as 'all_sky'\.$"):
        require_text("survey", 3, "all_sky")


@pytest.mark.parametrize(
    ("given", "expected"), [(3, {3}), ("D3", {3}), ("3", {3}), (["D3", 4], {3, 4}), (np.int64(6), {6}), (None, None)]
)
def test_detectors_may_be_numbers_or_names(given, expected):
    assert detectors_given(given) == expected


@pytest.mark.parametrize(
    ("given", "words"), [("D7", "7"), ("red", "red"), ([1, 9], "9"), (0, "0"), (2.5, "2.5"), ([[3]], r"\[3\]")]
)
def test_detector_that_does_not_exist_is_refused(given, words):
    with pytest.raises(ParameterError, match=rf"There is no detector {words}; expected numbers from 1 to 6, or 'D1'"):
        detectors_given(given)


@pytest.mark.parametrize(
    "call",
    [
        lambda butler: find_images(butler, "1 2", limit="x"),
        lambda butler: observations(butler, limit=2.5),
        lambda butler: get_cutouts(butler, [], 5, connections="16"),
        lambda butler: ingest_files(butler, [], processes="2"),
        lambda butler: ingest_files(butler, [], batch_size=None),
        lambda butler: ingest_archive_table(butler, "none.csv", processes="2"),
        lambda _: plan_files([], processes=2.0),
    ],
)
def test_functions_refuse_what_is_no_number(butler, call):
    with pytest.raises(ParameterError, match="is not possible; expected a whole number"):
        call(butler)


@pytest.mark.parametrize(
    "call",
    [
        lambda butler: find_images(butler, "1 2", detectors="D9"),
        lambda butler: observations(butler, detectors=7),
        lambda butler: coverage(butler, detectors=[0]),
    ],
)
def test_functions_refuse_detectors_that_do_not_exist(butler, call):
    with pytest.raises(ParameterError, match="There is no detector"):
        call(butler)
