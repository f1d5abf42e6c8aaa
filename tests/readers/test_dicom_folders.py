"""What must happen to every file of the real DICOM folders: the table of all of them, and facts checked by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hemoscope.errors import BadScan
from hemoscope.readers import read_file
from hemoscope.scan import Scan

TEXT = "is text, not an image"
MR = r"Modality \(0008,0060\) is MR"
US = r"Modality \(0008,0060\) is US"
OTHER = r"Modality \(0008,0060\) is OT"
LOCALIZER = r"Image Type \(0008,0008\) holds LOCALIZER"
DICOMDIR = "DICOMDIR, a list of files"
NIFTI = "compressed NIfTI volume, a whole study"
MASK = r"only 2 different values \(0, 1\): this is a mask"


@dataclass(frozen=True)
class Accepted:
    """An accepted slice: its spacing and first position, and the share of pixels in the ranges of air and brain.

    Both shares are rounded down to tenths from a look at the picture; None where the pixels are noise.
    """

    spacing_mm: tuple[float, float]
    z_mm: float
    air: float | None = None
    brain: float | None = None
    rows: int = 512
    columns: int = 512


def many(folder: str, names: list[str], outcome: str | Accepted) -> dict[str, str | Accepted]:
    return {f"{folder}/{name}": outcome for name in names}


# 28 slices: 14 of 4 mm that are 4.22 mm apart, then (after a step of 1.14 mm) 14 of 7 mm that are 7.38 mm apart.
GE_Z_MM = [5.8360586 + 4.22 * n for n in range(14)] + [61.8360586 + 7.38 * n for n in range(14)]
# File names follow the order of acquisition, 2.5 mm each; I10 is the lowest.
PHILIPS_Z_MM = {f"tilt_I{10 * (n + 1)}": 742.345191756896 + 2.5 * n for n in range(11)}
HYDROCEPHALUS = [
    (patient, first + n)
    for patient, first in (("P1_P1B1", 132), ("P1_P1B2", 133), ("P2_P2B1", 134), ("P4_P4B1", 133))
    for n in (0, 1)
]

TABLE: dict[str, str | Accepted] = {
    "ge_head_tilt/LICENSE": TEXT,
    **{
        f"ge_head_tilt/{n + 1:02}.dcm": Accepted((0.4882812,) * 2, z, air=0.4, brain=0.1 if 8 <= n <= 23 else None)
        for n, z in enumerate(GE_Z_MM)
    },
    "philips_phantom/LICENSE": TEXT,
    **{f"philips_phantom/{name}": Accepted((0.482421875, 0.482421875), z, air=0.4) for name, z in PHILIPS_Z_MM.items()},
    "philips_phantom/localizer_I10": LOCALIZER,
    # The exam summary came as a directory of secondary captures only; none of its pixels is here.
    **many("philips_phantom", ["exam_summary_DIRFILE", "localizer_DIRFILE", "tilt_DIRFILE"], DICOMDIR),
    "hydrocephalus/LICENSE": TEXT,
    **{
        f"hydrocephalus/{patient}_CT_IMG{n:04}.dcm": Accepted((0.376953125,) * 2, 615.402 + 0.7 * (n - 132), 0.3, 0.1)
        for patient, n in HYDROCEPHALUS
    },
    **{f"hydrocephalus/{patient}_label_IMG{n:04}.dcm": MASK for patient, n in HYDROCEPHALUS},
    "geometry_faults/LICENSE": TEXT,
    **{
        f"geometry_faults/gantrytilting/001/IM-0001-000{n + 1}.dcm": Accepted((0.41796875,) * 2, -61.951915 + 5 * n)
        for n in range(4)
    },
    **many("geometry_faults/notavolume/001", [f"00{n}.dcm" for n in range(1, 5)], Accepted((0.544921875,) * 2, 61.5)),
    **{
        f"geometry_faults/sliceincrement/001/IM-0001-{n:04}-0001.dcm": Accepted((0.429688006639,) * 2, z)
        for n, z in ((7, 18.1075), (8, 23.1075), (9, 28.107498), (10, 38.107498))
    },
    **{
        f"geometry_faults/sliceincrement/002/IM-0001-000{n}.dcm": Accepted((0.51171875,) * 2, z)
        for n, z in ((1, -52.692148), (2, -51.914148), (3, -51.136148), (5, -49.580148))
    },
    **many("geometry_faults/slicecount/001", ["IM-0001-0001-0001.dcm", "IM-0001-0002-0001.dcm"], MR),
    **many(
        "geometry_faults/sliceorientation/001",
        [f"IM-0001-000{n}-0001{copy}.dcm" for n in (1, 2) for copy in ("", " 2")],
        MR,
    ),
    **many("geometry_faults", ["slicecount/001_ground_truth.nii.gz", "sliceincrement/002_ground_truth.nii.gz"], NIFTI),
    "transfer_syntaxes_mr/LICENSE": TEXT,
    **many("transfer_syntaxes_mr/In", [f"{n}.dcm" for n in range(1, 10)], MR),
    "packed_12bit_mr/LICENSE": TEXT,
    **many("packed_12bit_mr/In", ["12bitSigned_0x0F0F.dcm", "12bitUnsigned.dcm", "12bitUnsigned_0x0F0F.dcm"], MR),
    "rsna_samples/ID_0fe31b044.dcm": Accepted((0.494863, 0.494863), 107.5, air=0.4, brain=0.1),
    "rsna_samples/ID_1b5ac170c.dcm": Accepted((0.488281, 0.488281), 104.615639, air=0.5, brain=0.1),
    # Says JPEG-LS and is not compressed: read as it lies, with a note.
    "pixel_edge_cases/20-wrong-transfer-syntax.dcm": Accepted((0.664062, 0.664062), -542, air=0.4),
    "pixel_edge_cases/54-implicit-file-meta-info.dcm": Accepted((0.9765625, 0.9765625), -162, air=0.4),
    "pixel_edge_cases/CT_small.dcm": Accepted((0.661468, 0.661468), -75.699997, rows=128, columns=128),
    "pixel_edge_cases/no_meta.dcm": Accepted((0.661468, 0.661468), -75.699997, rows=128, columns=128),
    "pixel_edge_cases/ELSCINT1_JP2vsJ2K.dcm": Accepted((0.351, 0.351), -557.2, air=0.3),
    "pixel_edge_cases/J2K_pixelrep_mismatch.dcm": Accepted((0.431, 0.431), 72.1446, air=0.4, brain=0.1),
    "pixel_edge_cases/TOSHIBA_J2K_OpenJPEGv2Regression.dcm": Accepted((0.805, 0.805), -1280.5, air=0.4),
    "pixel_edge_cases/TOSHIBA_J2K_SIZ0_PixRep1.dcm": Accepted((0.656, 0.656), -1227.89197, air=0.4),
    "pixel_edge_cases/TOSHIBA_J2K_SIZ1_PixRep0.dcm": Accepted((0.656, 0.656), -1227.89197, air=0.4),
    "pixel_edge_cases/bad_sequence.dcm": Accepted((0.287109375, 0.287109375), 1687.5),
    "pixel_edge_cases/explicit_VR-UN.dcm": Accepted((0.859375, 0.859375), -121, air=0.4),
    "pixel_edge_cases/MAROTECH_CT_JP2Lossy.dcm": LOCALIZER,
    "pixel_edge_cases/JPEGLossless_1s_1f_i_16_16_bad.dcm": "pixels are corrupt",
    "pixel_edge_cases/eCT_Supplemental.dcm": r"Image Type \(0008,0008\) holds PERFUSION",
    "pixel_edge_cases/OT-PAL-8-face.dcm": OTHER,
    "pixel_edge_cases/image_dfl.dcm": OTHER,
    "pixel_edge_cases/US-PAL-8-10x-echo.dcm": US,
    "pixel_edge_cases/US-RGB-8-epicard.dcm": US,
    "pixel_edge_cases/meta_missing_tsyntax.dcm": r"Modality \(0008,0060\) is missing",
    "pixel_edge_cases/no_meta_group_length.dcm": r"SOP Class UID \(0008,0016\) is RT Image Storage",
}  # fmt: skip


@pytest.fixture(scope="module")
def dicom_folder(data_folder: Path) -> Path:
    return data_folder / "dicom"


def test_table_names_every_file(dicom_folder: Path) -> None:
    found = {path.relative_to(dicom_folder).as_posix() for path in dicom_folder.rglob("*") if path.is_file()}
    assert found == set(TABLE)


@pytest.mark.parametrize("name", [name for name, outcome in TABLE.items() if isinstance(outcome, str)])
def test_file_is_refused_with_the_sentence(dicom_folder: Path, name: str) -> None:
    with pytest.raises(BadScan, match=str(TABLE[name])):
        read_file(dicom_folder / name)


@pytest.mark.parametrize("name", [name for name, outcome in TABLE.items() if isinstance(outcome, Accepted)])
def test_file_is_read_in_hounsfield_units(dicom_folder: Path, name: str) -> None:
    scan, expected = read_file(dicom_folder / name), TABLE[name]
    assert isinstance(expected, Accepted)
    assert scan.hu.shape == (1, expected.rows, expected.columns)
    assert scan.calibrated
    assert scan.spacing_mm == expected.spacing_mm
    assert scan.positions_mm is not None
    assert scan.positions_mm[0][2] == pytest.approx(expected.z_mm, abs=1e-4)
    assert scan.orientation is not None
    assert -1100 <= scan.hu.min() < scan.hu.max() <= 4000
    if expected.air is not None:
        assert np.mean(scan.hu < -900) >= expected.air
    if expected.brain is not None:
        assert np.mean((scan.hu > 15) & (scan.hu < 50)) >= expected.brain


def centre(scan: Scan) -> float:
    """The median of the middle 100 x 100 pixels."""
    rows, columns = scan.hu.shape[1:]
    middle = scan.hu[0, rows // 2 - 50 : rows // 2 + 50, columns // 2 - 50 : columns // 2 + 50]
    return float(np.median(middle))


@pytest.mark.parametrize(
    "name", ["ge_head_tilt/16.dcm", "rsna_samples/ID_0fe31b044.dcm", "rsna_samples/ID_1b5ac170c.dcm"]
)
def test_brain_is_between_20_and_45_hu(dicom_folder: Path, name: str) -> None:
    assert 20 <= centre(read_file(dicom_folder / name)) <= 45


def test_corner_of_the_picture_is_air(dicom_folder: Path) -> None:
    # GE pads the corners with -1500; the air between circle and head is measured.
    scan = read_file(dicom_folder / "ge_head_tilt/14.dcm")
    assert np.all(scan.hu[0, :20, :20] == -1000)
    assert -1025 < np.median(scan.hu[0, 20, 200:300]) < -975


def test_sign_is_taken_from_the_stream_where_the_header_is_wrong(dicom_folder: Path) -> None:
    # The same slice twice: once with Pixel Representation 1 over an unsigned stream, once 0 over a signed one.
    unsigned, signed = (
        read_file(dicom_folder / "pixel_edge_cases" / f"TOSHIBA_J2K_{case}.dcm")
        for case in ("SIZ0_PixRep1", "SIZ1_PixRep0")
    )
    np.testing.assert_array_equal(signed.hu, unsigned.hu)
    assert any("Pixel Representation (0028,0103) says unsigned" in note for note in signed.notes)
    assert not any("Pixel Representation" in note for note in unsigned.notes)


def test_missing_file_meta_changes_no_pixel(dicom_folder: Path) -> None:
    whole, without = (read_file(dicom_folder / "pixel_edge_cases" / name) for name in ("CT_small.dcm", "no_meta.dcm"))
    np.testing.assert_array_equal(whole.hu, without.hu)
    assert whole.facts == without.facts


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("20-wrong-transfer-syntax.dcm", "contradicts Pixel Data"),
        ("ELSCINT1_JP2vsJ2K.dcm", "lossy compression"),
        ("CT_small.dcm", "Contrast medium"),
        ("explicit_VR-UN.dcm", "names no part of the head"),
        ("TOSHIBA_J2K_SIZ0_PixRep1.dcm", "not axial"),
    ],
)
def test_doubt_is_noted(dicom_folder: Path, name: str, note: str) -> None:
    assert any(note in said for said in read_file(dicom_folder / "pixel_edge_cases" / name).notes)


def test_ordinary_head_has_no_notes(dicom_folder: Path) -> None:
    assert read_file(dicom_folder / "ge_head_tilt/14.dcm").notes == ()
    assert read_file(dicom_folder / "philips_phantom/tilt_I50").notes == ()
