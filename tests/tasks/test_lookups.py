"""The exposure before: which one it is, and how little the database is asked for it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import astropy.units as u
import pytest
import sqlalchemy
from lsst.daf.butler import CollectionType
from sky_images import make_frame, register_frames

from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.tasks import previous_exposure
from spherex_butler.testing.observations import Observation

FIRST = Observation.parse("2025W51_1A_0684_1")


def observations(number):
    """Return some observations in sequence, three a large slew."""
    found = [FIRST]
    while len(found) < number:
        found.append(found[-1].following())
    return found


@pytest.fixture
def scan(butler):
    """Return a repository with seven exposures of detector 3, and of detector 5 all but the second."""
    frames = [
        make_frame(obs_id=str(observation), detector=detector)
        for number, observation in enumerate(observations(7))
        for detector in (3, 5)
        if (number, detector) != (1, 5)
    ]
    register_frames(butler, *frames)
    return butler


def exposure_of(number):
    return observations(number + 1)[-1].expidn(0) // 10


def before(butler, number, detector=3, collections=("SPHEREx/defaults",), **options):
    """Return the numbers of the exposures that are found for one."""
    data_id = butler.registry.expandDataId(instrument="SPHEREx", exposure=exposure_of(number), detector=detector)
    level2 = butler.get_dataset_type("level2")
    refs = previous_exposure(level2, butler.registry, data_id, collections, **options)
    assert {ref.dataId["detector"] for ref in refs} <= {detector}
    ids = [exposure_of(number) for number in range(7)]
    return [ids.index(ref.dataId["exposure"]) for ref in refs]


def test_it_is_the_one_before_in_the_large_slew(scan):
    assert [before(scan, number) for number in range(7)] == [[], [0], [1], [], [3], [4], []]


def test_within_a_gap_it_may_be_of_another_slew(scan):
    assert before(scan, 3, gap=5 * u.min) == [2]
    assert before(scan, 3, gap=timedelta(minutes=5)) == [2]
    assert before(scan, 3, gap=10 * u.s) == []


def test_gap_is_from_the_end_to_the_begin(scan):
    # Small slews begin 128.95 s after each other, and exposures take 115.1 s.
    assert before(scan, 1, gap=13 * u.s) == []
    assert before(scan, 1, gap=14 * u.s) == [0]


def test_exposure_without_an_image_of_the_detector_is_passed_over(scan):
    assert before(scan, 2, detector=5) == [0]
    assert before(scan, 2, detector=5, gap=100 * u.s) == []


def test_first_collection_counts(scan):
    level2 = scan.get_dataset_type("level2")
    (archived,) = scan.query_datasets(level2, exposure=exposure_of(0), detector=3)
    scan.collections.register("tagged", CollectionType.TAGGED)
    scan.registry.associate("tagged", [archived])
    assert before(scan, 1, collections=("tagged", "SPHEREx/defaults")) == [0]
    assert before(scan, 2, collections=("tagged",)) == [0]


def test_long_gaps_reach_back_over_windows_of_time(butler):
    register_frames(butler, *(make_frame(obs_id=obs_id, detector=3) for obs_id in ("2025W50_1A_0001_1", str(FIRST))))
    data_id = butler.registry.expandDataId(instrument="SPHEREx", exposure=exposure_of(0), detector=3)
    look_up = partial(previous_exposure, butler.get_dataset_type("level2"), butler.registry, data_id, ["SPHEREx/qr2"])
    assert look_up(gap=5 * u.day) == []
    assert [ref.dataId["exposure"] for ref in look_up(gap=12 * u.day)] == [20255010100011]


def test_data_id_need_not_have_records(scan):
    data_id = {"instrument": "SPHEREx", "exposure": exposure_of(1), "detector": 3}
    plain = scan.query_datasets("level2", data_id=data_id)[0].dataId
    assert not plain.hasRecords()
    level2 = scan.get_dataset_type("level2")
    assert len(previous_exposure(level2, scan.registry, plain, ["SPHEREx/defaults"])) == 1


def test_database_is_asked_once_for_many_exposures(scan):
    asked = []
    clone = scan.clone()  # a graph builder makes one for each graph
    sqlalchemy.event.listen(
        scan._registry._db._engine, "before_cursor_execute", lambda *said: asked.append(said[2]), named=False
    )
    before(clone, 1)
    first = [text for text in asked if "SELECT" in text and ("dataset" in text or "timespan" in text)]
    asked.clear()
    for number in range(7):
        before(clone, number)
        before(clone, number, detector=5)
    assert len(first) > 0
    assert not [text for text in asked if "static" in text or "dataset_tags" in text]


def test_new_butler_sees_new_images(scan):
    assert before(scan, 1) == [0]
    register_frames(scan, make_frame(obs_id=str(observations(8)[-1]), detector=3))
    data_id = scan.registry.expandDataId(instrument="SPHEREx", exposure=exposure_of(7), detector=3)
    level2 = scan.get_dataset_type("level2")
    (ref,) = previous_exposure(level2, scan.clone().registry, data_id, ["SPHEREx/defaults"])
    assert ref.dataId["exposure"] == exposure_of(6)


def test_what_has_no_exposure_before_is_refused(scan):
    dark, level2 = scan.get_dataset_type("dark"), scan.get_dataset_type("level2")
    data_id = scan.registry.expandDataId(instrument="SPHEREx", exposure=exposure_of(1), detector=3)
    with pytest.raises(ParameterError, match="type dark is of instrument, detector; expected one of instrument"):
        previous_exposure(dark, scan.registry, data_id, ["SPHEREx/defaults"])
    for gap, message in ((5, "gap=5 is no time"), (-1 * u.s, "gap=.* is out of range"), (2 * u.yr, "out of range")):
        with pytest.raises(ParameterError, match=message):
            previous_exposure(level2, scan.registry, data_id, ["SPHEREx/defaults"], gap=gap)
    with pytest.raises(ConfigurationError, match="no registry of a Butler"):
        previous_exposure(level2, None, data_id, ["SPHEREx/defaults"])
