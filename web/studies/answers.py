"""The files of a reading as answers: one of them, or all as an archive. Nothing of them is held in memory as a whole.

In: a study and a name. Out: a response.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flask import Response, abort

from web.history.opening import Store
from web.studies.folder import OUT
from web.studies.stored import downloads, results_folder

if TYPE_CHECKING:
    from web.history.worklist import Row

MEDIA_TYPES = {
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".dcm": "application/dicom",
    ".gz": "application/gzip",
}
UNKNOWN_TYPE = "application/octet-stream"
PIECE_BYTES = 2**18


def media_type(name: str) -> str:
    """What a file of the results is, by its name: we gave it."""
    return MEDIA_TYPES.get(Path(name).suffix, UNKNOWN_TYPE)


def results_file(store: Store, row: "Row", name: str) -> Response:
    """One file of the results of a study; only names that are there are ever opened.

    Raises:
        NotRead: where it was not read, a 409.
        NotFound: where there is no such file.
    """
    folder = results_folder(store, row)
    if name not in downloads(folder):
        abort(404)
    file = folder / OUT / name
    response = Response(_pieces(file), mimetype=media_type(name))
    response.content_length = file.stat().st_size
    return _download(response, f"study-{row.number}-{name.replace('/', '-')}")


def results_archive(store: Store, row: "Row") -> Response:
    """All files of the results as an archive.

    Raises:
        NotRead: where it was not read, a 409.
    """
    folder = results_folder(store, row)
    return _archive(folder, downloads(folder), f"study-{row.number}.zip")


def captures_archive(store: Store, row: "Row") -> Response:
    """The pictures with the mask burnt in as an archive.

    Raises:
        NotRead: where the study was not read, a 409.
        NotFound: where it has no such pictures.
    """
    from hemoscope.results.folder import CAPTURES

    folder = results_folder(store, row)
    names = tuple(name for name in downloads(folder) if name.startswith(f"{CAPTURES}/"))
    if not names:
        abort(404)
    return _archive(folder, names, f"study-{row.number}-captures.zip")


def _archive(folder: Path, names: tuple[str, ...], name: str) -> Response:
    return _download(Response(_zipped(folder / OUT, names), mimetype="application/zip"), name)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


class _Pipe:
    """Where an archive is written that is sent at once: it cannot be gone back in."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        data, self._written = b"".join(self._written), []
        return data


def _zipped(folder: Path, names: tuple[str, ...]) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(cast("zipfile._ZipWritable", pipe), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(folder / name, name)
            yield pipe.taken()
    yield pipe.taken()


def _download(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response
