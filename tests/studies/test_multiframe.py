"""Enhanced CT: many slices in one file, each with a place of its own."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, Sequence
from pydicom.uid import UID

from tests.readers.samples import dataset, encode
from tests.studies.series import heights, slice_hu, sorted_out, volume_of

Z_MM = [20.0, 0.0, 10.0, 5.0, 15.0]  # the frames' own order is none


def enhanced(z_mm: list[float], orientations: list[list[float]] | None = None) -> bytes:
    hu = np.stack([slice_hu(number) for number in range(len(z_mm))])
    file = dataset(hu, SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.2.1"), NumberOfFrames=len(z_mm))
    del file.ImagePositionPatient, file.ImageOrientationPatient, file.PixelSpacing
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.5, 0.5]
    file.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number, z in enumerate(z_mm):
        frame = Dataset()
        frame.PlanePositionSequence = Sequence([Dataset()])
        frame.PlanePositionSequence[0].ImagePositionPatient = [-10, -12, z]
        frame.PlaneOrientationSequence = Sequence([Dataset()])
        plane = [1, 0, 0, 0, 1, 0] if orientations is None else orientations[number]
        frame.PlaneOrientationSequence[0].ImageOrientationPatient = plane
        frames.append(frame)
    file.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return encode(file)


def test_frames_are_ordered_by_their_positions(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(enhanced(Z_MM))
    volume = volume_of(tmp_path)
    assert heights(volume) == sorted(Z_MM)
    assert [one.frame for one in volume.slices] == [1, 3, 2, 4, 0]
    assert volume.scan.hu[:, 0, 0].tolist() == [-899, -897, -898, -896, -900]
    assert volume.scan.instance_uids == ("1.2.3.4",) * 5
    assert volume.scan.spacing_mm == (0.5, 0.5)


def test_frames_that_are_cut_off_do_not_lose_the_others_silently(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(enhanced(Z_MM)[:-1000])
    (candidate,) = sorted_out(tmp_path).candidates
    assert not candidate.readable
    assert "cut off" in candidate.reason


def test_frames_of_mixed_orientation_are_refused(tmp_path: Path) -> None:
    planes = [[1, 0, 0, 0, 1, 0]] * 3 + [[1, 0, 0, 0, 0, -1]] * 2
    (tmp_path / "one").write_bytes(enhanced(Z_MM, planes))
    (candidate,) = sorted_out(tmp_path).candidates
    assert "changes from frame to frame within the file" in candidate.reason


@pytest.mark.parametrize("count", [1, 3])
def test_copies_of_a_file_are_read_once(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / str(number)).write_bytes(enhanced(Z_MM))
    assert len(volume_of(tmp_path).slices) == 5
