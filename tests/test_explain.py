"""Heat maps: relative to their largest value, on the scan's own grid, made when asked for."""

import numpy as np
import pytest

from hemoscope.explain import HeatMaps
from hemoscope.labels import CLASSES
from hemoscope.preprocessing import Placement

# The network saw the whole of a scan of 32 x 32 pixels; its maps have 2 x 2 values.
WHOLE = Placement(0, 0, 32, 32, 32, 32, 16)


def maps(placement=WHOLE, **values):
    cams = np.zeros((2, 2, 6), np.float32)
    for name, value in values.items():
        cams[..., CLASSES.index(name)] = value
    return HeatMaps(cams, placement, CLASSES)


def test_every_class_has_a_map_in_order():
    found = maps()
    assert list(found) == list(CLASSES)
    assert len(found) == 6


def test_a_map_is_relative_to_its_own_largest_value():
    found = maps(any=[[0, 8], [2, 0]], subdural=[[0, 0.001], [0.00025, 0]])
    for name in ("any", "subdural"):
        heat = found[name]
        assert heat.dtype == np.float32
        assert heat.shape == (32, 32)
        corners = heat[0, 0], heat[0, -1], heat[-1, 0], heat[-1, -1]
        assert corners == pytest.approx((0, 1, 0.25, 0))


def test_a_map_runs_smoothly_between_its_values():
    row = maps(any=[[0, 1], [0, 1]])["any"][16]
    assert (np.diff(row) >= 0).all()
    # The values stand at the middles of their halves, 7.5 and 23.5; half way between them it is half.
    assert row[7] == pytest.approx(0, abs=0.01)
    assert (row[15] + row[16]) / 2 == pytest.approx(0.5)
    assert row[24] == pytest.approx(1, abs=0.01)


def test_nothing_speaks_for_a_class_nothing_is_hot():
    assert not maps(any=[[1, 1], [1, 1]])["epidural"].any()


def test_outside_of_what_the_network_saw_there_is_no_heat():
    found = maps(Placement(-4, 10, 16, 16, 20, 40, 16), any=[[1, 1], [1, 1]])["any"]
    assert found.shape == (20, 40)
    assert (found[:12, 10:26] == 1).all()
    assert found.sum() == 12 * 16


def test_asking_twice_gives_the_same_and_changing_one_leaves_the_other():
    found = maps(any=[[0, 8], [2, 0]])
    first = found["any"]
    first[:] = 7
    assert found["any"].max() == 1


def test_an_unknown_class_has_no_map():
    with pytest.raises(KeyError):
        maps()["fracture"]
    assert "fracture" not in maps()
