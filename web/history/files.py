"""The folder of studies: files named by their content, in a folder named by the study's.

In: streams of bytes, in any order. Out: `Arrived`, then a folder `<first two digits>/<content hash>` that is there as a
whole or not at all. Nothing that a sender chose becomes part of a path.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from web.history.results import ResultFolders

_ARRIVING, _LEAVING = "arriving", "leaving"
_PIECE_BYTES = 2**20
_HASH = re.compile(r"[0-9a-f]{64}")
_PAIR = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True)
class Arrived:
    """Files that were written, but are not yet a study's.

    Attributes:
        content_hash: SHA-256 over the sorted SHA-256 of the files: the same for the same files in any order, and for
            files that came twice.
        size_bytes: of all files together, each counted once.
        files: how many there are.
        folder: where they lie.
    """

    content_hash: str
    size_bytes: int
    files: int
    folder: Path


class StudyFiles:
    """The folder of studies. Only its owner may read what is made in it.

    Attributes:
        root: the folder.
        results: what was read in the studies, beside them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.results = ResultFolders(root)

    def receive(self, streams: Iterable[IO[bytes]]) -> Arrived:
        """Write files; each stream is read in pieces and closed.

        Raises:
            ValueError: where there is no file.
            OSError: where the folder cannot be written; nothing is left behind.
        """
        folder = self._new(_ARRIVING)
        try:
            sizes = dict(_write(stream, folder) for stream in streams)
            if not sizes:
                raise ValueError("a study needs a file")
            _sync(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        content_hash = hashlib.sha256("\n".join(sorted(sizes)).encode()).hexdigest()
        return Arrived(content_hash, sum(sizes.values()), len(sizes), folder)

    def draft(self) -> AbstractContextManager[Path]:
        """A new empty folder on the same disk, for what is not a study's yet; at the end it is removed."""
        return self.results.draft()

    def publish(self, arrived: Arrived) -> None:
        """Give what arrived its place; where the same study already lies there, that stays."""
        place = self.folder_of(arrived.content_hash)
        if place.is_dir():
            self.discard(arrived)
            return
        place.parent.mkdir(mode=0o700, exist_ok=True)
        arrived.folder.rename(place)
        _sync(place.parent)

    def discard(self, arrived: Arrived) -> None:
        """Remove what arrived and is not wanted."""
        shutil.rmtree(arrived.folder, ignore_errors=True)

    def folder_of(self, content_hash: str) -> Path:
        """Where a study lies.

        Raises:
            ValueError: for anything but 64 hexadecimal digits, so that no text leads out of the folder.
        """
        if not _HASH.fullmatch(content_hash):
            raise ValueError("a content hash is 64 hexadecimal digits")
        return self.root / content_hash[:2] / content_hash

    def files_of(self, content_hash: str) -> tuple[Path, ...]:
        """The files of a study, sorted by their content's hash; empty where there are none."""
        folder = self.folder_of(content_hash)
        return tuple(sorted(folder.iterdir())) if folder.is_dir() else ()

    def set_aside(self, content_hash: str) -> Path | None:
        """Take a study from its place at once, before its files are removed one by one; None where it is not there."""
        place = self.folder_of(content_hash)
        if not place.is_dir():
            return None
        aside = self._new(_LEAVING)
        place.rename(aside)  # onto an empty folder, which it replaces
        return aside

    def put_back(self, aside: Path, content_hash: str) -> None:
        """Undo `set_aside`."""
        aside.rename(self.folder_of(content_hash))

    def remove(self, aside: Path) -> None:
        """Remove what was set aside."""
        shutil.rmtree(aside)

    def strays(self, older_than_seconds: float) -> tuple[Path, ...]:
        """What a process left halfway when it died: folders that arrived or were set aside, untouched for so long."""
        before = time.time() - older_than_seconds
        halfway = [self.root / _ARRIVING, self.root / _LEAVING]
        found = [folder for place in halfway if place.is_dir() for folder in place.iterdir()]
        return tuple(folder for folder in sorted(found) if folder.stat().st_ctime < before)

    def hashes(self, older_than_seconds: float) -> tuple[str, ...]:
        """The content hashes of all studies that lie here and were published so long ago."""
        before = time.time() - older_than_seconds
        if not self.root.is_dir():
            return ()
        pairs = [place for place in self.root.iterdir() if _PAIR.fullmatch(place.name)]
        folders = [folder for pair in pairs for folder in pair.iterdir() if _HASH.fullmatch(folder.name)]
        return tuple(sorted(folder.name for folder in folders if folder.stat().st_ctime < before))

    def _new(self, kind: str) -> Path:
        folder = self.root / kind / secrets.token_hex(16)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
        return folder


def _write(stream: IO[bytes], folder: Path) -> tuple[str, int]:
    """Write one stream under its SHA-256; gives that and its size in bytes."""
    draft = folder / "draft"
    digest, size = hashlib.sha256(), 0
    with stream, os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / digest.hexdigest())
    return digest.hexdigest(), size


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk, not only the files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
