"""The server as it runs in production: Gunicorn with `gunicorn.conf.py`, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.latency import TARGETS
from benchmarks.memory import PAGE, large_png, peak_mb

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 1
THREADS = 4


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A running server with few threads that loads no model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "--threads", str(THREADS)]
    environment = os.environ | {"HEMOSCOPE_WARM_UP": "no", "SOCKET_TIMEOUT": str(TIMEOUT_S), "WEB_CONCURRENCY": "1"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--bind", f"127.0.0.1:{port}", "app:create_app()"], env=environment, cwd=ROOT, stderr=log
        )
        try:
            for _ in range(200):
                if server.poll() is None and health_status(port, timeout_s=5) == 200:
                    break
                time.sleep(0.1)
            else:
                pytest.fail((tmp_path / "log").read_text())
            yield port
        finally:
            server.terminate()
            server.wait(40)


def health_status(port: int, timeout_s: float) -> int:
    """The status of /healthz, or 0 where it does not answer in that time."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_a_worker_stays_in_its_memory_when_many_draw_large_slices() -> None:
    """Of 512 MB on the smallest plan; each of these drawn for itself takes some 250 MB on top of the worker."""
    most, _ = peak_mb(PAGE, [large_png(2048)], at_once=4)
    assert most < TARGETS["worker_mb"]


HEAD = b"POST /api/v1/read HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"


@pytest.mark.parametrize(
    "sent", [HEAD, HEAD + b"Content-Length: 10000000\r\n\r\n--x\r\n"], ids=["within the headers", "within the body"]
)
def test_uploads_that_stall_give_their_threads_back(port: int, sent: bytes) -> None:
    stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(THREADS)]
    try:
        for connection in stalled:
            connection.sendall(sent)
        assert health_status(port, timeout_s=10 * TIMEOUT_S) == 200
    finally:
        for connection in stalled:
            connection.close()
