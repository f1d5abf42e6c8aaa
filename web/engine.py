"""What stands behind the pages and the API: the models, loaded when first needed, and the reading of one upload.

In: an upload, a model's name and a window. Out: a `Reading` or a `Failure`; one bad file never spoils another.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from flask import current_app

from hemoscope.errors import HemoscopeError, UnknownModel
from hemoscope.scan import Scan, Window
from web.limits import refuse_too_many_pixels
from web.settings import Settings
from web.uploads import Upload

if TYPE_CHECKING:
    from hemoscope.findings import Findings
    from hemoscope.manifest import EnsembleManifest, Manifest, NetworkManifest
    from model import Reader

log = logging.getLogger(__name__)

Shown = TypeVar("Shown")

GIVE_WAY_SECONDS = 0.001  # a thread that waits for a turn needs a moment to wake up and take it
OUR_FAULT = "The reader failed on this file. That is our fault, not the file's; please tell us."


@dataclass(frozen=True)
class Reading:
    """One file that was read: the scan, what was found in it and the manifest of the model that found it."""

    name: str
    scan: Scan
    findings: "Findings"
    manifest: "Manifest"


@dataclass(frozen=True)
class Failure:
    """One file that was not read, and why, in a sentence for the user."""

    name: str
    message: str


class Engine:
    """The models of this process. The modules that read scans are imported on first use, so the process starts fast.

    `state` says where the default model stands: `cold`, `loading`, `ready` or `failed`, and `reason` why it failed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._default = settings.model
        self._turns = threading.BoundedSemaphore(settings.reads_at_once)
        self.state = "cold"
        self.reason = ""

    def manifests(self) -> "tuple[NetworkManifest | EnsembleManifest, ...]":
        """The manifests of all models, the default one first; no graph is loaded."""
        import model

        return tuple(sorted(model.manifests(), key=lambda manifest: manifest.name != self._default))

    def load(self, name: str = "") -> "Reader":
        """The model of that name, or the default one.

        Raises:
            UnknownModel: if there is none; the message lists those that exist.
            BadWeights: if its weights cannot be used.
        """
        import model

        return model.load(self.known(name))

    def known(self, name: str = "") -> str:
        """The name of a model that is there, the default one's for ""; nothing is loaded.

        Raises:
            UnknownModel: if there is none; the message lists those that exist.
        """
        import model

        wanted = name or self._default
        if wanted not in model.names():  # a name is a folder's: only listed ones are ever looked up
            raise UnknownModel(f"There is no model {wanted!r}; there are {', '.join(model.names()) or 'none'}.")
        return wanted

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until this process may read one thing more."""
        with self._turns:
            yield

    def give_way(self) -> None:
        """Let another reading go first where one waits; for who holds a turn and works for long."""
        self._turns.release()
        try:
            time.sleep(GIVE_WAY_SECONDS)
        finally:
            self._turns.acquire()

    def warm_up(self) -> None:
        """Load the default model and the readers; `state` tells how it went."""
        self.state = "loading"
        try:
            import hemoscope.readers  # noqa: F401

            self.load()
        except Exception as error:
            self.state, self.reason = "failed", describe(error)
            log.error("the model %s cannot be loaded: %s", self._default, self.reason)
        else:
            self.state, self.reason = "ready", ""

    def warm_up_in_background(self) -> None:
        self.state = "loading"
        threading.Thread(target=self.warm_up, name="warm-up", daemon=True).start()

    def read_all(
        self, uploads: Sequence[Upload], model_name: str, window: Window, show: Callable[[Reading], Shown]
    ) -> Iterator[Shown | Failure]:
        """Read each upload and make of the reading what is shown, when its turn comes.

        A reading and the drawing of it are some ten megabytes, so that only so many as the settings say are in memory
        at once, whatever the number of requests.

        Raises:
            UnknownModel, BadWeights: at once, what would fail for all of them alike.
        """
        reader = self.load(model_name)
        return (self._read(upload, reader, window, show) for upload in uploads)

    def _read(
        self, upload: Upload, reader: "Reader", window: Window, show: Callable[[Reading], Shown]
    ) -> Shown | Failure:
        from hemoscope.readers import read_bytes

        if upload.problem:
            return Failure(upload.name, upload.problem)
        try:
            with self._turns:
                refuse_too_many_pixels(upload.data, self._settings)
                scan = read_bytes(upload.data, upload.name, window, max_pixels=self._settings.max_pixels)
                return show(Reading(upload.name, scan, reader.read(scan), reader.manifest))
        except HemoscopeError as error:
            return Failure(upload.name, str(error))
        except Exception as error:
            log.error("a reading failed: %s", describe(error))
            return Failure(upload.name, OUR_FAULT)


def engine() -> Engine:
    """The engine of the application that handles the request."""
    found: Engine = current_app.extensions["engine"]
    return found


def describe(error: BaseException) -> str:
    """An error for the log: our own sentences as they are, of others only kind and place.

    A foreign message can quote what a header holds, a name or a UID; kind and place cannot.
    """
    if isinstance(error, HemoscopeError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-6:]))
    return f"{type(error).__name__} in {places}"
