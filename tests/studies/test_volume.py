"""From a stack to the scan a model reads, and back to the stored pixels."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hemoscope.errors import BadScan
from hemoscope.phantom import Bleed, dicom_slices, make_phantom
from hemoscope.studies import Turn, read_studies, read_volume, received
from tests.readers.samples import dicom_bytes
from tests.studies.series import BLOOD_HU, heights, series, slice_hu, sorted_out, volume_of, write

SHORT = [5.0 * number for number in range(6)]
MIB = 2**20


def phantom(slices: int = 12, slice_spacing_mm: float = 5.0, tilt_degrees: float = 0.0):
    bleeds = [Bleed("intraparenchymal", 8.0)]
    grid = {"rows": 64, "columns": 64, "spacing_mm": 3.6, "slice_spacing_mm": slice_spacing_mm}
    return make_phantom(bleeds, slices=slices, tilt_degrees=tilt_degrees, **grid)


@pytest.mark.parametrize("tilt_degrees", [0.0, 18.0])
def test_a_shuffled_series_is_the_scan_that_was_written(tmp_path: Path, tilt_degrees: float) -> None:
    head = phantom(tilt_degrees=tilt_degrees)
    volume = volume_of(write(tmp_path, dicom_slices(head), seed=5))
    assert np.array_equal(volume.scan.hu, head.scan.hu)
    assert volume.scan.hu.dtype == np.float32
    assert np.array(volume.scan.positions_mm) == pytest.approx(np.array(head.scan.positions_mm), abs=1e-5)
    assert volume.scan.orientation == pytest.approx(head.scan.orientation, abs=1e-5)
    assert volume.course.tilt_degrees == pytest.approx(tilt_degrees, abs=1e-3)
    assert volume.scan.facts.patient_id == "PHANTOM"
    assert len(set(volume.scan.instance_uids)) == 12
    assert volume.scan.frame_of_reference_uid


MIRRORED = [
    ([1, 0, 0, 0, 1, 0], [-10, -12], lambda hu: hu),
    ([-1, 0, 0, 0, 1, 0], [-10 + 39 * 0.5, -12], lambda hu: hu[:, ::-1]),
    ([1, 0, 0, 0, -1, 0], [-10, -12 + 47 * 0.5], lambda hu: hu[::-1]),
    ([-1, 0, 0, 0, -1, 0], [-10 + 39 * 0.5, -12 + 47 * 0.5], lambda hu: hu[::-1, ::-1]),
    ([0, 1, 0, 1, 0, 0], [-10, -12], lambda hu: hu.T),
]


@pytest.mark.parametrize(("orientation", "corner", "stored"), MIRRORED)
def test_the_patients_left_stays_left_however_the_picture_is_stored(
    tmp_path: Path, orientation, corner, stored
) -> None:
    """The same head, stored turned, with headers that say so: the scan is the same, and a mask goes back."""
    hu = [np.ascontiguousarray(stored(slice_hu(number))) for number in range(6)]
    files = []
    for number, z in enumerate(SHORT):
        changes = {"ImageOrientationPatient": orientation, "ImagePositionPatient": [*corner, z]}
        files += _one(hu[number], number, changes)
    volume = volume_of(write(tmp_path, files, seed=3))
    assert np.array_equal(volume.scan.hu, np.array([slice_hu(number) for number in range(6)], np.float32))
    assert volume.scan.orientation == (1, 0, 0, 0, 1, 0)
    assert volume.scan.positions_mm[0] == pytest.approx((-10, -12, 0))
    masks = volume.scan.hu == BLOOD_HU
    columns = np.flatnonzero(masks[0].any(axis=0))
    assert (volume.scan.positions_mm[0][0] + columns * volume.scan.spacing_mm[1] > 0).all()  # x > 0 is the left
    assert np.array_equal(volume.on_slices(masks), np.array(hu) == BLOOD_HU)


def _one(hu, number: int, changes: dict[str, object]) -> list[bytes]:
    return [dicom_bytes(hu, SOPInstanceUID=f"1.2.3.1.{number + 1}", **{"PixelSpacing": [0.5, 0.5]} | changes)]


def test_a_series_stored_from_the_head_down_is_read_from_the_feet_up(tmp_path: Path) -> None:
    volume = volume_of(write(tmp_path, series(SHORT[::-1])))
    assert heights(volume) == SHORT
    assert volume.scan.instance_uids[0] == "1.2.3.1.6"


def test_thin_slices_are_averaged_and_masks_go_back_to_them(tmp_path: Path) -> None:
    thin = [1.25 * number for number in range(20)]
    hu = [slice_hu(0) + np.int16(number) for number in range(20)]
    volume = volume_of(write(tmp_path, series(thin, hu), seed=4))
    assert volume.slabs.of_slice == tuple(number // 4 for number in range(20))
    expected = [slice_hu(0) + 4 * slab + 1.5 for slab in range(5)]  # the mean of 0, 1, 2, 3 is 1.5
    assert np.allclose(volume.scan.hu, expected)
    assert heights(volume) == pytest.approx([5 * slab + 1.875 for slab in range(5)])  # the mean of 0 to 3 times 1.25
    assert volume.scan.slice_thickness_mm == pytest.approx(5)
    assert volume.scan.instance_uids is None
    assert len(volume.slices) == 20
    masks = np.zeros(volume.scan.hu.shape, bool)
    masks[2, 5, 7] = True
    assert np.argwhere(volume.on_slices(masks)).tolist() == [[number, 5, 7] for number in range(8, 12)]
    assert any(note.startswith("20 thin slices, 1.25 mm apart, were averaged to 5 slabs") for note in volume.scan.notes)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    volume = volume_of(write(tmp_path, series(SHORT)))
    with pytest.raises(ValueError, match="do not lie on the scan"):
        volume.on_slices(np.zeros((6, 4, 4), bool))


def test_a_damaged_slice_is_left_out_and_said(tmp_path: Path) -> None:
    files = series(SHORT)
    files[2] = files[2][:-1000]
    volume = volume_of(write(tmp_path, files))
    assert len(volume.scan.hu) == len(volume.slices) == 5
    assert heights(volume) == [0, 5, 15, 20, 25]
    assert volume.scan.hu[2, 0, 0] == -900 + 3
    assert [one.name for one in volume.left_out] == ["IM0002"]
    assert any(
        note.startswith("1 slice of 6 could not be read: blood there cannot be seen.") for note in volume.scan.notes
    )
    assert "1 slice is missing between slices 2 and 3." in volume.scan.notes


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT))
    with received([tmp_path]) as files:
        picked = read_studies(files).pick()
        with pytest.raises(BadScan, match="6 slices of 48 x 40 are more than the 10000 pixels"):
            read_volume(picked, max_pixels=10_000)


def test_progress_is_told(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT))
    headers, slices = [], []
    with received([tmp_path]) as files:
        studies = read_studies(files, lambda done, whole: headers.append((done, whole)))
        read_volume(studies.pick(), progress=lambda done, whole: slices.append((done, whole)))
    assert headers == slices == [(number, 6) for number in range(1, 7)]


def test_a_coronal_series_is_not_turned_and_not_averaged(tmp_path: Path) -> None:
    files = []
    for number in range(8):
        changes = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "ImagePositionPatient": [-10, number, 12]}
        files += _one(slice_hu(number), number, changes)
    write(tmp_path, files)
    assert sorted_out(tmp_path).candidates[0].reason.startswith("The slices are coronal, not axial")
    volume = volume_of(tmp_path, wanted="1")
    assert (volume.turn, volume.slabs, len(volume.scan.hu)) == (Turn(), None, 8)
    assert any("not axial" in note for note in volume.scan.notes)


MEASURE = r"""
import re, sys
from pathlib import Path
from hemoscope.studies import read_studies, read_volume, received
with received([sys.argv[1]]) as files:
    volume = read_volume(read_studies(files).pick())
# Not ru_maxrss: it counts what the parent held when it forked.
peak_kib = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]
print(len(volume.slices), len(volume.scan.hu), peak_kib)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux")
def test_three_hundred_thin_slices_take_little_memory(tmp_path: Path) -> None:
    """Their pixels alone are 150 MiB stored and 300 MiB as float32; they are never in memory together."""
    hu = np.tile(slice_hu(0), (11, 13))[:512, :512]
    write(tmp_path, series([0.5 * number for number in range(300)], [hu] * 300))
    done = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True)
    slices, slabs, peak_kib = map(int, done.stdout.split())
    assert (slices, slabs) == (300, 30)
    assert peak_kib / 1024 < 200
