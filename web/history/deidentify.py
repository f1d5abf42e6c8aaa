"""DICOM files -> the same without what identifies the patient: the Basic Profile of DICOM PS3.15, Annex E.

In: streams of files and a secret. Out: streams to keep, and facts about them. The table of what happens to each
attribute comes from `dicom-anonymizer` (PS3.15 2026c, Table E.1-1); here is what a table cannot say: nested items,
replacements that hold over files, studies and restarts, and dates moved by the same days for all of a patient's studies
(the option Retain Longitudinal Temporal Information With Modified Dates, code 113107).
docs/reference/history.md says what is left.
"""

import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import IO, Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence

from hemoscope.errors import BadScan
from hemoscope.readers.quiet import quiet
from web.history.records import SeriesFacts, StudyFacts, parse_date

EDITION = "dicomfields_2026c"
SHIFT_DAYS = (365, 3650)  # into the past
_KEY_FILE = "deidentification.key"
_FIRST_YEAR = 1900  # there is no older CT: an older date is a dummy, as others' de-identification leaves it
_UID_ROOT = "2.25."  # a UUID as a number (PS3.5 B.2)
# The dates of study, series, acquisition and content, and the times to them.
_SHIFTED = (
    (0x0008, 0x0020),
    (0x0008, 0x0021),
    (0x0008, 0x0022),
    (0x0008, 0x0023),
)
_THEIR_TIMES = ((0x0008, 0x0030), (0x0008, 0x0031), (0x0008, 0x0032), (0x0008, 0x0033))
_PATIENT_ID, _PATIENT_NAME, _BIRTH_DATE = (0x0010, 0x0020), (0x0010, 0x0010), (0x0010, 0x0030)
_CONTRAST = (0x0018, 0x0010)

Tag = tuple[int, ...]
Action = Callable[[Any, Any], None]


@dataclass(frozen=True)
class Deidentified:
    """A file without identity, at its beginning, and a sentence about text in its pixels or ""."""

    stream: IO[bytes]
    warning: str


class Deidentifier:
    """Replaces identities by pseudonyms that only the holder of `key` can make again.

    The same UID, patient or study gets the same replacement in every file, so a study stays together, one that is sent
    twice is still one, and a patient's studies are still matched.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the key needs 32 bytes")
        self._key = key

    def deidentify(self, stream: IO[bytes]) -> Deidentified:
        """Give a file without identity; the stream is closed.

        Raises:
            BadScan: for anything but DICOM, or a file whose attributes cannot all be treated: it is not kept.
        """
        try:
            with stream, quiet():  # pydicom's warnings quote headers
                return self._deidentified(pydicom.dcmread(stream))
        except BadScan:
            raise
        except InvalidDicomError:
            raise BadScan("Only DICOM files are taken here: of others the identity cannot be removed.") from None
        except Exception:  # whatever a broken header makes a library raise; its message may quote the header
            raise BadScan("The identity cannot be removed from this DICOM file, so it is not kept.") from None

    def study_facts(self, facts: StudyFacts) -> StudyFacts:
        """The facts of a study as its files state them after `deidentify`."""
        person = _person(facts.patient_id, facts.patient_id_issuer)
        date = self._shifted(person, facts.study_date)
        return StudyFacts(
            patient_id=self._patient_pseudonym(person),
            study_uid=self._new_uid(facts.study_uid) if facts.study_uid else "",
            study_date=date,
            study_time=facts.study_time,
        )

    def series_facts(self, facts: SeriesFacts) -> SeriesFacts:
        """The facts of a series as its files state them after `deidentify`; why it was chosen stays known."""
        return replace(facts, series_uid=self._new_uid(facts.series_uid) if facts.series_uid else "", description="")

    def _deidentified(self, dataset: Dataset) -> Deidentified:
        if "DirectoryRecordSequence" in dataset:
            raise BadScan("A DICOMDIR, the index of a disc, is not kept: it lists patients and holds no slices.")
        warning = burnt_in_text(dataset)
        person = _person(str(dataset.get("PatientID") or ""), str(dataset.get("IssuerOfPatientID") or ""))
        self._treat(dataset, self._rules(person))
        _state_method(dataset)
        dataset.preamble = b"\0" * 128  # it can hold anything
        dataset.file_meta = _plain_meta(dataset)
        written = io.BytesIO()
        dataset.save_as(written)
        written.seek(0)
        return Deidentified(written, warning)

    def _treat(self, dataset: Dataset, rules: Mapping[Tag, Action]) -> None:
        """Apply the rules to a data set and to all that is nested in it, as PS3.15 E.1.1 asks."""
        from dicomanonymizer import anonymize_dataset

        anonymize_dataset(dataset, delete_private_tags=True, base_rules_gen=lambda: dict(rules))
        for element in dataset:
            if element.VR == "SQ":
                for item in element.value:
                    self._treat(item, rules)

    def _rules(self, person: str) -> dict[Tag, Action]:
        rules = dict(_table())
        rules |= dict.fromkeys(_uid_tags(), self._replace_uid)
        rules |= dict.fromkeys(_SHIFTED, self._shift_by(person))
        rules |= dict.fromkeys(_THEIR_TIMES, _keep)
        rules[_PATIENT_ID] = _put(self._patient_pseudonym(person))
        rules |= dict.fromkeys((_PATIENT_NAME, _BIRTH_DATE), _put(""))
        rules[_CONTRAST] = _say_contrast
        return rules

    def _pseudonym(self, kind: str, value: str) -> str:
        return hmac.new(self._key, f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()

    def _patient_pseudonym(self, person: str) -> str:
        return self._pseudonym("patient", person)[:32] if person else ""

    def _new_uid(self, uid: str) -> str:
        return str(_UID_ROOT + str(int(self._pseudonym("uid", uid.strip())[:32], 16)))

    def _replace_uid(self, dataset: Any, tag: Any) -> None:
        element = dataset.get(tag)
        if element is None or not element.value:
            return
        if isinstance(element.value, str):
            element.value = self._new_uid(element.value)
        else:
            element.value = [self._new_uid(uid) for uid in element.value]

    def _shift_by(self, person: str) -> Action:
        def shift(dataset: Any, tag: Any) -> None:
            element = dataset.get(tag)
            if element is not None:
                element.value = self._shifted(person, str(element.value))

        return shift

    def _shifted(self, person: str, written: str) -> str:
        """A date moved into the past; "" for one that cannot be read, and for a patient without an ID."""
        date, (least, most) = parse_date(written), SHIFT_DAYS
        if date is None or date.year < _FIRST_YEAR or not person:
            return ""
        days = least + int(self._pseudonym("days", person)[:8], 16) % (most - least)
        return f"{date - timedelta(days):%Y%m%d}"


def burnt_in_text(dataset: Dataset) -> str:
    """Say whether the pixels may hold text that identifies the patient; "" where nothing speaks for it.

    Looked at are Burned In Annotation (0028,0301), Recognizable Visual Features (0028,0302), Image Type (0008,0008) and
    the SOP class: copies of screens usually have text in them. The pixels themselves are not searched.
    """
    if str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        return "The file states that text is burnt into its pixels (0028,0301): it may name the patient."
    kind = dataset.get("ImageType") or ""
    words = {str(word).strip().upper() for word in ([kind] if isinstance(kind, str) else kind)}
    screen = {"SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN", "DISPLAY", "CAPTURE"}
    capture = str(dataset.get("SOPClassUID") or "").startswith("1.2.840.10008.5.1.4.1.1.7")
    if capture or words & screen:
        return "A copy of a screen: text burnt into its pixels may name the patient."
    if str(dataset.get("RecognizableVisualFeatures") or "").strip().upper() == "YES":
        return "The file states that the patient can be recognised in it (0028,0302)."
    return ""


def read_key(folder: Path) -> bytes:
    """The secret of a folder of studies, made at the first use; only its owner may read it.

    Without it nobody can tell which pseudonym belongs to whom; where it is lost, known patients get others.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / _KEY_FILE
    draft = folder / f"{_KEY_FILE}.{secrets.token_hex(8)}"
    if not file.exists():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(secrets.token_bytes(32))
        try:
            os.link(draft, file)  # whole, and only if no other process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_bytes()


def _person(patient_id: str, issuer: str) -> str:
    """What tells a patient from others, as the history matches them; "" without an ID."""
    return f"{patient_id.strip()}\0{issuer.strip()}" if patient_id.strip() else ""


@cache
def _table() -> Mapping[Tag, Action]:
    from dicomanonymizer.simpledicomanonymizer import initialize_actions

    rules: dict[Tag, Action] = initialize_actions(EDITION)
    return rules


@cache
def _uid_tags() -> tuple[Tag, ...]:
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    return tuple(dicom_anonymization_database_selector(EDITION)["U_TAGS"])


def _keep(dataset: Any, tag: Any) -> None:
    """An attribute that stays as it is."""


def _put(value: str) -> Action:
    def put(dataset: Any, tag: Any) -> None:
        if dataset.get(tag) is not None:
            dataset[tag].value = value

    return put


def _say_contrast(dataset: Any, tag: Any) -> None:
    """Keep whether there was contrast medium, which decides what is read, without the words that somebody typed."""
    if dataset.get(tag) is not None and str(dataset[tag].value or "").strip():
        dataset[tag].value = "CONTRAST"


def _plain_meta(dataset: Dataset) -> FileMetaDataset:
    """The file's meta information (PS3.10 7.1) with what it must have; the rest names senders."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # counted when it is written
    meta.FileMetaInformationVersion = b"\0\1"
    for name in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"):
        if name in dataset.file_meta:  # public data sets are without some of them
            setattr(meta, name, getattr(dataset.file_meta, name))
    return meta


def _state_method(dataset: Dataset) -> None:
    """State what was done (PS3.15 E.1.1, PS3.3 C.12.1.1.1 and the context group CID 7050)."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.DeidentificationMethod = "Hemoscope, DICOM PS3.15 2026c"
    codes = (
        ("113100", "Basic Application Confidentiality Profile"),
        ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    )
    items = []
    for value, meaning in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = Sequence(items)
