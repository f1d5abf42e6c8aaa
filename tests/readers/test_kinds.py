"""The kind of a file is found by its content, and what cannot be read is named."""

import gzip
import io
import zipfile

import pytest

from hemoscope.errors import BadScan
from hemoscope.readers import kinds, read_bytes
from tests.readers.samples import dicom_bytes, grey_picture, picture_bytes


def zip_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("slice.dcm", b"x")
    return buffer.getvalue()


NIFTI = bytes(344) + b"n+1\x00" + bytes(4)

# The bytes name the tests, and two processes that run them must find the same names: no time of day in them.
REFUSED = [
    (b"", "The file is empty"),
    (b"Dear doctor,\r\nplease find enclosed", "is text"),
    ("Befund: unauffällig".encode() * 300, "is text"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document"),
    (zip_archive(), "a ZIP archive"),
    (b"GIF89a\x01\x00", "a GIF picture"),
    (b"\x00\x00\x00\x18ftypheic\x00\x00", "a HEIC photograph"),
    (b"\x00\x00\x00\x18ftypisom\x00\x00", "a video"),
    (NIFTI, "a NIfTI volume, a whole study"),
    (gzip.compress(NIFTI, mtime=0), "a compressed NIfTI volume, a whole study"),
    (gzip.compress(b"anything else", mtime=0), "compressed with gzip"),
    (b"\x1f\x8b damaged gzip", "compressed with gzip"),
    (bytes(range(256)) * 8, "not a known kind of image"),
    (bytes(4096), "not a known kind of image"),
    (b"\x08", "not a known kind of image"),
]


@pytest.mark.parametrize(("data", "words"), REFUSED)
def test_other_file_is_refused_by_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(BadScan, match=words):
        read_bytes(data)


def test_refusal_names_the_file_and_what_can_be_read() -> None:
    with pytest.raises(BadScan, match=r"^'report.dcm' is a PDF document.*PNG, JPEG, WebP, TIFF and BMP"):
        read_bytes(b"%PDF-1.7", "report.dcm")


def test_content_counts_and_not_the_name() -> None:
    assert read_bytes(dicom_bytes(), "photo.jpg").calibrated
    assert not read_bytes(picture_bytes(grey_picture(), "PNG"), "slice.dcm").calibrated


def test_dicom_with_a_tiff_preamble_is_dicom() -> None:
    # PS3.10 section 7.1 lets the preamble hold a TIFF header.
    assert kinds.kind_of(b"II*\x00" + dicom_bytes()[4:]) == "dicom"
