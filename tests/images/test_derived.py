"""An attribute follows from others until it is assigned."""

from __future__ import annotations

import pytest

from spherex_butler.images.derived import DERIVED, Derived


def positive(_, value):
    if value is not None and value < 0:
        raise ValueError(f"{value} is negative")
    return value


class Square:
    def __init__(self, side):
        self.side = side
        self.computed = 0

    @Derived.checked(positive)
    def area(self):
        """Area of the square."""
        self.computed += 1
        return self.side**2


@pytest.fixture
def square():
    return Square(3)


def test_value_is_computed_once(square):
    assert (square.area, square.area, square.computed) == (9, 9, 1)


@pytest.mark.parametrize("value", [5, None])
def test_assigned_value_takes_its_place_until_it_is_deleted(square, value):
    assert Square.area.assigned(square) is DERIVED
    square.area = value
    assert (square.area, Square.area.assigned(square), square.computed) == (value, value, 0)
    del square.area
    assert (square.area, square.computed) == (9, 1)


def test_value_that_the_check_refuses_is_not_assigned(square):
    with pytest.raises(ValueError, match="-1 is negative"):
        square.area = -1
    assert square.area == 9


def test_forgotten_value_is_computed_again_and_a_kept_one_is_not_computed(square):
    assert square.area == 9
    square.side = 4
    Square.area.forget(square)
    assert square.area == 16
    Square.area.keep(square, 7)
    assert (square.area, square.computed) == (7, 2)


def test_class_tells_what_it_is():
    assert Square.area.__doc__ == "Area of the square."
