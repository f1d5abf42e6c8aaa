"""Folders, files and archives: what comes in, what is left behind, and what would hurt."""

import os
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from hemoscope.errors import BadScan
from hemoscope.studies import Limits, received
from tests.studies.series import zipped

MIB = 2**20
USUAL = Limits()


def names_and_reasons(path: Path, limits: Limits = USUAL) -> tuple[list[str], dict[str, str]]:
    with received([path], limits) as came:
        return [file.name for file in came.files], {one.name: one.reason for one in came.left_out}


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_folder_is_walked_and_its_files_are_read_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    put(tmp_path / "b", b"two")
    put(tmp_path / "inner" / "a", b"three")
    with received([tmp_path]) as came:
        assert [(file.name, file.size, file.read(), file.head(2)) for file in came.files] == [
            ("b", 3, b"two", b"tw"),
            ("inner/a", 5, b"three", b"th"),
        ]


def test_archives_in_archives_are_looked_into(tmp_path: Path) -> None:
    inner = zipped({"deep/one": b"1" * 100})
    path = put(tmp_path / "study.zip", zipped({"inner.zip": inner, "two": b"22"}))
    with received([path]) as came:
        assert {file.name: file.read() for file in came.files} == {
            "study.zip/inner.zip/deep/one": b"1" * 100,
            "study.zip/two": b"22",
        }


def test_an_archive_is_known_by_its_content(tmp_path: Path) -> None:
    assert names_and_reasons(put(tmp_path / "study.dat", zipped({"one": b"1"})))[0] == ["study.dat/one"]


def test_archives_are_opened_to_a_depth(tmp_path: Path) -> None:
    data = zipped({"slice": b"1"})
    for _ in range(3):
        data = zipped({"next.zip": data, "beside": b"2"})
    names, reasons = names_and_reasons(put(tmp_path / "a.zip", data))
    assert names == ["a.zip/next.zip/next.zip/beside", "a.zip/next.zip/beside", "a.zip/beside"]
    assert reasons == {"a.zip/next.zip/next.zip/next.zip": "Archives lie in archives: 3 of them are opened, not more."}


def test_what_systems_leave_behind_is_passed_over_in_silence(tmp_path: Path) -> None:
    junk = ["__MACOSX/._one", "__MACOSX/study/one", ".DS_Store", "study/.DS_Store", "Thumbs.db", "study/desktop.ini"]
    path = put(tmp_path / "study.zip", zipped(dict.fromkeys(junk, b"x") | {"study/one": b"1"}))
    assert names_and_reasons(path) == (["study.zip/study/one"], {})


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "C:\\evil", "..\\..\\evil", "a\x00b", "evil\x1b[2J\nname"])
def test_a_name_in_an_archive_writes_nothing_and_is_shown_clean(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = put(folder / "study.zip", zipped({name: b"1"}))
    before = set(tmp_path.rglob("*"))
    (shown,), reasons = names_and_reasons(path)
    assert shown.startswith("study.zip/")
    assert shown.isprintable()
    assert not reasons
    assert set(tmp_path.rglob("*")) == before


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "secret", b"secret")
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(tmp_path / "secret"))
    with received([put(tmp_path / "study.zip", buffer.getvalue())]) as came:
        assert [file.read() for file in came.files] == [str(tmp_path / "secret").encode()]


def test_a_file_that_unpacks_to_hundreds_of_times_its_size_is_left_out(tmp_path: Path) -> None:
    path = put(tmp_path / "bomb.zip", zipped({"bomb": bytes(8 * MIB), "slice": os.urandom(1000)}))
    names, reasons = names_and_reasons(path)
    assert names == ["bomb.zip/slice"]
    assert "zip bomb" in reasons["bomb.zip/bomb"]


def test_a_bomb_of_bombs_is_left_out(tmp_path: Path) -> None:
    inner = zipped({f"{number}": bytes(8 * MIB) for number in range(3)})
    _, reasons = names_and_reasons(put(tmp_path / "bomb.zip", zipped({"inner.zip": inner})))
    assert all("zip bomb" in reason for reason in reasons.values())
    assert len(reasons) == 3


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(files=2), "There are more than 2 files: choose the folder of one study."),
        (Limits(total_bytes=2 * MIB), "The archives unpack to more than 2 MiB: nothing was read."),
    ],
)
def test_too_much_is_refused_before_it_is_unpacked(tmp_path: Path, limits: Limits, sentence: str) -> None:
    path = put(tmp_path / "a.zip", zipped({str(n): os.urandom(MIB) for n in range(3)}, zipfile.ZIP_STORED))
    with pytest.raises(BadScan, match=sentence), received([path], limits):
        pass


@pytest.mark.parametrize("force", [False, True])
def test_an_archive_with_a_long_list_is_not_opened(tmp_path: Path, force: bool) -> None:
    """Also where the record that ends large archives states how long it is."""
    data = bytearray(zipped({f"{number:0200}": b"" for number in range(800)}))
    end = data.index(b"PK\x05\x06")
    if force:
        (length,) = struct.unpack_from("<I", data, end + 12)
        record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 40, 40, length, end - length)
        struct.pack_into("<I", data, end + 12, 0xFFFFFFFF)
        data[end:end] = record + b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    (reason,) = names_and_reasons(put(tmp_path / "a.zip", bytes(data)), Limits(files=10))[1].values()
    assert reason == "The archive lists more than 10 files: choose the folder of one study."


def test_a_large_file_is_left_out_and_not_read(tmp_path: Path) -> None:
    put(tmp_path / "large", bytes(3 * MIB))
    put(tmp_path / "small", b"1")
    names, reasons = names_and_reasons(tmp_path, Limits(file_bytes=2 * MIB))
    assert names == ["small"]
    assert reasons == {"large": "The file has 3 MiB: up to 2 MiB are read."}


def test_a_file_in_an_archive_that_is_locked_says_so(tmp_path: Path) -> None:
    data = bytearray(zipped({"slice": b"1234"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says encrypted, in both headers
        place = data.index(signature) + flags
        data[place] |= 1
    _, reasons = names_and_reasons(put(tmp_path / "a.zip", bytes(data)))
    assert reasons == {"a.zip/slice": "The archive is locked with a password: unpack it with the password."}


def test_a_damaged_archive_is_left_out(tmp_path: Path) -> None:
    whole = zipped({"slice": os.urandom(1000)})
    put(tmp_path / "cut.zip", whole[:500])
    put(tmp_path / "good", b"1")
    assert names_and_reasons(tmp_path) == (["good"], {"cut.zip": "The archive is damaged or cut off."})


def test_a_damaged_file_in_an_archive_is_an_error_of_that_file(tmp_path: Path) -> None:
    whole = bytearray(zipped({"a": os.urandom(5000), "b": b"2"}, zipfile.ZIP_STORED))
    whole[200] ^= 255
    with received([put(tmp_path / "a.zip", bytes(whole))]) as came:
        first, second = came.files
        assert second.read() == b"2"
        with pytest.raises(BadScan, match="damaged"):
            first.read()


def test_an_archive_that_lies_about_a_size_does_not_give_more_than_it_said(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": bytes(100_000)}))
    for signature, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + size, 100)
    with received([put(tmp_path / "a.zip", bytes(data))]) as came:
        for file in came.files:
            with pytest.raises(BadScan, match="damaged"):
                file.read()


@pytest.mark.parametrize(("make", "reason"), [(False, "There is no such file or folder."), (True, "holds no files")])
def test_nothing_is_said_in_a_sentence(tmp_path: Path, make: bool, reason: str) -> None:
    path = tmp_path / "empty"
    if make:
        path.mkdir()
    names, reasons = names_and_reasons(path)
    assert not names
    assert reason in reasons["empty"]


def test_a_broken_link_in_a_folder_is_listed(tmp_path: Path) -> None:
    (tmp_path / "lost").symlink_to(tmp_path / "gone")
    assert names_and_reasons(tmp_path) == ([], {"lost": "There is no such file or folder."})
