"""The folder of studies: named by content, whole or not there, closed to names from outside."""

import hashlib
import io
import stat
from pathlib import Path

import pytest

from web.history.files import StudyFiles


def streams(*contents: bytes) -> list[io.BytesIO]:
    return [io.BytesIO(content) for content in contents]


def everything(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    return StudyFiles(tmp_path / "studies")


def test_the_content_hash_is_that_of_the_sorted_hashes(files: StudyFiles) -> None:
    hashes = sorted(hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    arrived = files.receive(streams(b"one", b"two"))
    assert arrived.content_hash == hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    assert (arrived.size_bytes, arrived.files) == (6, 2)


def test_order_and_repetition_change_no_hash(files: StudyFiles) -> None:
    first, second = files.receive(streams(b"1", b"22", b"22")), files.receive(streams(b"22", b"1"))
    assert (first.content_hash, first.size_bytes, first.files) == (second.content_hash, 3, 2)
    assert files.receive(streams(b"1")).content_hash != first.content_hash


def test_a_study_appears_as_a_whole_and_for_its_owner_only(files: StudyFiles) -> None:
    arrived = files.receive(streams(b"one", b"two"))
    assert files.files_of(arrived.content_hash) == ()
    files.publish(arrived)
    kept = files.files_of(arrived.content_hash)
    assert sorted(file.read_bytes() for file in kept) == [b"one", b"two"]
    assert [file.name for file in kept] == sorted(hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}
    assert stat.S_IMODE(kept[0].parent.stat().st_mode) == 0o700


def test_streams_are_closed(files: StudyFiles) -> None:
    given = streams(b"one", b"two")
    files.receive(given)
    assert all(stream.closed for stream in given)


def test_a_sender_that_fails_leaves_nothing(files: StudyFiles, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError("the connection was lost")

    with pytest.raises(OSError, match="lost"):
        files.receive([io.BytesIO(b"one"), Broken()])
    assert everything(tmp_path) == []
    assert files.strays(-1) == ()


def test_a_study_without_files_is_refused(files: StudyFiles) -> None:
    with pytest.raises(ValueError, match="needs a file"):
        files.receive([])


@pytest.mark.parametrize("text", ["../../etc", "", "A" * 64, "a" * 63, f"{'a' * 64}/..", f"{'a' * 64}\n"])
def test_what_is_no_hash_leads_nowhere(files: StudyFiles, text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        files.folder_of(text)


def test_publishing_twice_keeps_the_first(files: StudyFiles) -> None:
    first, second = files.receive(streams(b"one")), files.receive(streams(b"one"))
    files.publish(first)
    inode = files.files_of(first.content_hash)[0].stat().st_ino
    files.publish(second)
    assert files.files_of(first.content_hash)[0].stat().st_ino == inode
    assert files.strays(-1) == ()


def test_what_is_set_aside_can_come_back(files: StudyFiles) -> None:
    arrived = files.receive(streams(b"one"))
    files.publish(arrived)
    aside = files.set_aside(arrived.content_hash)
    assert files.files_of(arrived.content_hash) == ()
    assert files.set_aside(arrived.content_hash) is None
    files.put_back(aside, arrived.content_hash)
    assert len(files.files_of(arrived.content_hash)) == 1


def test_only_old_leftovers_are_strays(files: StudyFiles) -> None:
    arrived = files.receive(streams(b"one"))
    assert files.strays(3600) == ()
    assert files.strays(-1) == (arrived.folder,)
    files.publish(arrived)
    assert files.strays(-1) == ()
    assert files.hashes(-1) == (arrived.content_hash,)
    assert files.hashes(3600) == ()


def test_a_link_in_the_folder_is_no_study(files: StudyFiles, tmp_path: Path) -> None:
    files.publish(files.receive(streams(b"one")))
    (files.root / "elsewhere").symlink_to(tmp_path)
    assert len(files.hashes(-1)) == 1
