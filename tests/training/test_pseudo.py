"""Blood inside boxes: bright tissue inside the skull becomes blood, and what cannot be told stays a box."""

from dataclasses import replace

import numpy as np
import pytest

from hemoscope.scan import Scan, Window
from training.datasets import load_samples
from training.datasets.pseudo import outline_boxes
from training.datasets.sample import BLOOD, IN_BOX, NO_BLOOD, NOT_KNOWN, Box

SIDE = 260
BOX = Box(100, 100, 160, 160)
WIDE = Window(40, 120)


def head(window=WIDE, blood=65.0, scalp=None):
    """A disc of brain in a ring of bone, a square of blood inside; `scalp` is a bright patch outside the skull."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    radius = np.hypot(y, x)
    hu = np.full((SIDE, SIDE), -1000.0, np.float32)
    hu[radius < 118] = 20
    hu[radius < 110] = 1000
    hu[radius < 95] = 30
    hu[120:140, 120:140] = blood
    if scalp is not None:
        hu[115:145, 8:19] = scalp
    if window is None:
        return Scan(hu[None], calibrated=True)
    return Scan(np.clip(hu, window.lowest_hu, window.highest_hu)[None], calibrated=False, window=window)


def boxed(*boxes):
    target = np.full((SIDE, SIDE), NO_BLOOD, np.uint8)
    for box in boxes:
        target[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = IN_BOX
    return target


@pytest.mark.parametrize("window", [WIDE, None])
def test_the_bright_part_of_a_box_is_blood_and_its_rest_is_not(window):
    before = boxed(BOX)
    target = outline_boxes(head(window), before, [BOX])
    assert (target[122:138, 122:138] == BLOOD).all()
    blood = target == BLOOD
    assert blood.sum() == pytest.approx(400, rel=0.2)  # 20 x 20 pixels, and some of their smoothed edge
    assert not blood[:117].any() and not blood[:, :117].any()
    assert (target[100:112, 100:160] == NO_BLOOD).all()
    assert (target == NOT_KNOWN).any()  # the border between both
    assert (before == boxed(BOX)).all()


@pytest.mark.parametrize(
    "scan",
    [
        head(blood=35.0),  # nothing stands out
        head(Window(40, 80)),  # blood and bone may look the same
        Scan(np.full((1, SIDE, SIDE), 30, np.float32), calibrated=True),  # no skull
    ],
)
def test_a_box_that_cannot_be_resolved_stays_a_box(scan):
    assert (outline_boxes(scan, boxed(BOX), [BOX]) == boxed(BOX)).all()


def test_a_swollen_scalp_is_not_blood():
    box = Box(5, 100, 160, 160)
    target = outline_boxes(head(scalp=60.0), boxed(box), [box])
    assert (target[122:138, 122:138] == BLOOD).all()
    assert not (target[:, :30] == BLOOD).any()


def test_overlapping_boxes_keep_the_blood_of_both():
    other = Box(90, 90, 121, 121)  # holds a corner of the blood, too little to stand out
    for order in ([BOX, other], [other, BOX]):
        target = outline_boxes(head(), boxed(BOX, other), order)
        assert (target[122:138, 122:138] == BLOOD).all()


def test_a_box_outside_the_picture_changes_nothing_else():
    assert (outline_boxes(head(), boxed(), [Box(300, 300, 320, 320)]) == NO_BLOOD).all()


def test_real_boxes_agree_with_the_radiologists_masks(data_folder):
    samples = [one for one in load_samples(data_folder, ["ct_ich"]) if one.boxes and one.mask]
    both = blood = marked = 0
    for sample in samples:
        scan = sample.scan()
        mask = sample.target(*scan.hu.shape[1:]) == BLOOD
        box_only = replace(sample, mask=None).target(*scan.hu.shape[1:])
        found = outline_boxes(scan, box_only, sample.boxes) == BLOOD
        both, blood, marked = both + (found & mask).sum(), blood + mask.sum(), marked + found.sum()
    assert len(samples) == 83
    assert 2 * both / (blood + marked) > 0.70
