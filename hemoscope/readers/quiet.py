"""Keeps the warnings of pydicom, Pillow and highdicom away from users and logs: they quote values from headers.

In: nothing. Out: a context in which those libraries are silent.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class _Nothing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False


_NOTHING = _Nothing()
_LOGGERS = (
    *("pydicom", "PIL", "PIL.TiffImagePlugin", "PIL.PngImagePlugin", "nibabel", "nibabel.global"),
    *("highdicom.base", "highdicom.image", "highdicom.seg.sop", "highdicom.sr.sop", "highdicom.sc.sop"),
)


class _Silence:
    """Begins with the first of the threads that want it and ends with the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted_by = 0
        self._undo = ExitStack()

    def begin(self) -> None:
        with self._lock:
            if self._wanted_by == 0:
                self._undo.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                for logger in map(logging.getLogger, _LOGGERS):
                    logger.addFilter(_NOTHING)
                    self._undo.callback(logger.removeFilter, _NOTHING)
            self._wanted_by += 1

    def end(self) -> None:
        with self._lock:
            self._wanted_by -= 1
            if self._wanted_by == 0:
                self._undo.close()


_SILENCE = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and the log of pydicom and Pillow.

    The warning filters belong to the whole process: two threads that each restored them in another order than they
    saved them would let a patient's name through. So the first thread that comes in sets them and the last one that
    leaves restores them. Nobody waits for another's reading, however long it takes.
    """
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()
