"""The identity leaves the header, at every depth; what belongs together stays together."""

import io
import stat
import threading
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from hemoscope.errors import BadScan
from hemoscope.readers import read_bytes
from web.history.arriving import keep_upload
from web.history.database import Database
from web.history.deidentify import Deidentifier, burnt_in_text, read_key
from web.history.files import StudyFiles
from web.history.opening import Store
from web.history.records import SeriesFacts, StudyFacts
from web.history.worklist import study

KEY = bytes(range(32))
SECRETS = (b"UNFORGETTABLE", b"4711", b"19610203", b"1.3.999.77")


def slice_of(number: int = 1, **changed: object) -> Dataset:
    """A CT slice with an identity wherever one can hide."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"1.3.999.77.{number}"
    dataset.file_meta.SourceApplicationEntityTitle = "UNFORGETTABLE"
    dataset.preamble = b"UNFORGETTABLE".ljust(128, b"\0")
    dataset.PatientName = "UNFORGETTABLE^NAME"
    dataset.PatientID, dataset.IssuerOfPatientID = "ID4711", "UNFORGETTABLE"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19610203", "F", "065Y"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.3.999.77.100", "1.3.999.77.200"
    dataset.FrameOfReferenceUID = "1.3.999.77.300"
    dataset.StudyDate, dataset.SeriesDate, dataset.AcquisitionDate = "20261120", "20261120", "20261121"
    dataset.StudyTime = "143000"
    dataset.AccessionNumber, dataset.StudyID = "4711", "4711"
    dataset.InstitutionName = dataset.ReferringPhysicianName = "UNFORGETTABLE"
    dataset.StudyDescription = dataset.SeriesDescription = "UNFORGETTABLE"
    dataset.Modality, dataset.ConvolutionKernel, dataset.ImageType = "CT", "H31s", ["ORIGINAL", "PRIMARY", "AXIAL"]
    request = Dataset()
    request.RequestedProcedureDescription = "UNFORGETTABLE"
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = "1.3.999.77.2"
    inner = Dataset()
    inner.PatientName, inner.StudyInstanceUID = "UNFORGETTABLE", "1.3.999.77.100"
    inner.add_new((0x0009, 0x0010), "LO", "UNFORGETTABLE")
    outer = Dataset()
    outer.DerivationCodeSequence = Sequence([inner])
    dataset.RequestAttributesSequence = Sequence([request])
    dataset.ReferencedImageSequence = Sequence([reference])
    dataset.SharedFunctionalGroupsSequence = Sequence([outer])
    dataset.add_new((0x0009, 0x0010), "LO", "UNFORGETTABLE")
    dataset.add_new((0x0009, 0x1001), "LO", "UNFORGETTABLE")
    dataset.add_new((0x6000, 0x4000), "LT", "UNFORGETTABLE")
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelSpacing, dataset.ImagePositionPatient = [0.5, 0.5], [0, 0, number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelData = np.arange(256, dtype="<i2").tobytes()
    for keyword, value in changed.items():
        setattr(dataset, keyword, value)
    return dataset


def stream_of(dataset: Dataset) -> io.BytesIO:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return io.BytesIO(stream.getvalue())


def clean(dataset: Dataset, key: bytes = KEY) -> Dataset:
    return pydicom.dcmread(Deidentifier(key).deidentify(stream_of(dataset)).stream)


def test_no_byte_of_the_identity_is_left() -> None:
    sent = stream_of(slice_of())
    assert all(secret in sent.getvalue() for secret in SECRETS)
    kept = Deidentifier(KEY).deidentify(sent).stream.read()
    assert [secret for secret in SECRETS if secret in kept] == []
    assert sent.closed


def test_pixels_geometry_and_kernel_stay() -> None:
    before = read_bytes(stream_of(slice_of(7)).getvalue())
    after = read_bytes(Deidentifier(KEY).deidentify(stream_of(slice_of(7))).stream.read())
    np.testing.assert_array_equal(before.hu, after.hu)
    assert (after.spacing_mm, after.positions_mm, after.orientation) == (
        before.spacing_mm,
        before.positions_mm,
        before.orientation,
    )
    assert after.facts.convolution_kernel == "H31s"


def test_slices_of_one_study_stay_one_study_and_differ() -> None:
    first, second = clean(slice_of(1)), clean(slice_of(2))
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID", "StudyDate"):
        assert first[name].value == second[name].value
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.PatientName, first.PatientBirthDate, first.PatientSex) == ("", "", "")
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID
    assert first.StudyInstanceUID.is_valid
    assert first.StudyInstanceUID.startswith("2.25.")


def test_the_same_file_becomes_the_same_bytes_and_another_key_other_ones() -> None:
    first, again, other = (
        Deidentifier(key).deidentify(stream_of(slice_of())).stream.read() for key in (KEY, KEY, b"x" * 32)
    )
    assert first == again
    assert first != other


def test_dates_of_a_patient_move_by_the_same_days() -> None:
    first, later = clean(slice_of()), clean(slice_of(StudyDate="20261127"))
    day = lambda dataset: np.datetime64(f"{dataset.StudyDate[:4]}-{dataset.StudyDate[4:6]}-{dataset.StudyDate[6:]}")  # noqa: E731
    assert day(later) - day(first) == np.timedelta64(7, "D")
    assert 365 <= (np.datetime64("2026-11-20") - day(first)).astype(int) < 3650
    assert first.StudyTime == "143000"
    assert clean(slice_of(PatientID="", IssuerOfPatientID="")).StudyDate == ""
    assert clean(slice_of(StudyDate="00010101")).StudyDate == ""
    assert clean(clean(slice_of())).StudyDate < first.StudyDate  # twice is treated as another patient's, not refused


def test_other_issuers_patients_get_other_pseudonyms() -> None:
    assert clean(slice_of()).PatientID != clean(slice_of(IssuerOfPatientID="B")).PatientID


def test_contrast_medium_stays_known_without_its_words() -> None:
    assert clean(slice_of(ContrastBolusAgent="UNFORGETTABLE")).ContrastBolusAgent == "CONTRAST"
    assert clean(slice_of(ContrastBolusAgent="")).ContrastBolusAgent == ""
    assert "ContrastBolusAgent" not in clean(slice_of())


def test_the_file_states_what_was_done() -> None:
    kept = clean(slice_of())
    assert (kept.PatientIdentityRemoved, kept.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    codes = [(item.CodeValue, item.CodingSchemeDesignator) for item in kept.DeidentificationMethodCodeSequence]
    assert codes == [("113100", "DCM"), ("113107", "DCM")]


def test_facts_are_those_of_the_kept_files() -> None:
    facts = StudyFacts(
        "ID4711", "UNFORGETTABLE", "N", "F", "065Y", "1.3.999.77.100", "20261120", "143000", "UNFORGETTABLE"
    )
    kept, said = clean(slice_of()), Deidentifier(KEY).study_facts(facts)
    assert said == StudyFacts(
        patient_id=kept.PatientID, study_uid=kept.StudyInstanceUID, study_date=kept.StudyDate, study_time="143000"
    )


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\x5c\x01\x00\x00" + b"\0" * 348])
def test_what_is_no_dicom_is_refused(content: bytes) -> None:
    with pytest.raises(BadScan, match="Only DICOM"):
        Deidentifier(KEY).deidentify(io.BytesIO(content))


def test_a_file_without_a_class_or_valid_uids_is_treated_and_quiet(recwarn: pytest.WarningsRecorder) -> None:
    """As the slices of the RSNA challenge are: no SOP class, and UIDs that begin with letters."""
    sent = slice_of(SOPInstanceUID="ID_4711")
    del sent.SOPClassUID
    sent.file_meta.MediaStorageSOPInstanceUID = "ID_4711"
    del sent.file_meta.MediaStorageSOPClassUID
    stream = io.BytesIO()
    sent.save_as(stream, enforce_file_format=False)
    recwarn.clear()
    kept = Deidentifier(KEY).deidentify(io.BytesIO(stream.getvalue())).stream.read()
    assert [secret for secret in SECRETS if secret in kept] == []
    assert read_bytes(kept).hu.shape == (1, 16, 16)
    assert not recwarn.list


def test_the_index_of_a_disc_is_refused() -> None:
    with pytest.raises(BadScan, match="DICOMDIR"):
        Deidentifier(KEY).deidentify(stream_of(slice_of(DirectoryRecordSequence=Sequence([Dataset()]))))


def test_a_file_that_cannot_be_treated_is_refused_without_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise NotImplementedError("UNFORGETTABLE")

    monkeypatch.setattr("dicomanonymizer.anonymize_dataset", fail)
    with pytest.raises(BadScan, match="cannot be removed") as caught:
        Deidentifier(KEY).deidentify(stream_of(slice_of()))
    assert caught.value.__suppress_context__
    assert "UNFORGETTABLE" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "warned"),
    [
        ({}, ""),
        ({"BurnedInAnnotation": "NO"}, ""),
        ({"BurnedInAnnotation": "YES"}, "(0028,0301)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "copy of a screen"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, ""),
        ({"ImageType": "SCREENSHOT"}, "copy of a screen"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "copy of a screen"),
        ({"RecognizableVisualFeatures": "YES"}, "(0028,0302)"),
    ],
)
def test_text_in_the_pixels_is_warned_of(changed: dict[str, object], warned: str) -> None:
    said = burnt_in_text(slice_of(**changed))
    assert (warned in said) if warned else said == ""


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Deidentifier(b"short")


def test_the_key_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(read_key(tmp_path / "studies"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    (file,) = (tmp_path / "studies").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.fixture
def private(database: Database, tmp_path: Path) -> Store:
    return Store(database, StudyFiles(tmp_path / "studies"), "this process", Deidentifier(KEY))


SENT = StudyFacts("ID4711", "UNFORGETTABLE", "UNFORGETTABLE^NAME", "F", "065Y", "1.3.999.77.100", "20261120")


def test_an_upload_is_kept_without_identity_and_once(private: Store) -> None:
    series = (SeriesFacts("1.3.999.77.200", 2, "UNFORGETTABLE", "H31s", 2, True, "Axial."),)
    sent = [slice_of(1), slice_of(2, BurnedInAnnotation="YES")]
    kept = keep_upload(private, [stream_of(one) for one in sent], SENT, series)
    again = keep_upload(private, [stream_of(one) for one in sent[::-1]], SENT, series)
    assert (again.number, again.new) == (kept.number, False)
    found = study(private.database, kept.number)
    assert found.row.deidentified
    assert "UNFORGETTABLE" not in repr(found)
    assert "4711" not in repr(found.row.patient_id)
    assert [warning[-17:] for warning in kept.warnings] == ["name the patient."]
    files = private.files.files_of(kept.content_hash)
    assert {pydicom.dcmread(file).StudyInstanceUID for file in files} == {found.row.study_uid}
    assert {pydicom.dcmread(file).SeriesInstanceUID for file in files} == {found.series[0].series_uid}
    assert not [secret for file in files for secret in SECRETS if secret in file.read_bytes()]


def test_one_file_that_cannot_be_cleaned_keeps_the_study_out(private: Store) -> None:
    with pytest.raises(BadScan):
        keep_upload(private, [stream_of(slice_of()), io.BytesIO(b"a picture")], SENT)
    assert private.files.hashes(-1) == private.files.strays(-1) == ()


def test_without_the_setting_files_are_kept_as_they_are(store: Store) -> None:
    sent = stream_of(slice_of()).getvalue()
    kept = keep_upload(store, [io.BytesIO(sent)], SENT)
    assert store.files.files_of(kept.content_hash)[0].read_bytes() == sent
    assert study(store.database, kept.number).row.patient_name == "UNFORGETTABLE^NAME"
