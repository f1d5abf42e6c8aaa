"""The page of a study that was read says what is known of it, from what the reading wrote down."""

import html
import io
import re
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from hemoscope.measuring.values import Volume
from hemoscope.studies import Course
from tests.studies.series import series, zipped
from tests.web.studies.conftest import HEIGHTS_MM, a_study
from web.history.jobs import fail_job, queue_job, take_job
from web.history.keeping import set_unread
from web.history.opening import Store
from web.history.worklist import study
from web.studies.facts import amount
from web.studies.recorded import read_recorded
from web.studies.stated import age, geometry_facts
from web.studies.stored import change_of, stored_study
from web.studies.working import Worker
from web.wording import person


def send(client: FlaskClient, worker: Worker, files: list[bytes], **fields: str) -> str:
    """Send a study and have it read; gives the address of its page."""
    archive = zipped({f"{number}.dcm": data for number, data in enumerate(files)})
    answer = client.post("/studies/", data={"files": (io.BytesIO(archive), "study.zip")} | fields)
    assert worker.work()
    return str(answer.headers["Location"])


def text_of(page: str) -> str:
    """What a person reads of a page, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture
def read(client: FlaskClient, worker: Worker) -> str:
    facts = {"PatientSex": "F", "PatientAge": "045Y", "StudyDate": "20261122", "StudyTime": "101500"}
    return send(client, worker, a_study(IssuerOfPatientID="HOSPITAL", StudyDescription="Head", **facts))


def test_decision_stands_with_its_probability_and_band(client: FlaskClient, read: str) -> None:
    said = text_of(client.get(read).text)
    assert "Hemorrhage The probability of any hemorrhage, 94 %, reaches the 62 % from which this model decides" in said
    assert "25 % to 62 %, is the band in which the model does not decide" in said
    assert "any hemorrhage 94 % epidural 6 %" in said
    assert said.count("Research use. Not a medical device.") >= 2


def test_volume_and_bleeds_are_those_of_the_mask(client: FlaskClient, read: str, store: Store) -> None:
    """A square of 4 x 4 pixels of 0.5 mm on four slices 5 mm apart: 4 mm² x 20 mm = 0.08 ml."""
    row = study(store.database, 1).row
    recorded = stored_study(store, row, change_of(store, row)).recorded
    assert recorded.total is not None
    assert recorded.total.ml == pytest.approx(0.08, rel=0.01)
    said = text_of(client.get(read).text)
    assert f"Blood {amount(recorded.total)}".replace("\N{NO-BREAK SPACE}", " ") in said


def test_slices_to_look_at_first_are_links_that_need_no_script(client: FlaskClient, read: str) -> None:
    page = client.get(read).text
    links = re.findall(r'<ol class="jumps">.*?</ol>', page, re.DOTALL)[0]
    assert re.findall(r'href="\?slice=(\d)" data-jump="\1"', links) == ["1", "2", "3", "4"]
    assert "slices/3.png" in client.get(f"{read}?slice=3").text


def test_patient_and_study_are_stated(client: FlaskClient, read: str) -> None:
    page = client.get(read).text
    said = text_of(page)
    assert "Name Doe Jane Patient ID P-17, issued by HOSPITAL Sex female Age 45 years" in said
    assert "Study of 2026-11-22 10:15 Description Head" in said
    assert "The first study of this patient ID and issuer." in said
    assert '<a href="/patients/1/">' in page
    assert '<a href="/studies/1/delete">' in page
    assert '<a href="/worklist/">' in page


def test_what_the_header_says_is_shown_as_text(client: FlaskClient, worker: Worker) -> None:
    files = a_study(PatientName="<b>Doe</b>^Jane", StudyDescription="<script>alert(1)</script>")
    page = client.get(send(client, worker, files)).text
    assert "<b>Doe" not in page
    assert "<script>alert" not in page
    assert "&lt;b&gt;Doe&lt;/b&gt; Jane" in page


def test_series_that_were_left_out_say_why_and_can_be_read_instead(
    client: FlaskClient, worker: Worker, store: Store
) -> None:
    bone = series(
        HEIGHTS_MM, uid="1.2.3.2", StudyInstanceUID="1.2.3", ConvolutionKernel="H70h", SeriesDescription="Bone"
    )
    address = send(client, worker, [*a_study(), *bone])
    page = client.get(address).text
    said = text_of(page)
    assert "2 Bone 4 can be read" in said
    assert "2: Bone, 4 slices" in said
    assert client.post(f"{address}read", data={"model": "unet", "series": "2"}).status_code == 303
    assert worker.work()
    again = text_of(client.get(address).text)
    assert "2 Bone 4 read" in again
    assert "Model unet 1.2.3" in again


def test_opening_a_read_study_marks_it_and_following_its_progress_does_not(
    client: FlaskClient, worker: Worker, store: Store
) -> None:
    archive = zipped({f"{number}.dcm": data for number, data in enumerate(a_study())})
    client.post("/studies/", data={"files": (io.BytesIO(archive), "study.zip")})
    client.get("/studies/1/")
    client.get("/studies/1/state.json")
    worker.work()
    client.get("/studies/1/state.json")
    client.get("/studies/1/study.json")
    client.head("/studies/1/")
    assert study(store.database, 1).row.unread
    client.get("/studies/1/")
    assert not study(store.database, 1).row.unread
    set_unread(store.database, 1, True)
    assert client.get("/studies/1/?slice=99").status_code == 404
    assert study(store.database, 1).row.unread


def test_a_reading_that_failed_is_told_beside_the_one_before_it(client: FlaskClient, store: Store, read: str) -> None:
    number = queue_job(store.database, 1, "unet")
    take_job(store.database, "a")
    fail_job(store.database, number, "a", "The slices have no positions.")
    said = text_of(client.get(read).text)
    assert "The last reading failed. The slices have no positions. Shown is the one before it." in said
    assert "Model reader 1.2.3" in said


def test_results_that_are_lost_can_be_made_again(client: FlaskClient, store: Store, read: str) -> None:
    store.files.results.remove(study(store.database, 1).row.content_hash, [1])
    page = client.get(read)
    assert page.status_code == 200
    assert "The results of this study are not on this server any more." in page.text
    assert 'action="/studies/1/read"' in page.text


def test_growth_since_the_prior_is_told(client: FlaskClient, worker: Worker) -> None:
    send(client, worker, a_study("1.2.3", StudyDate="20261121"))
    later = send(client, worker, a_study("1.2.4", StudyDate="20261122"))
    page = client.get(later).text
    assert "Not grown: 0.1 ml before, 0.1 ml now." in text_of(page)
    assert '<a href="/studies/1/">Open the prior study</a>' in page
    assert 'data-act="compare" data-address="/studies/1/"' in page


def test_every_result_is_offered_with_what_it_is(client: FlaskClient, read: str) -> None:
    page = client.get(read).text
    offered = re.findall(
        r'<dt><a href="([^"]+)" download>([^<]+)</a> <span[^>]*>([^<]+)</span></dt><dd[^>]*>([^<]+)', page
    )
    assert [name for _, name, _, _ in offered] == [
        "Report (PDF)", "DICOM SEG", "DICOM SR", "NIfTI mask", "JSON", "DICOM pictures", "All of these",
    ]  # fmt: skip
    for address, _, _, words in offered:
        assert client.get(f"{read}{address}").status_code == 200
        assert words.endswith(".")
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{read}captures.zip").data))
    assert archive.namelist() == [f"captures/{number:04}.dcm" for number in (1, 2, 3, 4)]


def test_a_model_without_a_mask_offers_no_pictures(client: FlaskClient, worker: Worker, bright_reader: Any) -> None:
    bright_reader.gives_mask = False
    address = send(client, worker, a_study())
    said = text_of(client.get(address).text)
    assert "DICOM pictures" not in said
    assert "Volume not known" in said
    assert client.get(f"{address}captures.zip").status_code == 404


def test_what_was_recorded_is_read_back_as_it_was_measured(store: Store, read: str) -> None:
    folder = store.files.results.folder_of(study(store.database, 1).row.content_hash, 1)
    recorded = read_recorded(folder)
    assert (recorded.series, recorded.model, recorded.version, recorded.finding) == (
        "1",
        "reader",
        "1.2.3",
        "hemorrhage",
    )
    assert recorded.stored == ((0,), (1,), (2,), (3,))
    assert recorded.course == Course((5.0, 5.0, 5.0), (5.0, 5.0, 5.0), 0.0, False, (), 0)
    assert [(one.key, one.readable, one.chosen) for one in recorded.candidates] == [("1", True, True)]
    assert recorded.left_out == ()
    assert recorded.probabilities["subdural"] == 0.75


def test_geometry_is_told_as_a_radiographer_asks_for_it(store: Store, read: str) -> None:
    row = study(store.database, 1).row
    shown = stored_study(store, row, change_of(store, row))
    tilted = Course((4.0, 1.08, 7.0), (4.22, 1.14, 7.38), 18.5, True, ((2, 1),), 1)
    said = {
        one.name: one.words
        for one in geometry_facts(replace(shown.recorded, course=tilted, stored=((0, 1), (2,), (3,))), shown.outline)
    }
    assert said == {
        "Slices": "4 stored thin ones, averaged to 3",
        "Picture": "40 x 48 px of 0.5 mm",
        "Spacing": "4.22, 1.14, 7.38 mm, changing",
        "Across the planes": "4.00, 1.08, 7.00 mm",
        "Extent": "12 mm from the first to the last",
        "Tilt": "+18.5°, gantry tilted: the front is higher",
        "Missing": "1 after stored slice 3",
        "Overlapping": "in 1 of 3 places",
    }


@pytest.mark.parametrize(
    ("written", "words"), [("045Y", "45 years"), ("003D", "3 days"), ("", ""), ("about 40", "about 40"), ("12", "12")]
)
def test_ages_are_told_in_words(written: str, words: str) -> None:
    assert age(written) == words


def test_names_lose_the_signs_of_dicom() -> None:
    assert person("Doe^Jane^^Dr=DOE^JANE") == "Doe Jane Dr"


def test_small_volumes_keep_two_decimals() -> None:
    said = [
        amount(Volume(ml, off)).replace("\N{NO-BREAK SPACE}", " ") for ml, off in ((12.34, 1.26), (0.08, 0.08), (0, 0))
    ]
    assert said == ["12.3 ± 1.3 ml", "0.08 ± 0.08 ml", "0.0 ± 0.0 ml"]
