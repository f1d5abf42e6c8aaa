"""`hemoscope.results.pdf_report`: one page, what it says, read back with pypdf; the same bytes for the same input."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pypdf
import pytest

from hemoscope.findings import Findings
from hemoscope.measurement import measure
from hemoscope.measuring.values import Measurements, MidlineShift
from hemoscope.results.blood import Blood
from hemoscope.results.pdf_report import key_slices, pdf_report
from hemoscope.scan import Scan, ScanFacts
from hemoscope.studies import Volume, read_studies, read_volume, received
from tests.conftest import without_mask
from tests.results.made import files_of, findings_of, phantom

MADE = datetime(2026, 11, 22, 1, 2, tzinfo=UTC)
MIDLINE = MidlineShift(3.25, 1.5, 1, 4, ((10.0, 32.0), (40.0, 32.0)), ((10.0, 32.0), (25.0, 33.0)), (25.0, 33.0))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volume, Findings, Measurements]:
    """A phantom of ten slices with 12 and 20 ml, read by truth; its midline is made up."""
    path = tmp_path_factory.mktemp("study") / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, data in enumerate(files_of(phantom())):
            archive.writestr(f"IM{number:03d}", data)
    with received([path]) as came:
        volume = read_volume(read_studies(came).pick())
    findings = findings_of(Blood(phantom().labels, True))
    return volume, findings, replace(measure(volume.scan, findings), midline=MIDLINE, midline_unknown="")


def with_facts(volume: Volume, facts: ScanFacts) -> Volume:
    return replace(volume, scan=replace(volume.scan, facts=facts))


def words(data: bytes) -> str:
    """The text of the only page."""
    (page,) = pypdf.PdfReader(BytesIO(data)).pages
    assert [float(side) for side in page.mediabox[2:]] == pytest.approx([595.28, 841.89], abs=0.01)  # A4
    return page.extract_text()


def test_the_page_says_who_what_how_much_and_by_what(study) -> None:
    volume, findings, measured = study
    facts = ScanFacts(patient_id="17", patient_id_issuer="Ward", patient_name="Roe^Ann", study_date="20260102")
    said = words(pdf_report(with_facts(volume, facts), findings, measured, MADE))
    for words_of_it in (
        *("Roe Ann", "17 (Ward)", "2026-01-02", "Hemorrhage. Probability of any blood: 0.938"),
        *("Midline shift: 3.2 ± 1.5 mm.", "A doubt.", "Model reader 0.3.0", "Made 2026-11-22 01:02 UTC"),
        *("Research use. Not a medical device.", "subdural", "0.25"),
    ):
        assert words_of_it in said
    for one in (measured.total, *(lesion.volume for lesion in measured.lesions)):
        assert f"{one.ml:.1f} ± {one.uncertainty_ml:.1f} ml" in said


@pytest.mark.parametrize(
    ("decided_by", "sentence"),
    [
        ("scan", "Decided over all slices by the model's rule for whole scans: no hemorrhage below 0.125,"),
        ("slice", "Decided by the likeliest slice with the model's rule for single slices: no hemorrhage below 0.125,"),
    ],
)
def test_the_page_says_which_rule_decided_and_its_thresholds(study, decided_by: str, sentence: str) -> None:
    volume, findings, measured = study
    findings = replace(findings, decided_by=decided_by, band=(0.125, 0.5625))
    said = " ".join(words(pdf_report(volume, findings, measured, MADE)).split())
    assert sentence in said
    assert "hemorrhage from 0.562 on. Uncertain means that the probability lies in the model's abstain band" in said


def test_thresholds_that_are_not_known_are_not_made_up(study) -> None:
    volume, findings, measured = study
    said = words(pdf_report(volume, replace(findings, band=None), measured, MADE))
    assert "abstain band: the model does not decide" in " ".join(said.split())
    assert "no hemorrhage below" not in said


def test_the_same_input_gives_the_same_bytes(study) -> None:
    assert pdf_report(*study, MADE) == pdf_report(*study, MADE)
    assert pdf_report(*study, MADE) != pdf_report(*study, MADE.replace(hour=2))


def test_what_is_known_of_the_studies_is_said_before_what_is_known_of_the_reading(study) -> None:
    said = words(pdf_report(*study, MADE, ["One ID stands under two names."]))
    assert said.index("One ID stands under two names.") < said.index("A doubt.")


def test_many_lesions_and_long_texts_stay_on_the_page(study) -> None:
    volume, findings, measured = study
    endless = "W" * 500 + " lorem" * 500
    names = ("patient_id", "patient_name", "study_description", "series_description", "manufacturer")
    facts = ScanFacts(**dict.fromkeys(names, endless))
    findings = replace(findings, notes=(endless,) * 30, model="m" * 200)
    measured = replace(measured, lesions=measured.lesions[:1] * 40, smaller_pieces=7, midline_unknown=endless)
    measured = replace(measured, midline=None, total=None, volume_unknown=endless, notes=())
    data = pdf_report(with_facts(volume, facts), findings, measured, MADE)
    said = words(data)
    assert "and 34 more, and 7 smaller pieces" in said
    assert "and 27 more" in said  # of the 30 notes three have two lines each
    lows = all_baselines(data)
    assert min(lows) > 20
    assert max(lows) < 842


def all_baselines(data: bytes) -> list[float]:
    """The heights of all texts above the page's lower edge, in points."""
    heights: list[float] = []

    def visit(text: str, _: object, matrix: Sequence[float], *more: object) -> None:
        if text.strip():
            heights.append(matrix[5])

    pypdf.PdfReader(BytesIO(data)).pages[0].extract_text(visitor_text=visit)
    return heights


@pytest.mark.parametrize("name", ["Иванова^Мария", "Παπαδοπούλου^Ελένη", "Müller^Zoë"])
def test_names_in_greek_and_cyrillic_are_written(study, name: str) -> None:
    volume, findings, measured = study
    said = words(pdf_report(with_facts(volume, ScanFacts(patient_name=name)), findings, measured, MADE))
    assert name.replace("^", " ") in said
    assert "stands for letters" not in said


def test_letters_that_the_font_lacks_are_replaced_and_said(study) -> None:
    volume, findings, measured = study
    facts = ScanFacts(patient_name="山田^太郎", study_description="\ud800\x00 CT")
    said = words(pdf_report(with_facts(volume, facts), findings, measured, MADE))
    assert "?? ??" in said
    assert "? also stands for letters that the report's font does not have." in said


def test_what_is_unknown_is_said(study) -> None:
    volume, findings, _ = study
    nothing = Measurements(None, None, (), 0, None, "No spacing is stated.", "No skull was found.")
    bare = Volume(Scan(volume.scan.hu, calibrated=True), volume.slices, None, volume.turn, None, ())
    probabilities = dict.fromkeys(findings.probabilities, None) | {"any": 0.5}
    said = words(pdf_report(bare, replace(findings, probabilities=probabilities, notes=()), nothing, MADE))
    assert said.count("not stated") == 7  # all facts but the number of slices
    assert "Volume not known: No spacing is stated." in said
    assert "Midline shift not known: No skull was found." in said
    assert said.count("not known") == 2 + 5 + 6  # the two sentences, five probabilities, six volumes
    assert "No lesion was measured" in said


def test_pieces_too_small_for_a_lesion_are_counted_without_one(study) -> None:
    volume, findings, measured = study
    said = words(pdf_report(volume, findings, replace(measured, lesions=(), smaller_pieces=3), MADE))
    assert "No lesion was measured, and 3 smaller pieces" in said


def test_a_model_without_a_mask_gets_its_page(study) -> None:
    volume, findings, _ = study
    bare = without_mask(findings)
    said = words(pdf_report(volume, bare, measure(volume.scan, bare), MADE))
    assert "Volume not known" in said
    assert "Slice " in said


def test_key_slices_are_those_of_the_midline_the_lesions_and_the_likeliest_blood(study) -> None:
    _, findings, measured = study
    shown = key_slices(findings, measured)
    assert MIDLINE.slice in shown
    assert {one.largest_slice for one in measured.lesions} <= set(shown)
    assert shown == sorted(set(shown))
    assert len(shown) <= 6
    quiet = replace(findings, slices=tuple(replace(one, finding="none") for one in findings.slices))
    assert key_slices(quiet, replace(measured, lesions=(), midline=None)) == [5]  # the middle of ten


@pytest.mark.parametrize(
    ("orientation", "sides"),
    [((1, 0, 0, 0, 1, 0), ["R", "L"]), ((-1, 0, 0, 0, 1, 0), ["L", "R"]), ((0, 1, 0, 0, 0, -1), []), (None, [])],
)
def test_the_patients_sides_are_marked_where_they_are_known(study, orientation, sides: list[str]) -> None:
    volume, findings, measured = study
    turned = replace(volume, scan=replace(volume.scan, orientation=orientation))
    said = words(pdf_report(turned, findings, measured, MADE)).splitlines()
    assert [line for line in said if line in ("R", "L")] == sides * len(key_slices(findings, measured))
