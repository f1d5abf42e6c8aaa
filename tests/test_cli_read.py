"""`hemoscope read`: what it prints, writes and exits with. A rule that a hand can follow stands in for the network."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pypdf
import pytest
from click.testing import CliRunner, Result

import cli
import model
from tests.results.made import enhanced
from tests.studies.series import BLOOD_HU, series, write, zipped
from tests.studies.test_nifti import RAS, VOXELS, save

SHORT = [5.0 * number for number in range(6)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, bright_reader):
    """Run `hemoscope read ARGUMENTS` in this process with the bright reader as the model."""
    monkeypatch.setattr(model, "load", lambda name: bright_reader)

    def run_command(*arguments: object) -> Result:
        result = CliRunner().invoke(cli.main, ["read", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run_command


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A soft series of six slices with 16 pixels of blood each, a bone series, a localizer and a text."""
    folder = write(tmp_path / "study", series(SHORT, uid="1.2.3.1", SeriesNumber=1, SeriesDescription="Head 5.0"))
    write(folder, series(SHORT, uid="1.2.3.2", SeriesNumber=2, SeriesDescription="Bone", ConvolutionKernel="H70h"))
    write(folder, series([0.0], uid="1.2.3.3", SeriesNumber=3, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    (folder / "README").write_text("nothing")
    return folder


def test_people_are_told_the_series_and_the_reading(run, study: Path) -> None:
    result = run(study)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "series 1    read          Head 5.0: 6 axial slices, no contrast medium stated, a soft kernel, the head, "
        "but only 25 mm from the first to the last slice.",
        "series 2    can be picked Bone: It was made with a sharp kernel (bone, lung), whose noise hides faint blood; "
        "a soft one is there.",
        "series 3    left out      H31S: A localizer: an overview picture for planning the scan, not slices.",
    ]
    assert "Series 1: hemorrhage, any 0.94: subdural 0.75" in lines
    assert "  look at slice 1 (z 0.0 mm): hemorrhage, 0.94" in lines
    assert sum(line.startswith("  look at") for line in lines) == 5
    assert "README: The file is text" in result.stderr
    assert "not a medical device" in result.stderr


def test_json_says_the_reading_the_geometry_and_the_series(run, study: Path) -> None:
    result = run(study, "--json", "-")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert list(said) == [
        *("study", "series", "model", "version", "probabilities", "finding", "area_px", "area_mm2"),
        *(
            "subtype_areas_px",
            "seconds",
            "notes",
            "decided_by",
            "measurements",
            "look_first",
            "geometry",
            "slices",
            "candidates",
            "left_out",
        ),
    ]
    assert (said["study"], said["series"], said["finding"]) == ([str(study)], "1", "hemorrhage")
    assert (said["area_px"], said["area_mm2"]) == (96, 24.0)  # 6 slices of 16 pixels of 0.25 mm²
    assert said["look_first"] == [0, 1, 2, 3, 4]
    assert said["geometry"] == {
        "slices": 6,
        "gaps_mm": [5.0] * 5,
        "steps_mm": [5.0] * 5,
        "tilt_degrees": 0.0,
        "missing": [],
        "overlaps": 0,
    }
    assert [one["z_mm"] for one in said["slices"]] == SHORT
    assert [one["stored"] for one in said["slices"]] == [[number] for number in range(6)]
    assert [(one["key"], one["readable"], one["chosen"]) for one in said["candidates"]] == [
        ("1", True, True),
        ("2", True, False),
        ("3", False, False),
    ]
    assert [one["name"] for one in said["left_out"]] == ["README"]


def test_how_much_blood_there_is_is_said(run, study: Path) -> None:
    measured = json.loads(run(study, "--json", "-").stdout)["measurements"]
    assert measured["total"]["ml"] == 0.12  # 6 slices of 4 mm² of blood, 5 mm apart
    assert [(one["slices"], one["volume"]) for one in measured["lesions"]] == [([0, 5], measured["total"])]
    assert measured["midline"] is None
    assert measured["midline_unknown"].endswith(".")
    lines = run(study).stdout.splitlines()
    assert "Blood: 0.12 ± 0.05 ml" in lines
    (lesion,) = [line for line in lines if line.startswith("  0.12 ± 0.05 ml (ABC/2 ")]
    assert lesion.endswith("largest in slice 1 (z 0.0 mm)")
    assert f"Midline shift not known: {measured['midline_unknown']}" in lines


def test_results_for_other_programs_are_written_into_a_new_folder(run, tmp_path: Path) -> None:
    out, study = tmp_path / "out", write(tmp_path / "study", series(SHORT, FrameOfReferenceUID="1.2.3.9"))
    result = run(study, "--out", out)
    assert result.exit_code == 0, result.stderr
    captures = [f"captures/{number:04d}.dcm" for number in range(1, 7)]
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert written == [*captures, "mask.nii.gz", "report.dcm", "report.pdf", "result.json", "segmentation.dcm"]
    assert json.loads((out / "result.json").read_text())["measurements"]["total"]["ml"] == 0.12
    segmentation = pydicom.dcmread(out / "segmentation.dcm")
    assert segmentation.pixel_array.sum() == 96  # 6 slices of 16 pixels
    assert pydicom.dcmread(out / "report.dcm").Modality == "SR"
    again = run(study, "--out", out)
    assert again.exit_code == 2
    assert "is not empty" in again.stderr


def test_without_a_frame_of_reference_all_but_the_segmentation_is_written(run, study: Path, tmp_path: Path) -> None:
    result = run(study, "--out", tmp_path / "out")
    assert "segmentation.dcm is not written: FrameOfReferenceUID is missing" in result.stderr
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["captures", "mask.nii.gz", "report.dcm", "report.pdf", "result.json"]


def test_what_cannot_be_written_of_a_study_is_said(run, study: Path, tmp_path: Path, bright_reader) -> None:
    bright_reader.gives_mask = False
    result = run(study, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "bright gives no mask: segmentation.dcm, captures and mask.nii.gz are not written." in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.dcm", "report.pdf", "result.json"]
    file = tmp_path / "file"
    file.touch()
    refused = run(study, "--out", file / "out")
    assert refused.exit_code == 1
    assert "cannot be written: Not a directory." in refused.stderr


def test_a_nifti_study_gets_a_page_a_mask_and_json(run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(save(tmp_path / "head.nii.gz"), "--out", out)
    assert result.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["mask.nii.gz", "report.pdf", "result.json"]
    sentences = [line for line in result.stderr.splitlines() if "written" in line]
    assert sentences == ["The study is no DICOM: segmentation.dcm, report.dcm and captures are not written."]
    mask, drawn = nibabel.load(out / "mask.nii.gz"), VOXELS == BLOOD_HU
    assert places_mm(np.asarray(mask.dataobj) > 0, mask.affine) == places_mm(drawn, RAS)
    said = json.loads((out / "result.json").read_text())
    assert said["measurements"]["total"]["ml"] == 0.12  # 6 slices of 4 mm² of blood, 5 mm apart
    assert len(pypdf.PdfReader(out / "report.pdf").pages) == 1


def places_mm(voxels: np.ndarray, affine: np.ndarray) -> set[tuple[float, ...]]:
    """Where the centres of the voxels that are set lie, to a hundredth of a millimetre."""
    return {tuple(place) for place in np.round(nibabel.affines.apply_affine(affine, np.argwhere(voxels)), 2) + 0.0}


def test_of_a_nifti_study_without_a_mask_both_reasons_are_said(run, tmp_path: Path, bright_reader) -> None:
    bright_reader.gives_mask = False
    result = run(save(tmp_path / "head.nii"), "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "bright gives no mask: segmentation.dcm, captures and mask.nii.gz are not written." in result.stderr
    assert "The study is no DICOM: segmentation.dcm, report.dcm and captures are not written." in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.pdf", "result.json"]


def test_an_enhanced_ct_gets_all_results(run, tmp_path: Path) -> None:
    (tmp_path / "study").write_bytes(enhanced(series(SHORT, FrameOfReferenceUID="1.2.3.9")))
    result = run(tmp_path / "study", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "not written" not in result.stderr
    assert pydicom.dcmread(tmp_path / "out" / "segmentation.dcm").pixel_array.sum() == 96
    assert len(list((tmp_path / "out" / "captures").iterdir())) == 6


def test_another_series_is_read_when_it_is_picked(run, study: Path, bright_reader) -> None:
    assert run(study, "--series", "2").exit_code == 0
    assert run(study, "--series", "1.2.3.2").exit_code == 0
    assert {scan.facts.convolution_kernel for scan in bright_reader.scans} == {"H70h"}


def test_thin_slices_are_named_by_their_slabs(run, tmp_path: Path) -> None:
    write(tmp_path, series([1.25 * number for number in range(20)]))
    result = run(tmp_path)
    assert "  look at slices 1 to 4 (z 1.9 mm): hemorrhage, 0.94" in result.stdout.splitlines()
    assert "20 slices, counted from the feet." in result.stdout
    said = json.loads(run(tmp_path, "--json", "-").stdout)
    assert said["slices"][1]["stored"] == [4, 5, 6, 7]


def test_several_patients_are_listed_apart_and_one_must_be_picked(run, tmp_path: Path) -> None:
    for patient, date in (("A", "20260101"), ("B", "20260202")):
        write(tmp_path, series(SHORT, PatientID=patient, StudyDate=date, StudyDescription="Head"))
    result = run(tmp_path)
    assert result.exit_code == 2
    studies = [line for line in result.stdout.splitlines() if line.startswith("study")]
    assert studies == ["study of 20260101: Head", "study of 20260202: Head"]
    assert "These are studies of 2 patients; they are kept apart. Choose the series to read: 1 or 2." in result.stderr
    assert run(tmp_path, "--series", "2").exit_code == 0


def test_an_archive_is_read(run, tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(zipped({str(number): data for number, data in enumerate(series(SHORT))}))
    assert run(path).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--series", "7"], "There is no series '7'. The series are: 1, 2, 3."),
        (["--series", "3"], "Series 3 cannot be read. A localizer"),
    ],
)
def test_a_series_that_cannot_be_read_exits_with_2(run, study: Path, arguments: list[str], sentence: str) -> None:
    result = run(study, *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_what_is_no_study_gets_one_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    for path, sentence in ((tmp_path / "text", "is text"), (tmp_path / "gone", "There is no such file or folder.")):
        result = run(path)
        assert result.exit_code == 2
        assert sentence in result.stderr
        assert result.stdout == ""
        assert json.loads(run(path, "--json", "-").stdout)["error"].startswith("There is no CT series")


def test_json_is_not_written_over_what_is_read(run, study: Path) -> None:
    before = (study / "IM0000").read_bytes()
    result = run(study, "--json", study / "IM0000")
    assert result.exit_code == 2
    assert "would overwrite" in result.stderr
    assert (study / "IM0000").read_bytes() == before


def test_help_says_what_a_study_is(run) -> None:
    assert "a ZIP archive, a NIfTI volume" in run("--help").stdout
