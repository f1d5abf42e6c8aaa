"""Uploads stay in memory, within bounds; and what is logged."""

import io
import logging
import tempfile
from collections.abc import Callable
from typing import Any

import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from hemoscope.phantom import sample_slice
from tests.mutations import mutations


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes every temporary file that anything opens."""
    opened: list[str] = []

    def note(kind: str) -> Callable[..., Any]:
        original = getattr(tempfile, kind)

        def make(*args: Any, **options: Any) -> Any:
            opened.append(kind)
            return original(*args, **options)

        return make

    for kind in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, kind, note(kind))
        if hasattr(__import__("werkzeug.formparser", fromlist=["x"]), kind):
            monkeypatch.setattr(f"werkzeug.formparser.{kind}", getattr(tempfile, kind))
    return opened


@pytest.mark.parametrize("address", ["/read", "/api/v1/read"])
def test_a_large_upload_touches_no_disk(client: FlaskClient, disk: list[str], address: str) -> None:
    """Two megabytes: Werkzeug alone would spool from 500 kB on."""
    slice_and_padding = sample_slice(True) + bytes(2_000_000)
    answer = client.post(address, data={"files": [(io.BytesIO(slice_and_padding), "a"), (io.BytesIO(b"x"), "b")]})
    assert answer.status_code == 200
    assert disk == []


def test_the_disk_watch_sees_werkzeugs_own_spooling(disk: list[str]) -> None:
    app = Flask("plain")

    @app.post("/")
    def count() -> str:
        from flask import request

        return str(len(request.files))

    data = {"files": (io.BytesIO(bytes(600_000)), "a")}
    assert app.test_client().post("/", data=data).text == "1"
    assert disk


def test_a_file_over_its_limit_gets_a_card_and_the_others_are_read(
    make_app: Callable[..., Flask], blood_png: bytes
) -> None:
    client = make_app(max_file_mb=0.1).test_client()
    files = [(io.BytesIO(bytes(100_001)), "large.dcm"), (io.BytesIO(blood_png), "a.png")]
    results = client.post("/api/v1/read", data={"files": files}).json["results"]
    assert results[0] == {"path": "large.dcm", "error": "The file is larger than the 0.1 MB that this server reads."}
    assert results[1]["finding"] == "hemorrhage"


def test_a_file_of_exactly_the_limit_is_read(make_app: Callable[..., Flask], blood_png: bytes) -> None:
    client = make_app(max_file_mb=len(blood_png) / 1e6).test_client()
    results = client.post("/api/v1/read", data={"files": (io.BytesIO(blood_png), "a.png")}).json["results"]
    assert results[0]["finding"] == "hemorrhage"


def test_files_past_the_count_get_an_error_each(make_app: Callable[..., Flask], blood_png: bytes) -> None:
    client = make_app(max_files=2).test_client()
    files = [(io.BytesIO(blood_png), f"{number}.png") for number in range(4)]
    results = client.post("/api/v1/read", data={"files": files}).json["results"]
    assert ["error" in entry for entry in results] == [False, False, True, True]
    assert results[3]["error"] == "Only 2 files are read at a time; send this one again."


@pytest.mark.parametrize("chunked", [False, True], ids=["stated length", "chunked"])
def test_a_request_over_the_limit_is_refused(make_app: Callable[..., Flask], chunked: bool) -> None:
    client = make_app(max_upload_mb=0.1).test_client()
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + bytes(200_000) + b"\r\n--x--"
    length = {} if chunked else {"content_length": len(body)}
    environ = {"wsgi.input_terminated": True} if chunked else {}
    answer = client.post(
        "/read",
        input_stream=io.BytesIO(body),
        content_type="multipart/form-data; boundary=x",
        environ_overrides=environ,
        **length,
    )
    assert answer.status_code == 413
    assert "larger than the 0.1 MB" in answer.text


def test_uploads_beyond_the_room_of_the_process_wait_outside(
    make_app: Callable[..., Flask], models: Any, blood_png: bytes
) -> None:
    """One request of 60 kB is being read; another one does not fit beside it, and does afterwards."""
    app = make_app(max_upload_mb=0.1, max_held_mb=0.1)
    reader, answers = models.readers["reader"], []
    read = reader.read

    def post() -> Any:
        files = [(io.BytesIO(blood_png), "a.png"), (io.BytesIO(bytes(60_000)), "b")]
        return app.test_client().post("/api/v1/read", data={"files": files})

    def read_while_another_comes(scan: Any) -> Any:
        reader.read = read
        answers.append(post())
        return read(scan)

    reader.read = read_while_another_comes
    answers = [post(), *answers]
    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[1].json["error"]["code"] == "busy"
    assert answers[1].headers["Retry-After"] == "5"
    assert post().status_code == 200


def test_a_slice_of_too_many_pixels_is_told_in_pixels(make_app: Callable[..., Flask], blood_png: bytes) -> None:
    client = make_app(max_slice_pixels=64 * 79).test_client()
    (made,) = client.post("/api/v1/read", data={"files": (io.BytesIO(blood_png), "a.png")}).json["results"]
    assert made["error"] == (
        "A slice has 80 x 64 pixels, 5,120. This server reads up to 5,056 a slice, for example 71 x 71: make the "
        "picture smaller."
    )


@pytest.mark.parametrize("kind", ["TIFF", "DICOM"])
def test_a_file_of_too_many_slices_is_told_in_slices(make_app: Callable[..., Flask], kind: str) -> None:
    """Three slices of 1024 x 1024 are 3.1 million pixels; one million are three slices of 512 x 512."""
    pages = [Image.new("L", (1024, 1024), grey) for grey in range(3)]
    file = io.BytesIO()
    if kind == "TIFF":
        pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    else:
        header = pydicom.dcmread(io.BytesIO(sample_slice(True)))
        header.NumberOfFrames, header.Rows, header.Columns = 3, 1024, 1024
        header.save_as(file)
    client = make_app(max_slice_pixels=2**22, max_pixels=10**6).test_client()
    (made,) = client.post("/api/v1/read", data={"files": (io.BytesIO(file.getvalue()), "a")}).json["results"]
    assert made["error"] == (
        "The file has 3 slices of 1024 x 1024 pixels, 3.1 million together. This server reads up to 1.0 million of a "
        "file, for example 3 slices of 512 x 512: send fewer slices in a file."
    )


def test_pages_beyond_the_limit_are_not_counted(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own count goes through all pages, and takes seconds for a TIFF of some ten thousand."""
    counts: list[str] = []
    monkeypatch.setattr(TiffImageFile, "n_frames", property(lambda file: counts.append("all") or 1))
    monkeypatch.setattr("hemoscope.readers.limits.MAX_FRAMES", 2)
    monkeypatch.setattr("hemoscope.readers.picture.MAX_FRAMES", 2)
    pages = [Image.new("L", (64, 64), grey) for grey in range(4)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    counts.clear()  # Pillow's writer counts too
    data = {"files": (io.BytesIO(file.getvalue()), "a.tif")}
    (made,) = client.post("/api/v1/read", data=data).json["results"]
    assert made["error"] == "The TIFF has more than 2 pages: 1 to 2 are read."
    assert counts == []


def test_control_characters_and_length_of_a_name_are_bounded(client: FlaskClient, blood_png: bytes) -> None:
    name = "a\u202e\x07" + "b" * 500
    answer = client.post("/api/v1/read", data={"files": (io.BytesIO(blood_png), name)})
    path = answer.json["results"][0]["path"]
    assert path.endswith("b")
    assert len(path) == 200
    assert path.isprintable()


def test_names_and_uids_reach_neither_log_nor_streams(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], recwarn: Any
) -> None:
    """A header with values that a DICOM library likes to complain about, in a good file and in a broken one."""
    caplog.set_level(logging.DEBUG)
    header = pydicom.dcmread(io.BytesIO(sample_slice(True)))
    file = io.BytesIO()
    with pydicom.config.disable_value_validation():
        header.PatientName = "SECRETNAME^JANE"
        header.PatientID = "SECRETID" * 20
        header.StudyInstanceUID = "1.2.SECRETUID"
        header.PatientBirthDate = "SECRETDATE"
        header.save_as(file)
    whole = file.getvalue()
    files = [(io.BytesIO(whole), "SECRETFILE.dcm"), (io.BytesIO(whole[: len(whole) // 2]), "SECRETFILE2.dcm")]
    answer = client.post("/read", data={"files": files})
    assert answer.status_code == 200
    streams = capfd.readouterr()
    told = caplog.text + streams.out + streams.err + "".join(str(warning.message) for warning in recwarn)
    assert "SECRET" not in told


def test_damaged_files_give_a_result_or_an_error_and_never_a_fault(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Through the whole web; the readers' own test takes thousands."""
    damaged = list(mutations(sample_slice(True), 24, seed=3))
    for first in range(0, len(damaged), 8):
        files = [(io.BytesIO(data), f"{number}.dcm") for number, data in enumerate(damaged[first : first + 8])]
        answer = client.post("/api/v1/read?include=overlay", data={"files": files})
        assert answer.status_code == 200
        assert len(answer.json["results"]) == 8
        assert all("error" in entry or entry["finding"] in ("hemorrhage", "none") for entry in answer.json["results"])
    assert "failed" not in caplog.text


@pytest.mark.parametrize("address", ["/read", "/api/v1/read"])
def test_damaged_requests_are_never_a_fault(client: FlaskClient, blood_png: bytes, address: str) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    for body in mutations(head + blood_png + b"\r\n--x--\r\n", 60, seed=4):
        answer = client.post(address, data=body, content_type="multipart/form-data; boundary=x")
        assert answer.status_code in (200, 400)
