import numpy as np
import pytest

from hemoscope.measurement import area_mm2, area_px
from hemoscope.phantom import Bleed, make_phantom


def test_area_of_a_rectangle():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:7] = True
    assert area_px(mask) == 12
    assert area_mm2(mask, (0.5, 0.4)) == pytest.approx(12 * 0.2)


def test_area_without_spacing_is_unknown():
    assert area_mm2(np.ones((2, 2), bool), None) is None


def test_area_of_nothing_is_zero():
    assert area_mm2(np.zeros((2, 2), bool), (0.5, 0.5)) == 0


def test_areas_of_the_phantom_add_up_to_its_volume():
    phantom = make_phantom([Bleed("intraparenchymal", 20)], slices=8, rows=128, columns=128, spacing_mm=1.8)
    area = area_mm2(phantom.labels > 0, phantom.scan.spacing_mm)
    assert area * 5.0 / 1000 == pytest.approx(20, abs=0.5 * phantom.geometry.voxel_ml)
