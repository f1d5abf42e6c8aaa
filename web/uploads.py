"""The files of a request, held in memory and bounded; nothing of them is written to disk, but for whole studies.

In: a multipart request. Out: `Upload` values in the order sent, each with its bytes or the reason why it has none.
"""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from flask import Flask, Request, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from web.settings import MEGABYTE, Settings

LONGEST_NAME = 200
RETRY_AFTER_S = 5


@dataclass(frozen=True)
class Upload:
    """One file as sent. `name` is for messages only; `problem` says why `data` is empty, where it is."""

    name: str
    data: bytes
    problem: str = ""


class Room:
    """How many bytes of uploads this process holds, of all requests together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, length: int) -> None:
        """Raises `ServiceUnavailable` where there is no room for so many bytes more."""
        with self._lock:
            if self._taken + length > self._limit:
                raise ServiceUnavailable(retry_after=RETRY_AFTER_S)
            self._taken += length

    def give_back(self, length: int) -> None:
        with self._lock:
            self._taken -= length


class BoundedFile(io.BytesIO):
    """A file in memory that forgets its content once it grows past `limit` bytes and remembers that it did.

    `take` is told of each piece before it is kept.
    """

    def __init__(self, limit: int, take: Callable[[int], None]) -> None:
        super().__init__()
        self.limit = limit
        self.take = take
        self.too_large = False

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        length = len(data)
        if not self.too_large and self.tell() + length > self.limit:
            self.too_large = True
            self.seek(0)
            self.truncate()
        if self.too_large:
            return length
        self.take(length)
        return super().write(data)


class DiskFile:
    """A file on the disk that is written once.

    It is closed with its last byte, when the parser goes back to its begin: a request may send more files than a
    process may hold open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def seek(self, place: int, whence: int = 0) -> int:
        self._file.close()
        return 0

    def close(self) -> None:
        self._file.close()


class UploadRequest(Request):
    """A request whose files stay in memory: Werkzeug would put those above 500 kB into temporary files.

    `held` is how many bytes they are; they count as long as the request lasts. Where a route that takes whole studies
    has set `folder`, they go there instead, under numbers.
    """

    held = 0
    folder: Path | None = None
    _files = 0

    def take(self, length: int) -> None:
        room: Room = current_app.extensions["room"]
        room.take(length)
        self.held += length

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if self.folder is not None:
            self._files += 1
            return cast("IO[bytes]", DiskFile(self.folder / f"{self._files:05d}"))
        settings: Settings = current_app.extensions["settings"]
        return BoundedFile(settings.max_file_bytes, self.take)


def register_uploads(app: Flask) -> None:
    """Count what all requests hold, and forget what those held that are over."""
    settings: Settings = app.extensions["settings"]
    room = app.extensions["room"] = Room(settings.max_held_bytes)

    def give_back(error: BaseException | None) -> None:
        assert isinstance(request, UploadRequest)
        room.give_back(request.held)

    app.teardown_request(give_back)


def uploads_of(sent: Request, settings: Settings) -> list[Upload]:
    """The files of the field `files`, in order. A browser's empty file field (no name, no bytes) is none."""
    found: list[Upload] = []
    for storage in sent.files.getlist("files"):
        name = "".join(letter for letter in storage.filename or "" if letter.isprintable())[:LONGEST_NAME]
        file = storage.stream
        assert isinstance(file, BoundedFile)
        data, too_large = file.getvalue(), file.too_large  # unlike read(), getvalue() makes no copy
        file.close()
        if not name and not data and not too_large:
            continue
        if len(found) >= settings.max_files:
            found.append(Upload(name, b"", f"Only {settings.max_files} files are read at a time; send this one again."))
        elif too_large:
            limit = f"{settings.max_file_bytes / MEGABYTE:g} MB"
            found.append(Upload(name, b"", f"The file is larger than the {limit} that this server reads."))
        else:
            found.append(Upload(name, data))
    return found
