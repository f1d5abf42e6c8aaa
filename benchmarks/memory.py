"""The most memory that a web worker takes: large pictures, many slices, every picture asked for, several at once.

    python -m benchmarks.memory

In: the installed models and synthetic slices; no real data. Out: a line a case, each from a Gunicorn worker of
its own: VmHWM, the most that was ever resident, in megabytes of 1,000,000 bytes.
"""

import io
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image

from benchmarks.latency import ROOT, START_LIMIT_S, resident_mb
from hemoscope.phantom import dicom_slices, make_phantom, sample_slice
from hemoscope.readers import read_bytes
from hemoscope.scan import BRAIN

API, EVERYTHING, PAGE = "/api/v1/read", "/api/v1/read?include=mask,overlay,heatmaps", "/read"


def large_png(side_px: int) -> bytes:
    """A phantom with blood as a grey PNG of that side, in the brain window."""
    hu = cv2.resize(read_bytes(sample_slice(True)).hu[0], (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    grey = np.clip((hu - BRAIN.lowest_hu) / BRAIN.width * 255, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def pages(count: int) -> bytes:
    """That phantom so many times as the pages of a grey TIFF of 512 x 512."""
    page = Image.open(io.BytesIO(large_png(512)))
    file = io.BytesIO()
    page.save(file, "TIFF", save_all=True, append_images=[page] * (count - 1))
    return file.getvalue()


def form(files: Sequence[bytes]) -> tuple[bytes, str]:
    """The body and content type of a form with these files (RFC 7578)."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="slice"\r\n\r\n'.encode()
    body = b"".join(head + file + b"\r\n" for file in files)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@contextmanager
def worker() -> Iterator[tuple[int, str]]:
    """A server of one worker, ready to read: its port and the worker's process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = ["--config", str(ROOT / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    environment = os.environ | {"WEB_CONCURRENCY": "1", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *config, "app:create_app()"], env=environment, cwd=ROOT
    )
    try:
        begin = time.monotonic()
        while not answers(port):
            if server.poll() is not None or time.monotonic() - begin > START_LIMIT_S:
                raise click.ClickException("The server did not answer.")
            time.sleep(0.1)
        (process,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text("ascii").split()
        yield port, process
    finally:
        server.terminate()
        server.wait(30)


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/readyz")[0] == 200
    except ConnectionError:
        return False


def ask(port: int, method: str, path: str, body: bytes = b"", content_type: str = "") -> tuple[int, int]:
    """Send a request: the status and the bytes of its answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, {"Content-Type": content_type} if body else {})
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    finally:
        connection.close()


def peak_mb(path: str, files: Sequence[bytes], at_once: int) -> tuple[float, float]:
    """The worker's most memory and the size of an answer, in megabytes."""
    body, content_type = form(files)
    with worker() as (port, process), ThreadPoolExecutor(at_once) as pool:
        sent = [pool.submit(ask, port, "POST", path, body, content_type) for _ in range(at_once)]
        found = [each.result() for each in sent]
        if any(status != 200 for status, _ in found):
            raise click.ClickException(f"The server answered {found}.")
        return resident_mb(process, peak=True), found[0][1] / 1e6


@click.command()
def main() -> None:
    """Measure each case in a worker of its own."""
    slices = dicom_slices(make_phantom(slices=24, rows=512, columns=512, spacing_mm=0.45))
    cases: list[tuple[str, Sequence[bytes]]] = [
        ("1 DICOM 512 x 512", slices[:1]),
        ("24 DICOM 512 x 512", slices),
        ("1 PNG 1024 x 1024", [large_png(1024)]),
        ("1 PNG 2048 x 2048", [large_png(2048)]),
        ("TIFF of 32 x 512 x 512", [pages(32)]),
    ]
    for name, files in cases:
        for at_once in (1, 4):
            for path in (API, PAGE, EVERYTHING):
                most, answer = peak_mb(path, files, at_once)
                click.echo(f"{at_once} x {name:<24}{path:<45}{most:7.0f} MB   answer {answer:6.2f} MB")


if __name__ == "__main__":
    main()
