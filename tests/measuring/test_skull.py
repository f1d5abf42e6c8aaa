from math import hypot

import numpy as np
import pytest

from hemoscope.measuring.skull import inside_skull, skull, table_distance_mm
from hemoscope.phantom import make_phantom
from tests.measuring.readings import disc


def head(rows=200, columns=200):
    """A ring of bone from 70 to 80 pixels around the middle, brain inside, air outside."""
    middle = (rows // 2, columns // 2)
    hu = np.full((rows, columns), -1000, np.float32)
    hu[disc(rows, columns, middle, 80)] = 1000
    hu[disc(rows, columns, middle, 70)] = 30
    return hu


def test_the_gap_to_the_inner_table_by_hand():
    mask = np.zeros((200, 200), bool)
    mask[100, 140:151] = True
    # The nearest bone is 20 columns to the right and a row up, and between two pixels is one less than they are apart.
    assert table_distance_mm(mask, head(), (0.5, 0.5)) == pytest.approx((hypot(20, 1) - 1) * 0.5)


def test_blood_at_the_bone_has_no_gap():
    mask = np.zeros((200, 200), bool)
    mask[98:103, 160:171] = True
    assert table_distance_mm(mask, head(), (0.5, 0.5)) == 0


def test_gaps_between_pixels_that_are_not_square():
    hu = head(100, 200)  # the ring lies outside the picture above and below, so it is made anew
    y, x = np.mgrid[:100, :200]
    away = np.hypot((y - 50) * 2, x - 100)
    hu = np.where(away > 90, -1000, np.where(away > 75, 1000, 30)).astype(np.float32)
    mask = np.zeros((100, 200), bool)
    mask[30:33, 100] = True  # bone begins 37.5 rows above the middle: row 12; 17 rows of 1 mm lie between
    assert table_distance_mm(mask, hu, (1.0, 0.5)) == pytest.approx(17, abs=0.6)


def test_calcifications_are_not_skull():
    hu = head()
    hu[95:105, 95:105] = 600
    mask = np.zeros((200, 200), bool)
    mask[100, 110:120] = True
    assert not skull(hu)[100, 100]
    assert table_distance_mm(mask, hu, (1.0, 1.0)) == pytest.approx(hypot(51, 1) - 1)


def test_without_a_skull_there_is_no_distance():
    hu = np.full((100, 100), 30, np.float32)
    mask = disc(100, 100, (50, 50), 5)
    assert skull(hu) is None
    assert inside_skull(hu) is None
    assert table_distance_mm(mask, hu, (1.0, 1.0)) is None


def test_the_inside_of_the_phantoms_skull_is_the_brain():
    phantom = make_phantom(slices=1, rows=256, columns=256, spacing_mm=0.9, noise_hu=0)
    inside = inside_skull(phantom.scan.hu[0])
    # An ellipse a little fuller than one of 66 x 83 mm, shrunk by its height of 20 mm of 78.
    ellipse_mm2 = np.pi * 66 * 83 * (1 - (20 / 78) ** 2)
    assert inside.sum() * 0.81 == pytest.approx(1.04 * ellipse_mm2, rel=0.06)
