"""`hemoscope.results.nifti_mask`: the affine leads every voxel to where it lies in the patient."""

import gzip
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from hemoscope.errors import BadScan
from hemoscope.results.nifti_mask import nifti_mask
from hemoscope.scan import Scan
from tests.results.made import phantom, shuffled

TO_RAS = np.array([-1.0, -1.0, 1.0])


def read(data: bytes) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(data))


def places_mm(image: nibabel.Nifti1Image) -> np.ndarray:
    """Where the voxels that are set lie, RAS millimetres, sorted."""
    voxels = np.argwhere(np.asarray(image.dataobj) > 0)
    return np.array(sorted(map(tuple, np.round(nibabel.affines.apply_affine(image.affine, voxels), 1) + 0.0)))


def truth_mm(scan: Scan, labels: np.ndarray) -> np.ndarray:
    """The same from the scan, slice by slice (PS3.3 C.7.6.2.1.1)."""
    assert scan.positions_mm is not None and scan.orientation is not None and scan.spacing_mm is not None
    slices, rows, columns = np.nonzero(labels)
    along, down = np.array(scan.orientation[:3]), np.array(scan.orientation[3:])
    steps = np.outer(columns * scan.spacing_mm[1], along) + np.outer(rows * scan.spacing_mm[0], down)
    return np.array(sorted(map(tuple, np.round((np.array(scan.positions_mm)[slices] + steps) * TO_RAS, 1) + 0.0)))


def reordered(scan: Scan, order: list[int]) -> Scan:
    assert scan.positions_mm is not None
    return replace(scan, hu=scan.hu[order], positions_mm=tuple(scan.positions_mm[index] for index in order))


@pytest.mark.parametrize("tilt_degrees", [0.0, 18.0, -25.0])
def test_every_voxel_lies_where_the_blood_does(tilt_degrees: float) -> None:
    made = phantom(tilt_degrees)
    image = read(nifti_mask(made.labels, made.scan))
    assert image.shape == (64, 48, 10)
    np.testing.assert_allclose(places_mm(image), truth_mm(made.scan, made.labels), atol=0.11)
    assert int(image.header["sform_code"]) == 1
    assert int(image.header["qform_code"]) == (0 if tilt_degrees else 1)


def test_unsorted_slices_give_the_same_file() -> None:
    made, order = phantom(18.0), shuffled(10)
    mixed = nifti_mask(made.labels[order], reordered(made.scan, order))
    assert mixed == nifti_mask(made.labels, made.scan)


def test_flipped_columns_lie_in_the_same_places() -> None:
    made = phantom()
    assert made.scan.positions_mm is not None and made.scan.orientation is not None
    width_mm = 63 * 4.0
    flipped = replace(
        made.scan,
        hu=np.ascontiguousarray(made.scan.hu[..., ::-1]),
        positions_mm=tuple((x + width_mm, y, z) for x, y, z in made.scan.positions_mm),
        orientation=(-1.0, 0.0, 0.0, *made.scan.orientation[3:]),
    )
    image = read(nifti_mask(np.ascontiguousarray(made.labels[..., ::-1]), flipped))
    np.testing.assert_allclose(places_mm(image), places_mm(read(nifti_mask(made.labels, made.scan))), atol=0.11)


def test_values_are_the_labels() -> None:
    made = phantom()
    stored = np.asarray(read(nifti_mask(made.labels, made.scan)).dataobj)
    np.testing.assert_array_equal(stored, made.labels.transpose(2, 1, 0))


def test_uneven_slices_lie_on_an_even_grid_with_the_mask_of_the_nearest() -> None:
    made = phantom(18.0)
    kept = [0, 1, 2, 3, 6, 7, 8, 9]  # 6 mm apart, and once 18 mm
    image = read(nifti_mask(made.labels[kept], reordered(made.scan, kept)))
    expected = made.labels[[0, 1, 2, 3, 3, 6, 6, 7, 8, 9]]
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected.transpose(2, 1, 0))
    np.testing.assert_allclose(image.affine, read(nifti_mask(made.labels, made.scan)).affine, atol=1e-4)


def test_a_single_slice_is_as_thick_as_it_says() -> None:
    made = phantom(18.0)
    image = read(nifti_mask(made.labels[4:5], made.slice(4)))
    assert np.linalg.norm(image.affine[:3, 2]) == pytest.approx(6.0)
    np.testing.assert_allclose(places_mm(image), truth_mm(made.slice(4), made.labels[4:5]), atol=0.11)


@pytest.mark.parametrize("missing", ["spacing_mm", "positions_mm", "orientation"])
def test_a_scan_of_unknown_place_is_refused(missing: str) -> None:
    made = phantom()
    with pytest.raises(BadScan, match="does not tell where its slices lie"):
        nifti_mask(made.labels, replace(made.scan, **{missing: None}))


def test_slices_in_one_place_and_slices_out_of_line_are_refused() -> None:
    made = phantom()
    assert made.scan.positions_mm is not None
    twice = (made.scan.positions_mm[0], *made.scan.positions_mm[:-1])
    with pytest.raises(BadScan, match="Two slices lie in the same place"):
        nifti_mask(made.labels, replace(made.scan, positions_mm=twice))
    x, y, z = made.scan.positions_mm[4]
    aside = (*made.scan.positions_mm[:4], (x + 3, y, z), *made.scan.positions_mm[5:])
    with pytest.raises(BadScan, match="do not lie in one line"):
        nifti_mask(made.labels, replace(made.scan, positions_mm=aside))
