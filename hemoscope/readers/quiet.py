"""Keeps the warnings of pydicom and Pillow away from users and logs: they quote values from headers.

In: nothing. Out: a context in which those libraries are silent.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.Lock()


class _Nothing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False


_NOTHING = _Nothing()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and the log of pydicom and Pillow.

    The warning filters belong to the whole process, so one thread at a time: without the lock, two threads that
    restore them in another order than they saved them would let a patient's name through. Parsing takes about a
    millisecond; pixels of DICOM files are decoded outside.
    """
    loggers = [logging.getLogger(name) for name in ("pydicom", "PIL", "PIL.TiffImagePlugin", "PIL.PngImagePlugin")]
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.addFilter(_NOTHING)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(_NOTHING)
