"""The folders of readings: what one job wrote of one study, under `results/<first two digits>/<content hash>/<job>`.

In: a folder that was made aside. Out: its place, where it is as a whole or not at all; and its removal. Nothing that a
sender chose becomes part of a path.
"""

import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ARRIVING, _LEAVING, _RESULTS = "arriving", "leaving", "results"
_HASH = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,18}")


class ResultFolders:
    """The folders of readings within the folder of studies. Only its owner may read what is made in it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A new empty folder on the same disk; what is left of it at the end is removed."""
        folder = self._new(_ARRIVING)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, draft: Path, content_hash: str, job: int) -> None:
        """Give a draft its place.

        Raises:
            OSError: where it cannot be moved.
        """
        place = self.folder_of(content_hash, job)
        for folder in (self._root / _RESULTS, place.parent.parent, place.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        draft.rename(place)

    def folder_of(self, content_hash: str, job: int) -> Path:
        """Where the results of a job lie.

        Raises:
            ValueError: for a content hash that is none, so that no text leads out of the folder.
        """
        return self._of_study(content_hash) / str(int(job))

    def jobs(self, content_hash: str) -> tuple[int, ...]:
        """The jobs of a study that have results here."""
        place = self._of_study(content_hash)
        found = place.iterdir() if place.is_dir() else ()
        return tuple(sorted(int(folder.name) for folder in found if _NUMBER.fullmatch(folder.name)))

    def remove(self, content_hash: str, jobs: Collection[int]) -> None:
        """Remove the results of some jobs of a study; each is gone from its place at once."""
        for job in jobs:
            aside = self._new(_LEAVING)
            with suppress(FileNotFoundError):  # another process was faster
                self.folder_of(content_hash, job).rename(aside)  # onto an empty folder, which it replaces
            shutil.rmtree(aside, ignore_errors=True)
        if jobs:
            with suppress(OSError):  # the results of other jobs are in it, or it is gone
                self._of_study(content_hash).rmdir()

    def hashes(self, older_than_seconds: float) -> tuple[str, ...]:
        """The content hashes of the studies that have results here, unchanged for so long."""
        before = time.time() - older_than_seconds
        found = (self._root / _RESULTS).glob("[0-9a-f][0-9a-f]/*")
        old = (folder for folder in found if _HASH.fullmatch(folder.name) and folder.stat().st_ctime < before)
        return tuple(sorted(folder.name for folder in old))

    def _of_study(self, content_hash: str) -> Path:
        if not _HASH.fullmatch(content_hash):
            raise ValueError("a content hash is 64 hexadecimal digits")
        return self._root / _RESULTS / content_hash[:2] / content_hash

    def _new(self, kind: str) -> Path:
        folder = self._root / kind / secrets.token_hex(16)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
        return folder
