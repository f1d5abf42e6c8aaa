"""Thin slices averaged to slabs and back."""

import numpy as np
import pytest

from hemoscope.studies import Slabs, slabs_of


@pytest.mark.parametrize(
    ("gap_mm", "count", "each"), [(1.0, 20, 5), (0.625, 32, 8), (1.25, 8, 4), (2.4, 8, 2), (0.5, 40, 10)]
)
def test_slabs_come_near_to_five_millimetres(gap_mm: float, count: int, each: int) -> None:
    slabs = slabs_of([gap_mm * number for number in range(count)])
    assert slabs is not None
    assert slabs.of_slice == tuple(number // each for number in range(count))
    assert slabs.slices(1) == range(each, 2 * each)


@pytest.mark.parametrize("heights", [[0.0], [0, 2.5, 5], [0, 5, 10]])
def test_slices_that_are_not_thin_stay(heights: list[float]) -> None:
    assert slabs_of(heights) is None


@pytest.mark.parametrize(("count", "last"), [(11, 6), (12, 7), (13, 3), (14, 4)])
def test_a_rest_is_a_slab_where_it_is_half_of_one(count: int, last: int) -> None:
    slabs = slabs_of([float(number) for number in range(count)])
    assert slabs is not None
    assert len(slabs.slices(len(slabs) - 1)) == last


def test_nothing_is_averaged_across_missing_slices() -> None:
    slabs = slabs_of([0, 1, 2, 3, 4, 5, 9, 10, 11, 12])
    assert slabs is not None
    assert slabs.of_slice == (0, 0, 0, 0, 0, 0, 1, 1, 1, 1)


def test_a_mask_of_slabs_lies_on_all_their_slices() -> None:
    masks = np.array([[[True]], [[False]]])
    assert Slabs((0, 0, 1)).on_slices(masks)[:, 0, 0].tolist() == [True, True, False]


def test_slabs_without_any_slice_are_gone() -> None:
    assert Slabs((0, 0, 1, 1, 2)).without((2, 3)) == Slabs((0, 0, 1))
    assert Slabs((0, 0, 1)).without((0,)) == Slabs((0, 1))
