"""A web server as `hemoscope serve` starts it, for the time of a measurement.

In: settings as environment variables. Out: the process of Gunicorn and its port; at the end both are gone.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_LIMIT_S = 60.0


@contextmanager
def server(environment: Mapping[str, str]) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """One worker; it may not answer yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "--log-level", "error", "app:create_app()"],
        env=os.environ | environment,
        cwd=ROOT,
    )
    try:
        yield process, port
    finally:
        process.terminate()
        process.wait(30)
