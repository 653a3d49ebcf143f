"""Numbers in words are those that people write."""

from __future__ import annotations

import pytest

from spherex_butler.summaries import number_of, percent_of


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "0.0%"),
        (0, 9, "0.0%"),
        (1, 49_152, "0.0020%"),
        (1, 3_145_728, "0.000032%"),
        (1, 1000, "0.1%"),
        (1, 3, "33.3%"),
        (99_999, 100_000, "99.9%"),
        (9, 9, "100.0%"),
    ],
)
def test_little_is_not_nothing_and_most_is_not_all(part, whole, expected):
    assert percent_of(part, whole) == expected


def test_one_is_singular():
    assert [number_of(count, "image") for count in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
