"""`hemoscope.results.on_images`: measurements of a turned or averaged scan, on the pixels that are stored."""

from pathlib import Path

import numpy as np
import pytest

from hemoscope.measurement import measure
from hemoscope.measuring.values import Measurements
from hemoscope.results.blood import Blood
from hemoscope.results.on_images import OnImages
from hemoscope.studies import Volume
from hemoscope.studies.geometry import Turn
from tests.results.made import findings_of
from tests.studies.series import series, volume_of, write

BLOOD = (slice(12, 16), slice(24, 28))  # of each stored slice: rows 12 to 15, columns 24 to 27


def measured_by_truth(volume: Volume) -> Measurements:
    labels = (volume.scan.hu == 60).astype(np.uint8)
    return measure(volume.scan, findings_of(Blood(labels, False)))


# Rows to the patient's left or right, columns to the back or the front, and rows and columns changed for each other.
@pytest.mark.parametrize(
    "orientation", [[1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0], [0, 1, 0, 1, 0, 0]]
)
def test_a_diameter_ends_in_the_blood_as_it_is_stored(orientation: list[int], tmp_path: Path) -> None:
    files = series([5.0 * number for number in range(6)], ImageOrientationPatient=orientation)
    volume = volume_of(write(tmp_path, files))
    (lesion,) = OnImages.of(measured_by_truth(volume), volume).lesions
    assert lesion.images == (0, 1, 2, 3, 4, 5)
    for row, column in lesion.ends_px:  # ends lie on the outline, half a pixel beyond the centres
        assert 11.5 <= row <= 15.5
        assert 23.5 <= column <= 27.5


def test_the_slices_of_a_slab_are_all_named_and_its_middle_one_is_drawn_on(tmp_path: Path) -> None:
    volume = volume_of(write(tmp_path, series([1.25 * number for number in range(20)])))
    (lesion,) = OnImages.of(measured_by_truth(volume), volume).lesions
    assert lesion.images == tuple(range(20))
    assert lesion.largest_image == 4 * lesion.lesion.largest_slice + 2


def test_what_is_not_known_is_said_and_left_out(tmp_path: Path) -> None:
    volume = volume_of(write(tmp_path, series([0.0, 5.0, 10.0])))
    unknown = Measurements(None, None, (), 0, None, "No spacing.", "No skull.", ("A note.",))
    assert OnImages.of(unknown, volume) == OnImages(
        {}, (), None, ("A note.", "Volume not known: No spacing.", "Midline shift not known: No skull.")
    )


@pytest.mark.parametrize("turn", [Turn(a, b, c) for a in (False, True) for b in (False, True) for c in (False, True)])
def test_a_place_goes_back_where_its_pixel_does(turn: Turn) -> None:
    stored = np.arange(6 * 4).reshape(6, 4)
    turned = turn.apply(stored)
    for row, column in ((0, 0), (2, 1), (3, 3)):
        back = turn.undo_place((row, column), *turned.shape)
        assert stored[tuple(map(int, back))] == turned[row, column]
