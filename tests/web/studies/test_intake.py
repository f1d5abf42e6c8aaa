"""What was sent becomes studies of one patient each, with exactly their files, and a job where there is one to do."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hemoscope.errors import BadRequest, BadScan
from tests.studies.series import series, zipped
from tests.web.studies.conftest import HEIGHTS_MM, a_study
from web.history.deidentify import Deidentifier
from web.history.jobs import fail_job, job_state, take_job
from web.history.opening import Store
from web.history.readings import store_reading
from web.history.records import ReadingFacts
from web.history.worklist import Filter, study, worklist
from web.studies.intake import TakenIn, nothing_kept, take_in


@pytest.fixture
def send(store: Store, tmp_path: Path) -> Callable[..., TakenIn]:
    """Send files by name, each as it is."""

    def sent(files: dict[str, bytes], series: str = "") -> TakenIn:
        folder = tmp_path / "sent"
        folder.mkdir(exist_ok=True)
        paths = []
        for name, data in files.items():
            paths.append(folder / name)
            paths[-1].write_bytes(data)
        return take_in(store, paths, "reader", series)

    return sent


def named(files: list[bytes], prefix: str = "") -> dict[str, bytes]:
    return {f"{prefix}{number}.dcm": data for number, data in enumerate(files)}


def contents(store: Store, number: int) -> list[bytes]:
    row = study(store.database, number).row
    return sorted(file.read_bytes() for file in store.files.files_of(row.content_hash))


def test_an_archive_is_unpacked_kept_and_queued(store: Store, send: Callable[..., TakenIn]) -> None:
    files = a_study(StudyDate="20261122", StudyDescription="Head", PatientSex="F")
    taken = send({"study.zip": zipped(named(files))})
    assert [(one.number, one.new, one.job) for one in taken.studies] == [(1, True, 1)]
    assert contents(store, 1) == sorted(files)
    kept = study(store.database, 1)
    assert (kept.row.patient_name, kept.row.patient_id, kept.row.description) == ("Doe^Jane", "P-17", "Head")
    assert [(one.series_uid, one.slices, one.chosen) for one in kept.series] == [("1.2.3.1", 4, True)]
    job = job_state(store.database, 1)
    assert (job.study_number, job.model, job.series, job.state) == (1, "reader", "", "queued")


def test_the_same_study_in_other_wrapping_is_the_same_and_is_read_once(
    store: Store, send: Callable[..., TakenIn]
) -> None:
    files = named(a_study())
    send({"study.zip": zipped(files)})
    taken = send({"other.zip": zipped({"inner.zip": zipped(dict(reversed(files.items())), zipfile.ZIP_STORED)})})
    loose = send(files)
    assert [(one.number, one.new, one.job) for one in (*taken.studies, *loose.studies)] == [(1, False, None)] * 2


def test_two_patients_in_one_archive_are_two_studies(store: Store, send: Callable[..., TakenIn]) -> None:
    files = named(a_study("1.2.3")) | named(a_study("1.2.4", PatientID="P-18", PatientName="Roe^Richard"), "other")
    taken = send({"both.zip": zipped(files)})
    assert [one.number for one in taken.studies] == [1, 2]
    assert taken.notes == ("These are studies of 2 patients; they are kept apart.",)
    rows = worklist(store.database, Filter()).rows
    assert {row.patient_id: row.files for row in rows} == {"P-17": 4, "P-18": 4}
    assert len({row.patient_number for row in rows}) == 2


def test_what_is_not_read_of_a_study_is_kept_with_it(store: Store, send: Callable[..., TakenIn]) -> None:
    scout = series([0.0], uid="1.2.3.9", StudyInstanceUID="1.2.3", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    taken = send(named(a_study()) | {"scout.dcm": scout[0]})
    assert len(contents(store, 1)) == 5
    assert [(one.slices, one.chosen) for one in study(store.database, 1).series] == [(4, True), (0, False)]
    assert [one.name for one in taken.left_out] == ["scout.dcm"]
    assert "localizer" in taken.left_out[0].reason


def test_a_damaged_file_loses_none_of_the_others(store: Store, send: Callable[..., TakenIn]) -> None:
    files = named(a_study())
    archive = zipped(files, zipfile.ZIP_STORED)
    whole = files["2.dcm"]
    hurt = archive.replace(whole, whole[:-9] + bytes(9), 1)  # its checksum is wrong now, its header whole
    taken = send({"study.zip": hurt, "notes.txt": b"nothing"})
    assert [(one.number, one.job) for one in taken.studies] == [(1, 1)]
    assert contents(store, 1) == sorted(data for name, data in files.items() if name != "2.dcm")
    assert sorted(one.name for one in taken.left_out) == ["notes.txt", "study.zip/2.dcm"]


def test_nothing_is_kept_where_nothing_can_be_read(store: Store, send: Callable[..., TakenIn]) -> None:
    picture = io.BytesIO()
    Image.new("L", (64, 64)).save(picture, "PNG")
    taken = send({"a.png": picture.getvalue()} | named(a_study(Modality="MR")))
    assert [one.number for one in taken.studies] == [None]
    assert "only CT is read" in nothing_kept(taken)
    assert worklist(store.database, Filter()).studies == 0
    assert store.files.hashes(-1) == ()


def test_pictures_alone_are_refused_with_the_reason(send: Callable[..., TakenIn]) -> None:
    picture = io.BytesIO()
    Image.new("L", (64, 64)).save(picture, "PNG")
    taken = send({"a.png": picture.getvalue()})
    assert nothing_kept(taken).startswith(
        "Nothing was kept, for there is no study that can be read. a.png: This is a picture"
    )


def test_a_study_that_no_rule_chooses_from_is_kept_and_not_queued(send: Callable[..., TakenIn]) -> None:
    taken = send(named(a_study(ContrastBolusAgent="Iohexol")))
    assert [(one.number, one.job) for one in taken.studies] == [(1, None)]
    assert "1 can be picked" in taken.studies[0].sentence


def test_the_wanted_series_is_read_by_its_uid(store: Store, send: Callable[..., TakenIn]) -> None:
    bone = series(HEIGHTS_MM, uid="1.2.3.2", StudyInstanceUID="1.2.3", SeriesNumber=2, ConvolutionKernel="H70s")
    taken = send(named(a_study(SeriesNumber=1)) | named(bone, "bone"), series="2")
    job = job_state(store.database, taken.studies[0].job)
    assert job.series == "1.2.3.2"
    assert [one.chosen for one in study(store.database, 1).series] == [False, True]


def test_a_series_that_is_not_there_keeps_nothing(store: Store, send: Callable[..., TakenIn]) -> None:
    with pytest.raises(BadRequest, match="There is no series '7'"):
        send(named(a_study()), series="7")
    with pytest.raises(BadScan, match="cannot be read"):
        send(named(a_study(Modality="MR")), series="1")
    assert worklist(store.database, Filter()).studies == 0


def test_a_failed_study_that_is_sent_again_is_read_again_and_a_read_one_is_not(
    store: Store, send: Callable[..., TakenIn]
) -> None:
    files = named(a_study())
    send(files)
    take_job(store.database, "a")
    fail_job(store.database, 1, "a", "No.")
    assert send(files).studies[0].job == 2
    store_reading(store.database, 1, ReadingFacts("reader", "1", "none", {}))
    assert send(files).studies[0].job is None


def test_a_study_without_identity_is_read_by_its_new_uid(store: Store, tmp_path: Path) -> None:
    hidden = Store(store.database, store.files, "a", Deidentifier(b"k" * 32))
    bone = series(HEIGHTS_MM, uid="1.2.3.2", StudyInstanceUID="1.2.3", SeriesNumber=2, ConvolutionKernel="H70s")
    archive = tmp_path / "study.zip"
    archive.write_bytes(zipped(named(a_study(SeriesNumber=1)) | named(bone, "bone")))
    taken = take_in(hidden, [archive], "reader", "2")
    kept = study(store.database, taken.studies[0].number)
    wanted = job_state(store.database, taken.studies[0].job).series
    assert wanted.startswith("2.25.")
    assert wanted in [one.series_uid for one in kept.series]
    assert kept.row.patient_name == ""


def test_messages_name_files_as_their_sender_does(store: Store, tmp_path: Path) -> None:
    paths = [tmp_path / "00001", tmp_path / "00002"]
    paths[0].write_bytes(b"nothing")
    paths[1].write_bytes(b"junk")
    taken = take_in(store, paths, "reader", names={paths[0]: "CD/notes.txt", paths[1]: "CD/.DS_Store"})
    assert [one.name for one in taken.left_out] == ["CD/notes.txt"]
