"""The files of a request that sends whole studies: on the disk, within bounds, gone with the request.

In: a multipart request. Out: `Sent`: paths in a folder of our own, what their sender calls them, and the form's fields.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import request
from werkzeug.exceptions import ServiceUnavailable

from hemoscope.errors import BadRequest
from web.history.opening import Store
from web.settings import Settings
from web.uploads import RETRY_AFTER_S, DiskFile, UploadRequest

UPLOADS_AT_ONCE = 2  # of whole studies, in a process: each may take its limit of the disk
OTHER_PARTS = 16  # of a form, beside files
LONGEST_PATH = 400

_uploading = threading.BoundedSemaphore(UPLOADS_AT_ONCE)


@dataclass(frozen=True)
class Sent:
    """What a form sent.

    Attributes:
        paths: of the files, in order; they go with the request.
        names: what their sender calls them, for messages.
        fields: the other fields of the form.
    """

    paths: tuple[Path, ...]
    names: Mapping[Path, str]
    fields: Mapping[str, str]


@contextmanager
def sent_studies(store: Store, settings: Settings) -> Iterator[Sent]:
    """Take the files of the field `files` from the request; nothing of it may have been looked at before.

    Raises:
        BadRequest: where no file came.
        RequestEntityTooLarge: for more bytes or files than the settings allow.
        ServiceUnavailable: where so many uploads run already.
    """
    if not _uploading.acquire(blocking=False):
        raise ServiceUnavailable(
            "Other studies are being sent. Send this one again in a few seconds.", retry_after=RETRY_AFTER_S
        )
    try:
        with store.files.draft() as folder:
            incoming = cast(UploadRequest, request)
            incoming.max_content_length = settings.max_study_bytes
            incoming.max_form_parts = settings.max_study_files + OTHER_PARTS
            incoming.folder = folder
            paths, names = [], {}
            for storage in request.files.getlist("files"):
                path = cast(DiskFile, storage.stream).path
                name = "".join(letter for letter in storage.filename or "" if letter.isprintable())[-LONGEST_PATH:]
                if name or path.stat().st_size:  # an empty file field of a browser is none
                    paths.append(path)
                    names[path] = name or path.name
            if not paths:
                raise BadRequest("No file was chosen. Choose a study: a folder, its files, or a ZIP archive.")
            yield Sent(tuple(paths), names, dict(request.form.items()))
    finally:
        _uploading.release()
