"""Counts of images and exposures: what plain queries give, in few statements, whatever there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy
from lsst.daf.butler import Butler, CollectionType
from made_once import new_repo
from missions import IMAGES, NEW, OLD, register_mission

import spherex_butler
from spherex_butler.repository.butler_internals import image_tables
from spherex_butler.search.inventory import exposure_counts, image_counts, images_found_first


@pytest.fixture(scope="module")
def butler() -> Iterator[Butler]:
    with new_repo() as butler:
        register_mission(butler)
        yield butler


def test_images_are_counted_by_run_planning_period_and_detector(butler):
    expected: Counter[tuple[object, ...]] = Counter()
    with butler.query() as query:
        for ref in query.datasets(
            "level2", butler.collections.query("*", CollectionType.RUN), find_first=False
        ).with_dimension_records():
            expected[ref.run, ref.dataId["planning_period"], ref.dataId["detector"]] += 1
    found = image_counts(butler, image_tables(butler))
    assert {(one.run, one.planning_period, one.detector): one.images for one in found} == expected
    assert sum(expected.values()) == 3 * IMAGES + 50
    assert [(one.run, one.planning_period, one.detector) for one in found] == sorted(expected)


def test_exposures_are_counted_with_their_times(butler):
    records = list(butler.query_dimension_records("exposure"))
    found = exposure_counts(butler, image_tables(butler))
    assert [one.planning_period for one in found] == ["2025W18_1A", "2025W18_2A", "2025W19_1A"]
    for one in found:
        spans = [record.timespan for record in records if record.planning_period == one.planning_period]
        assert one.exposures == len(spans) == IMAGES // 6
        assert (one.begin, one.end) == (min(span.begin for span in spans), max(span.end for span in spans))


def test_newer_processings_are_found_first(butler):
    runs = Counter(ref.run for ref in butler.query_datasets("level2", "SPHEREx/defaults", find_first=True))
    assert images_found_first(butler, image_tables(butler)) == runs
    assert (runs[NEW], runs[OLD]) == (50, IMAGES - 50)


def test_images_that_are_found_in_a_collection_that_tags_them_are_of_their_runs():
    with new_repo() as butler:
        register_mission(butler, periods=1)
        chosen = butler.query_datasets("level2", OLD, limit=7)
        butler.collections.register("u/good", CollectionType.TAGGED)
        butler.registry.associate("u/good", chosen)
        butler.collections.prepend_chain("SPHEREx/defaults", "u/good")
        runs = Counter(ref.run for ref in butler.query_datasets("level2", "SPHEREx/defaults", find_first=True))
        assert images_found_first(butler, image_tables(butler)) == runs
        counted = Counter(one.run for one in image_counts(butler, image_tables(butler)) for _ in range(one.images))
        assert "u/good" not in counted


def test_empty_repository_has_none():
    with new_repo() as butler:
        tables = image_tables(butler)
        assert image_counts(butler, tables) == exposure_counts(butler, tables) == []
        assert not images_found_first(butler, tables)


def test_a_summary_takes_as_many_statements_for_five_processings_as_for_one():
    assert _statements(periods=1, again=0, newest=0) == _statements(periods=4, again=50, newest=30)


def _statements(**mission: int) -> int:
    found: list[object] = []
    with new_repo() as butler:
        register_mission(butler, **mission)
        engine = butler._registry._db._engine
        sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *given: found.append(given[2]))
        spherex_butler.summary(butler)
    return len(found)
