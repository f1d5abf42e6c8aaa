from math import pi, sqrt

import numpy as np
import pytest

from hemoscope.measuring.volumes import NOTHING, Section, volume
from tests.measuring.readings import disc


def test_the_volume_is_the_sum_of_area_times_extent():
    sections = [Section(100.0, 0.0), Section(300.0, 0.0), NOTHING]
    assert volume(sections, [5.0, 2.0, 4.0], (0.5, 0.5)).ml == pytest.approx(1.1)


def test_a_section_by_hand():
    mask = np.zeros((6, 8), bool)
    mask[2:4, 0:5] = True  # at the picture's edge too there is an outline
    section = Section.of(mask, (0.5, 0.4))
    assert section.area_mm2 == pytest.approx(10 * 0.2)
    # 2 + 2 edges of 0.5 mm, 5 + 5 of 0.4 mm, and staircases count pi / 4.
    assert section.outline_mm == pytest.approx((4 * 0.5 + 10 * 0.4) * pi / 4)


def test_the_outline_of_a_disc_is_its_circumference():
    assert Section.of(disc(90, 90, (45, 44.5), 36), (0.5, 0.5)).outline_mm == pytest.approx(2 * pi * 18, rel=0.02)


def test_the_uncertainty_of_the_border_is_half_a_pixel_along_the_outline():
    # Areas that grow and shrink evenly: 3 * (1 + 4 + 9 + 4 + 1) - 4 * (2 + 6 + 6 + 2) + (3 + 4 + 3) = 3.
    areas, outline = (100.0, 200.0, 300.0, 200.0, 100.0), 40.0
    found = volume([Section(area, outline) for area in areas], [5.0] * 5, (0.8, 0.2))
    border_ml = 0.2 * outline * 5 * 5 / 1000
    sampling_ml = sqrt(3 / 12) * 100 * 5 / 1000
    assert found.uncertainty_ml == pytest.approx(sqrt(border_ml**2 + (2 * sampling_ml) ** 2))


def test_a_bleed_on_one_slice_is_known_to_its_own_size():
    found = volume([Section(200.0, 0.0)], [5.0], (0.5, 0.5))
    assert found.ml == pytest.approx(1)
    assert found.uncertainty_ml == pytest.approx(1)  # twice the root of 3 / 12


def test_nothing_is_nothing_for_sure():
    found = volume([NOTHING, NOTHING], [5.0, 5.0], (0.5, 0.5))
    assert (found.ml, found.uncertainty_ml) == (0, 0)


@pytest.mark.parametrize("radii_mm", [(16.0, 16.0, 16.0), (9.0, 14.0, 12.0), (25.0, 20.0, 18.0)])
@pytest.mark.parametrize("step_mm", [2.5, 5.0])
def test_an_ellipsoid_lies_within_the_uncertainty_wherever_the_slices_lie(radii_mm, step_mm):
    true_ml = 4 / 3 * pi * np.prod(radii_mm) / 1000
    spacing = 0.45
    y, x = (np.mgrid[:130, :130] - 64.3) * spacing
    for start in np.linspace(0, step_mm, 7):
        z = np.arange(-30 + start, 30, step_mm)
        masks = [(x / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2 + (each / radii_mm[2]) ** 2 <= 1 for each in z]
        found = volume([Section.of(mask, (spacing, spacing)) for mask in masks], [step_mm] * len(z), (spacing, spacing))
        assert found.ml == pytest.approx(true_ml, rel=0.03)
        assert abs(found.ml - true_ml) < found.uncertainty_ml < 0.25 * true_ml


def test_the_uncertainty_covers_masks_that_are_half_a_pixel_too_small_or_too_large():
    spacing, radius, step_mm = 0.45, 12.0, 5.0
    true_ml = 4 / 3 * pi * radius**3 / 1000
    y, x = (np.mgrid[:80, :80] - 39.7) * spacing
    for wrong_mm in (-spacing / 2, spacing / 2):
        reach = [sqrt(max(radius**2 - z**2, 0)) for z in np.arange(-30, 31, step_mm)]
        masks = [np.hypot(x, y) <= each + wrong_mm if each else np.zeros_like(x, bool) for each in reach]
        found = volume([Section.of(mask, (spacing, spacing)) for mask in masks], [step_mm] * 13, (spacing, spacing))
        assert 0 < abs(found.ml - true_ml) < found.uncertainty_ml
