"""NIfTI volumes as studies: the same scan as from DICOM, whatever the file's axes; and what is refused."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from hemoscope.errors import BadScan
from hemoscope.phantom import dicom_slices, make_phantom
from hemoscope.studies import Volume
from tests.studies.series import series, slice_hu, sorted_out, volume_of, write

SHORT = [5.0 * number for number in range(6)]
HU = np.array([slice_hu(number) for number in range(6)])  # (slices, rows, columns), as DICOM has them
# Of `series`: columns run to the left by 0.5 mm from -10, rows to the back by 0.5 mm from -12, slices up by 5 mm.
LPS = np.array([[0.5, 0, 0, -10], [0, 0.5, 0, -12], [0, 0, 5, 0], [0, 0, 0, 1.0]])
RAS = np.diag([-1.0, -1, 1, 1]) @ LPS
VOXELS = HU.transpose(2, 1, 0)  # (x, y, z)


def save(path: Path, voxels=VOXELS, affine=RAS, kind=nibabel.Nifti1Image) -> Path:
    nibabel.save(kind(voxels, affine), path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadScan) as raised:
        volume_of(path)
    return str(raised.value)


def assert_same(found: Volume, expected: Volume) -> None:
    assert np.array_equal(found.scan.hu, expected.scan.hu)
    assert np.array(found.scan.positions_mm) == pytest.approx(np.array(expected.scan.positions_mm), abs=1e-4)
    assert found.scan.orientation == pytest.approx(expected.scan.orientation)
    assert found.scan.spacing_mm == pytest.approx(expected.scan.spacing_mm)
    assert found.scan.calibrated


@pytest.mark.parametrize("name", ["head.nii", "head.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_volume_is_the_scan_that_dicom_gives(tmp_path: Path, name: str, kind: type) -> None:
    dicom = volume_of(write(tmp_path / "dicom", series(SHORT)))
    save(tmp_path / name, kind=kind).rename(tmp_path / "content-decides")
    assert_same(volume_of(tmp_path / "content-decides"), dicom)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS", "RPI", "PSL", "SRA", "IPR"])
def test_the_order_and_direction_of_the_axes_make_no_difference(tmp_path: Path, codes: str) -> None:
    usual = nibabel.Nifti1Image(VOXELS, RAS)
    transform = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(usual.affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    nibabel.save(usual.as_reoriented(transform), tmp_path / "head.nii.gz")
    assert_same(volume_of(tmp_path / "head.nii.gz"), volume_of(write(tmp_path / "dicom", series(SHORT))))


def test_a_tilted_volume_lies_where_dicom_says(tmp_path: Path) -> None:
    head = make_phantom(slices=6, rows=64, columns=64, spacing_mm=3.6, tilt_degrees=18.0)
    dicom = volume_of(write(tmp_path / "dicom", dicom_slices(head)))
    across, down = np.array(dicom.scan.orientation[:3]), np.array(dicom.scan.orientation[3:])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = across * 3.6, down * 3.6, (0, 0, 5)
    affine[:3, 3] = dicom.scan.positions_mm[0]
    voxels = head.scan.hu.astype(np.int16).transpose(2, 1, 0)
    volume = volume_of(save(tmp_path / "head.nii.gz", voxels, np.diag([-1, -1, 1, 1]) @ affine))
    assert_same(volume, dicom)
    assert volume.course.tilt_degrees == pytest.approx(18, abs=1e-3)
    assert volume.course.sheared


def test_a_mask_goes_back_to_the_slices_of_the_volume(tmp_path: Path) -> None:
    volume = volume_of(save(tmp_path / "head.nii"))
    masks = volume.scan.hu == 60
    assert volume.on_slices(masks).shape == (6, 48, 40)
    assert [one.frame for one in volume.slices] == list(range(6))
    assert volume.on_slices(masks).sum() == masks.sum() > 0


def test_slope_and_intercept_and_floats_are_read(tmp_path: Path) -> None:
    save(tmp_path / "float.nii", VOXELS.astype(np.float32))
    scaled = nibabel.Nifti1Image(VOXELS.astype(float), RAS)
    scaled.set_data_dtype(np.int16)  # nibabel finds a slope and an intercept for it
    nibabel.save(scaled, tmp_path / "scaled.nii")
    assert np.array_equal(volume_of(tmp_path / "float.nii").scan.hu, HU)
    assert np.allclose(volume_of(tmp_path / "scaled.nii").scan.hu, HU, atol=0.1)


def test_units_other_than_millimetres_are_read(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOXELS, np.diag([1e-3, 1e-3, 1e-3, 1]) @ RAS)
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "head.nii")
    assert volume_of(tmp_path / "head.nii").scan.spacing_mm == pytest.approx((0.5, 0.5))


def test_a_fourth_axis_of_one_is_no_series(tmp_path: Path) -> None:
    assert len(volume_of(save(tmp_path / "head.nii", VOXELS[..., None])).scan.hu) == 6


def test_thin_slices_of_a_volume_are_averaged(tmp_path: Path) -> None:
    thin = np.repeat(VOXELS, 4, axis=2)
    volume = volume_of(save(tmp_path / "head.nii.gz", thin, RAS @ np.diag([1, 1, 0.25, 1])))
    assert np.array_equal(volume.scan.hu, HU)


@pytest.mark.parametrize(
    ("voxels", "sentence"),
    [
        ((VOXELS > 0).astype(np.int16), "go from 0 to 1: these are no Hounsfield units"),
        (np.clip(VOXELS, 0, 80), "go from 0 to 80: these are no Hounsfield units"),
        (np.where(VOXELS > -500, 0, VOXELS), "these are no Hounsfield units"),
        (VOXELS.astype(np.float32) / 1000, "these are no Hounsfield units"),
        (np.where(VOXELS > 1000, np.nan, VOXELS).astype(np.float32), "values that are no numbers"),
        (np.where(VOXELS > 1000, 1e300, VOXELS), "values that are no numbers"),
        (np.stack([VOXELS] * 2, axis=-1), "is 40 x 48 x 6 x 2: three dimensions are read"),
        (VOXELS[:, :, 0], "is 40 x 48: three dimensions are read"),
        (VOXELS[:4], "columns: 16 to 8192 of each are read"),
        (VOXELS.astype(np.complex64), "colours or complex numbers"),
    ],
)
def test_what_is_no_ct_is_refused(tmp_path: Path, voxels, sentence: str) -> None:
    assert sentence in refusal(save(tmp_path / "head.nii.gz", voxels))


def test_a_volume_that_does_not_say_where_left_is_is_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOXELS, None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nibabel.save(image, tmp_path / "head.nii")
    assert "which side is left cannot be told" in refusal(tmp_path / "head.nii")


def test_a_volume_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    data = save(tmp_path / "head.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(data[:-5000])
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(data)[:-200])
    for name in ("cut.nii", "cut.nii.gz"):
        assert "damaged or cut off" in refusal(tmp_path / name)


def test_a_volume_too_large_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = nibabel.Nifti1Image(VOXELS, RAS).header.copy()
    header.set_data_shape((8000, 8000, 2000))
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(4) + bytes(10_000_000)))
    assert "2000 images of 8000 x 8000 are more than the" in refusal(tmp_path / "bomb.nii.gz")


def test_each_volume_is_a_study_of_its_own(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "head.nii.gz")
    studies = sorted_out(tmp_path)
    assert studies.notes == ("These are 2 studies; they are kept apart.",)
    assert studies.pick("2").series.facts.series_description == "b/head.nii.gz"
