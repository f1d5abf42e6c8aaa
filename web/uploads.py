"""The files of a request, held in memory and bounded; nothing of them is written to disk.

In: a multipart request. Out: `Upload` values in the order sent, each with its bytes or the reason why it has none.
"""

import io
from dataclasses import dataclass
from typing import IO

from flask import Request, current_app

from web.settings import MEGABYTE, Settings

LONGEST_NAME = 200


@dataclass(frozen=True)
class Upload:
    """One file as sent. `name` is for messages only; `problem` says why `data` is empty, where it is."""

    name: str
    data: bytes
    problem: str = ""


class BoundedFile(io.BytesIO):
    """A file in memory that forgets its content once it grows past `limit` bytes and remembers that it did."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.too_large = False

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        length = len(data)
        if not self.too_large and self.tell() + length > self.limit:
            self.too_large = True
            self.seek(0)
            self.truncate()
        return length if self.too_large else super().write(data)


class UploadRequest(Request):
    """A request whose files stay in memory: Werkzeug would put those above 500 kB into temporary files."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        settings: Settings = current_app.extensions["settings"]
        return BoundedFile(settings.max_file_bytes)


def uploads_of(request: Request, settings: Settings) -> list[Upload]:
    """The files of the field `files`, in order. A browser's empty file field (no name, no bytes) is none."""
    found: list[Upload] = []
    for storage in request.files.getlist("files"):
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
