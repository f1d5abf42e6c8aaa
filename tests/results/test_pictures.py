"""`hemoscope.results.pictures`: what is written, on which grid, under which name."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hemoscope.errors import BadRequest
from hemoscope.labels import CLASSES
from hemoscope.results.pictures import PictureNames, Pictures, picture_stem
from hemoscope.scan import Scan


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("a/scan.dcm", "scan"),
        ("scan.v2.png", "scan.v2"),
        ("1.2.840.113619.2.5", "1.2.840.113619.2.5"),
        ("1.2.840.113619.2.5.dcm", "1.2.840.113619.2.5"),
        ("IM0001", "IM0001"),
        ("head.nii.gz", "head"),
        ("HEAD.NII.GZ", "HEAD"),
    ],
)
def test_stem_is_the_name_without_its_extension(path: str, stem: str) -> None:
    assert picture_stem(path) == stem


def test_several_slices_are_numbered_from_one() -> None:
    assert PictureNames().take("scan", 3) == ("scan", ("scan_001", "scan_002", "scan_003"))


def test_no_name_is_given_twice() -> None:
    names = PictureNames()
    assert names.take("scan", 1) == ("scan", ("scan",))
    assert names.take("SCAN", 1) == ("SCAN~2", ("SCAN~2",))
    assert names.take("scan", 1) == ("scan~3", ("scan~3",))


def test_a_file_named_as_a_slice_of_another_gets_another_name() -> None:
    names = PictureNames()
    names.take("scan_002", 1)
    assert names.take("scan", 2) == ("scan~2", ("scan~2_001", "scan~2_002"))


def test_one_folder_for_two_kinds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="a folder each"):
        Pictures(masks=tmp_path, overlays=tmp_path / "x" / "..")


def test_pictures_lie_on_the_scans_own_grid(tmp_path: Path, bright_reader) -> None:
    hu = np.full((2, 6, 9), 30, np.float32)
    hu[1, 2:4, 3:8] = 60
    scan = Scan(hu, calibrated=True)
    pictures = Pictures(tmp_path / "masks", tmp_path / "overlays", tmp_path / "heat")
    pictures.make_folders()
    assert pictures.write("in/head.dcm", scan, bright_reader.read(scan)) == "head"

    empty = cv2.imread(str(tmp_path / "masks" / "head_001.png"), cv2.IMREAD_UNCHANGED)
    assert empty.shape == (6, 9)
    assert empty.max() == 0
    mask = cv2.imread(str(tmp_path / "masks" / "head_002.png"), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((6, 9), np.uint8)
    expected[2:4, 3:8] = 255
    np.testing.assert_array_equal(mask, expected)

    filled = cv2.imread(str(tmp_path / "overlays" / "head_002.png"), cv2.IMREAD_UNCHANGED)
    # 30 HU in 40/80 is 30 / 80 * 255 = 95.6; 60 HU is 191.25, and 0.45 of orange (230, 159, 0) over 191 is
    # 191 * 0.55 + 230 * 0.45 = 208.55, then 176.6 and 105.05. OpenCV gives blue first.
    assert filled[0, 0].tolist() == [96, 96, 96]
    assert filled[2, 3].tolist() == [105, 177, 209]
    assert sorted(file.name for file in (tmp_path / "heat").iterdir()) == sorted(
        f"head_{index}_{name}.png" for index in ("001", "002") for name in CLASSES
    )
    heat = cv2.imread(str(tmp_path / "heat" / "head_002_any.png"), cv2.IMREAD_UNCHANGED)
    assert heat.shape == (6, 9, 3)
    assert heat[0, 0].tolist() == [96, 96, 96]


def test_a_model_without_a_mask_leaves_heat_maps_only(tmp_path: Path, bright_reader) -> None:
    scan = Scan(np.full((1, 6, 9), 60, np.float32), calibrated=True)
    bright_reader.gives_mask = False
    pictures = Pictures(tmp_path / "masks", tmp_path / "overlays", tmp_path / "heat")
    pictures.make_folders()
    pictures.write("head.dcm", scan, bright_reader.read(scan))
    left = {folder.name: len(list(folder.iterdir())) for folder in pictures.folders}
    assert left == {"masks": 0, "overlays": 0, "heat": 6}
