"""The sums about midlines, beside the correlation of the mirrored pixels themselves."""

import numpy as np
import pytest

from hemoscope.measuring.straightening import MIDDLE, SIDE, Straight
from hemoscope.measuring.symmetry import REACH_MM, Sides


def slice_of(hu, brain=None):
    inside = np.zeros((SIDE, SIDE), bool)
    inside[40:200, 50:190] = True
    known = inside if brain is None else brain
    return Straight(0, 0.0, 50.0, hu.astype(np.float32), known.astype(np.float32), inside, np.eye(2, 3))


def at(sides, column):
    """The symmetry about one straight midline."""
    x = np.full((1, 1, sides.rows.shape[1]), column, np.float32)
    return sides.symmetries(np.array([0]), x).item()


def correlation(hu, column):
    """Of the pixels on both sides of a whole column, in the compared rows; each pair counts both ways."""
    right = hu[41:199:2, column + 1 : column + REACH_MM + 1]
    left = hu[41:199:2, column - REACH_MM : column][:, ::-1]
    pairs = np.concatenate([left.ravel(), right.ravel()]), np.concatenate([right.ravel(), left.ravel()])
    return np.corrcoef(*pairs)[0, 1]


def test_the_sums_give_the_correlation_of_the_mirrored_pixels():
    hu = np.random.default_rng(0).uniform(0, 60, (SIDE, SIDE))
    hu[:, : int(MIDDLE)] = (hu[:, : int(MIDDLE)] + 2 * hu[:, : int(MIDDLE) : -1]) / 3
    sides = Sides([slice_of(hu)])
    for column in (int(MIDDLE), 107, 135):
        assert at(sides, column) == pytest.approx(correlation(hu, column), abs=1e-4)


def test_what_is_no_brain_does_not_count():
    hu = np.random.default_rng(1).uniform(0, 60, (SIDE, SIDE))
    hu[:, : int(MIDDLE)] = hu[:, : int(MIDDLE) : -1]
    brain = np.ones((SIDE, SIDE))
    hu[90:140, 105:115], brain[90:140, 105:115] = 60, 0
    assert at(Sides([slice_of(hu, brain)]), MIDDLE) == pytest.approx(1, abs=1e-4)
    assert at(Sides([slice_of(hu)]), MIDDLE) < 0.9


@pytest.mark.parametrize("column", [30, MIDDLE - 400])
def test_where_too_little_is_known_there_is_no_symmetry(column):
    assert at(Sides([slice_of(np.full((SIDE, SIDE), 30.0))]), column) == -1


def test_a_slice_of_fewer_rows_has_the_same_symmetry_beside_a_larger_one():
    hu = np.random.default_rng(2).uniform(0, 60, (SIDE, SIDE))
    large, small = slice_of(hu), slice_of(hu)
    small.inside[:100] = False
    alone, both = Sides([small]), Sides([large, small])
    x = np.full((1, 1, both.rows.shape[1]), MIDDLE, np.float32)
    assert both.symmetries(np.array([1]), x).item() == pytest.approx(at(alone, MIDDLE))
