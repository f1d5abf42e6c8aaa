"""Sorting and choosing: series, stacks, what is read and what is left out and why. Small synthetic series."""

from math import cos, radians, sin
from pathlib import Path

import numpy as np
import pytest

from hemoscope.errors import BadRequest, BadScan
from hemoscope.studies.content import names_contrast, sharpness
from tests.readers.samples import dicom_bytes
from tests.studies.series import AXIAL, series, slice_hu, sorted_out, write, zipped

WHOLE = [5.0 * number for number in range(20)]  # 95 mm
SHORT = [5.0 * number for number in range(6)]


def reasons(*paths: Path) -> dict[str, str]:
    return {one.key: one.reason for one in sorted_out(*paths).candidates}


def test_shuffled_names_give_the_order_of_the_positions(tmp_path: Path) -> None:
    studies = sorted_out(write(tmp_path, series(SHORT), seed=1))
    stack = studies.pick().stack
    assert [one.position_mm[2] for one in stack.slices] == SHORT
    assert [one.instance_uid for one in stack.slices] == [f"1.2.3.1.{number}" for number in range(1, 7)]


def test_the_chosen_series_says_why(tmp_path: Path) -> None:
    assert reasons(write(tmp_path, series(SHORT))) == {
        "1": "6 axial slices, no contrast medium stated, a soft kernel, the head, but only 25 mm from the "
        "first to the last slice."
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"ConvolutionKernel": "H70h"},
            "sharp kernel (bone, lung), whose noise hides faint blood; a soft one is there",
        ),
        ({"ContrastBolusAgent": "IOMERON"}, "Contrast medium was given"),
        ({"SeriesDescription": "Head CTA 0.75"}, "The description names contrast medium"),
        ({"SeriesDescription": "C+ 5.0"}, "The description names contrast medium"),
        ({"BodyPartExamined": "CHEST"}, r"Body Part Examined (0018,0015) is CHEST: not the head."),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "computed from other images"),
        ({"ConvolutionKernel": "XYZ"}, "kernel is not known"),
        ({"Modality": "MR"}, r"Images of another kind (Modality (0008,0060) is MR): only CT is read."),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "A localizer"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "A secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, "A secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67", "Modality": "SR"}, "A dose report"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "Modality": "SR"}, "A structured report"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}, "A segmentation"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MIP"]}, "a map or a projection"),
    ],
)
def test_other_series_are_left_out_with_a_reason(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    write(tmp_path, series(WHOLE[:6], uid="1.2.3.9", SeriesNumber=1, **changes))
    write(tmp_path, series(WHOLE[:6], uid="1.2.3.8", SeriesNumber=2))
    studies = sorted_out(tmp_path)
    other, chosen = studies.candidates
    assert reason in other.reason
    assert (other.chosen, chosen.chosen) == (False, True)
    assert studies.pick().series.uid == "1.2.3.8"


def test_a_mask_stored_as_ct_is_told_by_its_pixels(tmp_path: Path) -> None:
    mask = (slice_hu(0) == 60).astype(np.int16)
    write(tmp_path, series(SHORT, [mask] * 6, uid="1.2.3.9"))
    assert "this is a mask or an empty image" in reasons(tmp_path)["1"]


def test_the_whole_head_is_preferred_to_a_part(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT, uid="1.2.3.8", SeriesNumber=1))
    write(tmp_path, series(WHOLE, uid="1.2.3.9", SeriesNumber=2))
    assert sorted_out(tmp_path).pick().series.uid == "1.2.3.9"
    assert "covers less of the head" in reasons(tmp_path)["1"]


def test_the_whole_head_with_a_sharp_kernel_is_preferred_to_a_part_with_a_soft_one(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT, uid="1.2.3.8", SeriesNumber=1))
    write(tmp_path, series(WHOLE, uid="1.2.3.9", SeriesNumber=2, ConvolutionKernel="BONE"))
    chosen = sorted_out(tmp_path).pick()
    assert chosen.series.uid == "1.2.3.9"
    assert chosen.reason == (
        "20 axial slices, no contrast medium stated, a sharp kernel (no soft one of the whole head is there), the head."
    )


def test_thick_slices_are_preferred_to_thin_ones(tmp_path: Path) -> None:
    write(tmp_path, series([number * 1.0 for number in range(90)], uid="1.2.3.8", SeriesNumber=1))
    write(tmp_path, series(WHOLE, uid="1.2.3.9", SeriesNumber=2))
    assert sorted_out(tmp_path).pick().series.uid == "1.2.3.9"


def test_a_sharp_series_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT, ConvolutionKernel="BONE"))
    assert "a sharp kernel (no soft one of the whole head is there)" in sorted_out(tmp_path).pick().reason


def test_another_series_can_be_picked_by_number_and_uid(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT, uid="1.2.3.8", SeriesNumber=1))
    write(tmp_path, series(SHORT, uid="1.2.3.9", SeriesNumber=2, ContrastBolusAgent="IOMERON"))
    studies = sorted_out(tmp_path)
    assert studies.pick().key == "1"
    assert studies.pick("2").series.uid == studies.pick("1.2.3.9").series.uid == "1.2.3.9"
    with pytest.raises(BadRequest, match=r"There is no series '3'. The series are: 1, 2."):
        studies.pick("3")


def test_what_cannot_be_read_cannot_be_picked(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT, Modality="MR"))
    with pytest.raises(BadScan, match=r"Series 1 cannot be read. Images of another kind"):
        sorted_out(tmp_path).pick("1")


def test_one_bad_file_does_not_lose_the_others(tmp_path: Path) -> None:
    write(tmp_path, [b"", b"text", *series(SHORT), series([99.0])[0][:300], b"\x89PNG\r\n\x1a\n" + bytes(100)])
    studies = sorted_out(tmp_path)
    assert len(studies.pick().stack.slices) == 6
    said = {one.name: one.reason for one in studies.left_out}
    assert list(said) == ["IM0000", "IM0001", "IM0008", "IM0009"]
    assert said["IM0000"] == "The file is empty."
    assert "is text" in said["IM0001"]
    assert "This is a picture, not DICOM" in said["IM0009"]


def test_patients_and_studies_are_kept_apart(tmp_path: Path) -> None:
    write(tmp_path, series(SHORT, uid="1.2.3.1", PatientID="A"))
    write(tmp_path, series(SHORT, uid="1.2.3.1", PatientID="B"))  # even under the same UIDs
    studies = sorted_out(tmp_path)
    assert [one.facts.patient_id for one in studies.studies] == ["A", "B"]
    assert studies.notes == ("These are studies of 2 patients; they are kept apart.",)
    with pytest.raises(BadScan, match=r"studies of 2 patients.* Choose the series to read: 1 or 2\."):
        studies.pick()
    assert studies.pick("2").series.facts.patient_id == "B"


def test_the_same_id_of_two_issuers_is_two_patients(tmp_path: Path) -> None:
    for issuer in ("North", "South"):
        write(tmp_path, series(SHORT, PatientID="A", IssuerOfPatientID=issuer))
    assert len(sorted_out(tmp_path).studies) == 2


def test_one_id_under_two_names_is_said(tmp_path: Path) -> None:
    for name in ("Doe^Jane", "Doe^John"):
        write(tmp_path, series(SHORT, uid=f"1.2.3.{len(name)}{name[-1] == 'e':d}", PatientName=name))
    notes = sorted_out(tmp_path).notes
    assert notes == ("One Patient ID (0010,0020) stands under different names: make sure that it is one patient.",)


def test_two_studies_of_a_patient_are_said(tmp_path: Path) -> None:
    for uid in ("1.2.3", "1.2.4"):
        write(tmp_path, series(SHORT, StudyInstanceUID=uid, uid=f"{uid}.1"))
    assert sorted_out(tmp_path).notes == ("These are 2 studies; they are kept apart.",)


@pytest.mark.parametrize(
    "changes",
    [
        {"ImageOrientationPatient": [1, 0, 0, 0, 0.9848, -0.1736]},  # 10 degrees
        {"FrameOfReferenceUID": "1.2.99"},
        {"PixelSpacing": [0.6, 0.6]},
    ],
)
def test_a_series_of_mixed_slices_is_split(tmp_path: Path, changes: dict[str, object]) -> None:
    usual = {"ImageOrientationPatient": AXIAL, "FrameOfReferenceUID": "1.2.98"}
    write(tmp_path, series(SHORT, **usual))
    write(tmp_path, series(SHORT[:4], **usual | changes))
    studies = sorted_out(tmp_path)
    assert [(one.key, len(one.stack.slices), one.chosen) for one in studies.candidates] == [
        ("1.1", 6, True),
        ("1.2", 4, False),
    ]
    assert len(studies.pick("1.2").stack.slices) == 4
    assert len(studies.pick("1").stack.slices) == 6


def test_a_localizer_within_a_series_is_left_out_of_it(tmp_path: Path) -> None:
    scout = series([50.0], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write(tmp_path, [*series(SHORT), *scout])
    (candidate,) = sorted_out(tmp_path).candidates
    assert len(candidate.stack.slices) == 6
    assert [one.name for one in candidate.series.left_out] == ["IM0006"]


def test_the_same_slice_twice_is_read_once(tmp_path: Path) -> None:
    files = series(SHORT)
    stack = sorted_out(write(tmp_path, [*files, files[2], files[2], files[4]])).pick().stack
    assert len(stack.slices) == 6
    assert stack.notes == ("3 slices were there more than once, with the same pixels; one of each is read.",)


def test_different_slices_at_one_place_are_refused(tmp_path: Path) -> None:
    other = series([SHORT[2]], [slice_hu(77)])
    write(tmp_path, [*series(SHORT), *other])
    assert "Up to 2 different slices lie at one place" in reasons(tmp_path)["1"]


def test_phases_at_the_same_places_are_split_by_acquisition(tmp_path: Path) -> None:
    for acquisition in (1, 2):
        hu = [slice_hu(10 * acquisition + number) for number in range(6)]
        write(tmp_path, series(SHORT, hu, AcquisitionNumber=acquisition))
    studies = sorted_out(tmp_path)
    assert [len(one.stack.slices) for one in studies.candidates] == [6, 6]
    assert [{slice_.acquisition for slice_ in one.stack.slices} for one in studies.candidates] == [{1}, {2}]


def test_slices_without_a_position_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [dicom_bytes(slice_hu(number), ImagePositionPatient=None) for number in range(4)])
    assert "their order in the head cannot be told" in reasons(tmp_path)["1"]


def test_slices_at_impossible_positions_are_refused(tmp_path: Path) -> None:
    write(tmp_path, series([0.0, 5.0, 10.0, 1e300, -1e300]))
    studies = sorted_out(tmp_path)
    assert len(studies.pick().stack.slices) == 3
    assert "their order in the head cannot be told" in studies.candidates[1].reason


def test_a_radial_reformat_is_no_volume(tmp_path: Path) -> None:
    files = []
    for number in range(70):
        turn = radians(number)
        files += series([0.0], [slice_hu(number)], ImageOrientationPatient=[cos(turn), sin(turn), 0, 0, 0, -1])
    assert "more than 64 orientations or grids" in reasons(write(tmp_path, files))["1"]


def test_too_many_slices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemoscope.studies.study.SLICES_AT_MOST", 5)
    with pytest.raises(BadScan, match="There are more than 5 slices"):
        sorted_out(write(tmp_path, series(SHORT)))


def test_too_few_slices_are_not_read_by_themselves_but_can_be_picked(tmp_path: Path) -> None:
    studies = sorted_out(write(tmp_path, series(SHORT[:2])))
    with pytest.raises(BadScan, match="No series was chosen by itself; these can be picked: 1"):
        studies.pick()
    assert studies.pick("1").reason == "Only 2 slices: at least 3 make a study of a head."


def test_a_missing_slice_is_said(tmp_path: Path) -> None:
    stack = sorted_out(write(tmp_path, series([0.0, 5, 10, 20, 25]), seed=2)).pick().stack
    assert "1 slice is missing between slices 3 and 4." in stack.notes


def test_an_archive_gives_what_the_folder_gives(tmp_path: Path) -> None:
    files = series(SHORT)
    folder = write(tmp_path / "folder", files)
    inner = zipped({f"{9 - number}": file for number, file in enumerate(files)} | {"DICOMDIR": b"not one at all"})
    path = tmp_path / "study.zip"
    path.write_bytes(zipped({"a/study.zip": inner, "__MACOSX/a/._study.zip": b"junk"}))
    one, other = sorted_out(folder).pick().stack, sorted_out(path).pick().stack
    assert [slice_.instance_uid for slice_ in one.slices] == [slice_.instance_uid for slice_ in other.slices]


@pytest.mark.parametrize(
    ("description", "contrast"),
    [
        *(
            (name, True)
            for name in ("CTA Head", "CT ANGIO", "Angiography", "+C", "Post Contrast 5mm", "Perfusion 10.0")
        ),
        *((name, True) for name in ("arterial phase", "C+ Head", "Schädel KM")),
        *((name, False) for name in ("", "Head 5.0 H31s", "Without contrast", "NO KM", "Cta1", "C-Spine", "Vitamin C")),
    ],
)
def test_contrast_is_known_by_the_description(description: str, contrast: bool) -> None:
    assert names_contrast(description) == contrast


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        *((name, "soft") for name in ("STANDARD", "SOFT", "STD+", "H31s", "J40s", "Hr38f", "Hc40", "B30s", "FC26")),
        *((name, "soft") for name in ("FC21", "FC64", "UB", "UA", "B", "UC", "BRAIN", "HEAD")),
        *((name, "sharp") for name in ("BONE", "BONEPLUS", "EDGE", "LUNG", "H60s", "Hr64h", "B70s", "U90u", "J70h")),
        *((name, "sharp") for name in ("FC30", "FC81", "FC52", "D", "E", "YE", "L", "EC")),
        *((name, "unknown") for name in ("", "11", "FC", "XYZ")),
    ],
)
def test_kernels_are_known_by_their_vendors_names(kernel: str, kind: str) -> None:
    assert sharpness(kernel.upper()) == kind
