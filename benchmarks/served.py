"""A study over HTTP: from the first byte of its upload to the last of its report.

In: a zip and a model's name. Out: seconds of each of `STEPS`, and the processor time of the server's worker. The server
is a process of its own; it reads the study twice, and forgets it between: the first time it loads libraries too.
"""

import json
import os
import tempfile
import time
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path

import click

from benchmarks.latency import multipart
from benchmarks.server import START_LIMIT_S, server

STEPS = {
    "sent": "upload: sent, looked through, kept",
    "waited": "job: waited for its turn",
    "worked": "job: read, measured, all results written",
    "noticed": "end of the job noticed",
    "fetched": "report fetched",
}
POLL_S = 0.25  # each look costs the server some milliseconds
JOB_LIMIT_S = 600.0


def measure_served(archive: Path, model_name: str) -> dict[str, dict[str, float]]:
    """The seconds of each step and of the processor: `first` and `again`."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "HEMOSCOPE_MODEL": model_name,
            "HEMOSCOPE_STUDIES_FOLDER": str(Path(folder) / "studies"),
            "HEMOSCOPE_DATABASE_URL": f"sqlite:///{folder}/history.sqlite",
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        found = {}
        with server(environment) as (process, port):
            wait_until_ready(port)
            worker = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").strip()
            for part in ("first", "again"):
                before = processor_s(worker)
                found[part] = send_and_fetch(port, archive.read_bytes(), model_name)
                found[part]["processor"] = processor_s(worker) - before
        return found


def processor_s(pid: str) -> float:
    """The processor time of a process so far, of all its threads (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_ready(port: int) -> None:
    """Return once the model is loaded."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < START_LIMIT_S:
        try:
            if ask(port, "GET", "/readyz")[0] == 200:
                return
        except ConnectionError:
            pass
        time.sleep(POLL_S)
    raise click.ClickException("The server did not answer.")


def send_and_fetch(port: int, data: bytes, model_name: str) -> dict[str, float]:
    """Send a study, follow its job, fetch the report, and delete it."""
    body, content_type = multipart(data, model_name, "study.zip")
    begin = time.time()  # the server's own moments are compared with it
    (taken,) = answered(port, "POST", "/api/v1/studies", body, content_type)["studies"]
    sent = time.time()
    job = answered(port, "GET", taken["links"]["job"])
    while job["state"] in ("queued", "running"):
        if time.time() - sent > JOB_LIMIT_S:
            raise click.ClickException("The study was not read in time.")
        time.sleep(POLL_S)
        job = answered(port, "GET", taken["links"]["job"])
    if job["state"] != "done":
        raise click.ClickException(f"The study was not read: {job['message']}")
    noticed = time.time()
    status, report = ask(port, "GET", f"{taken['links']['results']}/report.pdf")
    fetched = time.time()
    if status != 200 or not report.startswith(b"%PDF"):
        raise click.ClickException(f"There is no report: {status}.")
    ask(port, "DELETE", taken["links"]["self"])
    started, ended = (datetime.fromisoformat(job[key]).timestamp() for key in ("started_at", "ended_at"))
    return {
        "sent": min(sent, started) - begin,  # the job may begin while the answer is on its way
        "waited": max(0.0, started - sent),
        "worked": ended - started,
        "noticed": noticed - ended,
        "fetched": fetched - noticed,
    }


def answered(port: int, method: str, path: str, body: bytes = b"", content_type: str = "") -> dict[str, object]:
    """The JSON of an answer that is none of an error."""
    status, data = ask(port, method, path, body, content_type)
    if status >= 400:
        raise click.ClickException(f"The server answered {status}: {data.decode()}")
    said: dict[str, object] = json.loads(data)
    return said


def ask(port: int, method: str, path: str, body: bytes = b"", content_type: str = "") -> tuple[int, bytes]:
    """Status and body of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=JOB_LIMIT_S)
    try:
        connection.request(method, path, body or None, {"Content-Type": content_type} if content_type else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def table(found: dict[str, dict[str, float]], alone_s: dict[str, float]) -> list[str]:
    """The figures as lines; `alone_s` is the processor time of the same work in one process without HTTP."""
    whole = {part: sum(found[part][name] for name in STEPS) for part in found}

    def row(label: str, name: str) -> str:
        columns = (f"{found[part][name]:9.2f} s {found[part][name] / whole[part]:5.0%}" for part in whole)
        return f"{label:<50}" + "".join(columns)

    def plain(label: str, values: dict[str, float]) -> str:
        return f"{label:<50}" + "".join(f"{values[part]:9.2f} s      " for part in whole).rstrip()

    lines = [f"{'over HTTP, a server that is ready':<50}{'first':>9}{'again':>17}"]
    lines += [row(label, name) for name, label in STEPS.items()]
    lines.append(plain("upload to report", whole))
    lines.append(plain("processor time", {part: found[part]["processor"] for part in whole}))
    times = ", ".join(f"{found[part]['processor'] / alone_s[part]:.2f} ({part})" for part in whole)
    load = os.getloadavg()[0]
    return [*lines, f"times the processor time of bytes to folder: {times}; the machine's load was {load:.1f}"]
