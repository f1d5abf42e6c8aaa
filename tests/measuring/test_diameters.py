from math import hypot

import numpy as np
import pytest

from hemoscope.measuring.diameters import diameters
from tests.measuring.readings import disc


def test_a_row_of_pixels_is_as_long_as_its_pixels():
    mask = np.zeros((5, 12), bool)
    mask[2, 3:10] = True
    found = diameters(mask, (0.5, 0.4))
    assert found.largest_mm == pytest.approx(7 * 0.4)
    assert found.across_mm == pytest.approx(0.5)
    assert sorted(found.ends_px) == [(2, 2.5), (2, 9.5)]


def test_one_pixel_has_a_diameter():
    mask = np.zeros((3, 3), bool)
    mask[1, 1] = True
    assert diameters(mask, (0.6, 0.5)).largest_mm == pytest.approx(0.6)


@pytest.mark.parametrize("centre", [(30, 30), (30.4, 29.7)])
def test_a_disc_has_its_diameter_in_all_directions(centre):
    found = diameters(disc(60, 60, centre, 24), (0.5, 0.5))
    assert found.largest_mm == pytest.approx(24, abs=0.5)
    assert found.across_mm == pytest.approx(24, abs=0.5)


def test_an_ellipse_that_lies_askew():
    y, x = np.mgrid[:100, :100] * 0.5 - 25.0
    along, across = (x + y) / 2**0.5, (x - y) / 2**0.5
    found = diameters((along / 20) ** 2 + (across / 8) ** 2 <= 1, (0.5, 0.5))
    assert found.largest_mm == pytest.approx(40, abs=0.5)
    assert found.across_mm == pytest.approx(16, abs=0.7)
    (top, left), (bottom, right) = sorted(found.ends_px)
    assert (bottom - top) == pytest.approx(right - left, abs=6)  # an ellipse's end is round


def test_pixels_that_are_not_square_are_measured_in_millimetres():
    mask = np.ones((10, 10), bool)
    found = diameters(mask, (1.0, 0.2))
    # From the middle of one edge pixel's outer side to the opposite corner's.
    assert found.largest_mm == pytest.approx(hypot(10, 1.8), abs=0.01)


def test_a_crescent_is_as_long_as_the_line_between_its_tips():
    crescent = disc(120, 120, (60, 60), 50) & ~disc(120, 120, (60, 75), 50)
    found = diameters(crescent, (0.5, 0.5))
    rows = np.flatnonzero(crescent.any(axis=1))
    assert found.largest_mm == pytest.approx((rows[-1] - rows[0] + 1) * 0.5, rel=0.03)
