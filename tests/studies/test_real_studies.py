"""What must happen to the real DICOM folders as studies: the table of all of them, and facts checked by hand."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hemoscope.errors import BadScan
from tests.studies.series import heights, sorted_out, volume_of, zipped


@dataclass(frozen=True)
class Read:
    """A study that is read: stored slices, slices of the scan, and sentences about it."""

    slices: int
    read: int
    notes: tuple[str, ...] = ()


TILT = "The gantry was tilted: the planes lean by +{}°."
MASK = r"only 2 different values \(0, 1\): this is a mask"
MR = r"Images of another kind \(Modality \(0008,0060\) is MR\): only CT is read"

TABLE: dict[str, Read | str] = {
    "ge_head_tilt": Read(
        28,
        28,
        (
            TILT.format("18.5"),
            "The spacing is uneven: slices are 4.22, 1.14 and 7.38 mm apart (4.00, 1.08 and 7.00 mm across the tilted "
            "planes).",
            "Slices overlap their neighbours in 1 of 27 places.",
        ),
    ),
    # 2.5 mm along the table are 2.37 mm across the tilted planes: thin.
    "philips_phantom": Read(11, 6, (TILT.format("18.5"),)),
    "hydrocephalus": Read(4, 1, ("4 slices were there more than once, with the same pixels; one of each is read.",)),
    "geometry_faults/gantrytilting": Read(4, 4, (TILT.format("14.0"),)),
    "geometry_faults/notavolume": "Up to 4 different slices lie at one place",
    "geometry_faults/slicecount": MR,
    "geometry_faults/sliceincrement/001": Read(4, 4, ("1 slice is missing between slices 3 and 4.",)),
    "geometry_faults/sliceincrement/002": Read(
        4, 2, (TILT.format("15.5"), "1 slice is missing between slices 3 and 4.")
    ),
    "geometry_faults/sliceincrement/002_ground_truth.nii.gz": "go from -1024 to 0: these are no Hounsfield units",
    "geometry_faults/sliceorientation": MR,
    "geometry_faults": r"studies of 2 patients; they are kept apart\. Choose the series to read: 1 or 4 or 5\.",
    "transfer_syntaxes_mr": MR,
    "packed_12bit_mr": MR,
    "rsna_samples": r"No series was chosen by itself; these can be picked: 1, 2\.",
    "pixel_edge_cases": r"No series was chosen by itself; these can be picked: 1, 2, 3, 4, 5, 9, 10, 13, 15\.",
}


@pytest.fixture(scope="module")
def dicom_folder(data_folder: Path) -> Path:
    return data_folder / "dicom"


def test_the_table_names_every_folder(dicom_folder: Path) -> None:
    assert {path.name for path in dicom_folder.iterdir() if path.is_dir()} == {name.split("/")[0] for name in TABLE}


@pytest.mark.parametrize("name", [name for name, outcome in TABLE.items() if isinstance(outcome, Read)])
def test_a_study_is_read(dicom_folder: Path, name: str) -> None:
    volume, expected = volume_of(dicom_folder / name), TABLE[name]
    assert isinstance(expected, Read)
    assert (len(volume.slices), len(volume.scan.hu)) == (expected.slices, expected.read)
    assert set(expected.notes) <= set(volume.scan.notes)
    assert heights(volume) == sorted(heights(volume))


@pytest.mark.parametrize("name", [name for name, outcome in TABLE.items() if isinstance(outcome, str)])
def test_a_study_is_refused_with_the_sentence(dicom_folder: Path, name: str) -> None:
    with pytest.raises(BadScan, match=str(TABLE[name])):
        volume_of(dicom_folder / name)


def test_an_archive_with_shuffled_names_gives_the_same_scan(dicom_folder: Path, tmp_path: Path) -> None:
    files = [path.read_bytes() for path in sorted((dicom_folder / "ge_head_tilt").glob("*.dcm"))]
    shuffled = np.random.default_rng(0).permutation(len(files))
    (tmp_path / "study.zip").write_bytes(
        zipped({f"export/{name:03}.img": files[number] for name, number in enumerate(shuffled)})
    )
    one, other = volume_of(tmp_path / "study.zip"), volume_of(dicom_folder / "ge_head_tilt")
    assert one.scan.positions_mm == other.scan.positions_mm
    assert one.scan.instance_uids == other.scan.instance_uids
    assert np.array_equal(one.scan.hu, other.scan.hu)
    assert heights(one)[:2] == pytest.approx([5.8360586, 10.0560586])


@pytest.mark.parametrize(
    ("folder", "key", "reason"),
    [
        ("philips_phantom", "1", "A localizer: an overview picture for planning the scan, not slices."),
        ("hydrocephalus", "2", MASK),
        ("pixel_edge_cases", "3", "Contrast medium was given"),
        ("pixel_edge_cases", "6", "The pixels are corrupt"),
        ("pixel_edge_cases", "10", "The slices are coronal, not axial"),
        ("pixel_edge_cases", "14", r"Image Type \(0008,0008\) holds PERFUSION"),
        ("pixel_edge_cases", "15", r"Body Part Examined \(0018,0015\) is PANCREAS: not the head"),
        ("pixel_edge_cases", "16", "A secondary capture: a copy of a screen"),
    ],
)
def test_a_series_is_left_out_with_the_reason(dicom_folder: Path, folder: str, key: str, reason: str) -> None:
    (candidate,) = [one for one in sorted_out(dicom_folder / folder).candidates if one.key == key]
    assert not candidate.chosen
    assert re.search(reason, candidate.reason)


def test_a_directory_of_a_disc_is_no_series(dicom_folder: Path) -> None:
    said = {one.name: one.reason for one in sorted_out(dicom_folder / "philips_phantom").left_out}
    assert said["tilt_DIRFILE"] == "A DICOMDIR, the index of a disc: the files are looked at themselves."


def test_the_same_uids_in_several_folders_are_one_series(dicom_folder: Path) -> None:
    (chosen,) = [one for one in sorted_out(dicom_folder / "hydrocephalus").candidates if one.chosen]
    assert [round(one.position_mm[2], 3) for one in chosen.stack.slices] == [615.402, 616.102, 616.802, 617.502]
