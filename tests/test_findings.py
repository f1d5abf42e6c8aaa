"""What a slice's findings show, and what they keep."""

import numpy as np
import pytest

from hemoscope.findings import Finding, SliceFindings
from hemoscope.labels import CLASSES


def marked(finding: Finding) -> SliceFindings:
    """A slice of six pixels, all blood of the first subtype."""
    mask = np.ones((2, 3), np.bool_)
    pixels = mask.astype(np.float32)
    return SliceFindings(dict.fromkeys(CLASSES, 0.5), finding, mask, pixels, {}, 6, 1.5, mask.astype(np.uint8))


def test_masks_go_and_the_rest_of_a_slice_stays() -> None:
    before = marked("uncertain")
    after = before.without_mask()
    assert after.mask is not None and after.subtype_map is not None
    assert not after.mask.any() and not after.subtype_map.any()
    assert (after.area_px, after.area_mm2) == (0, 0.0)
    assert (after.finding, after.probabilities) == (before.finding, before.probabilities)
    assert after.mask_probability is before.mask_probability
    assert before.mask is not None and before.mask.all()  # what was handed in is as it was


@pytest.mark.parametrize(("finding", "area_px"), [("none", 0), ("uncertain", 6), ("hemorrhage", 6)])
def test_only_a_slice_with_a_finding_shows_its_mask(finding: Finding, area_px: int) -> None:
    assert marked(finding).shown.area_px == area_px


def test_a_slice_of_a_model_that_gives_no_mask_shows_none() -> None:
    found = SliceFindings(dict.fromkeys(CLASSES, 0.1), "none", None, None, {}, None, None)
    assert found.shown is found
