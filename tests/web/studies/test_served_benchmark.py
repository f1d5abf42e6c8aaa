"""The benchmark of a study over HTTP goes the whole way."""

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.serving import make_server

from benchmarks import served
from tests.studies.series import zipped
from tests.web.studies.conftest import a_study
from web.history.worklist import Filter, worklist


def test_a_study_goes_over_http_comes_back_as_a_report_and_is_forgotten(
    make_studies_app: Callable[..., Flask],
) -> None:
    app = make_studies_app()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    data = zipped({f"{number}.dcm": file for number, file in enumerate(a_study())})
    try:
        rounds = [served.send_and_fetch(server.port, data, "unet") for _ in range(2)]
    finally:
        server.shutdown()
        server.server_close()
    for seconds in rounds:
        assert set(seconds) == set(served.STEPS)
        assert all(value >= 0 for value in seconds.values())
        assert min(seconds["sent"], seconds["worked"]) > 0
    assert worklist(app.extensions["history"].store().database, Filter()).studies == 0


def test_the_table_compares_with_the_same_work_without_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (1.5, 1.0, 1.0))
    part = dict(zip(served.STEPS, (1.0, 0.0, 3.5, 0.25, 0.25), strict=True)) | {"processor": 4.0}
    lines = served.table({"first": part, "again": part}, {"first": 3.2, "again": 2.0})
    assert lines[1].split()[-6:] == ["1.00", "s", "20%", "1.00", "s", "20%"]
    assert lines[-3].split() == ["upload", "to", "report", "5.00", "s", "5.00", "s"]
    assert lines[-2].split() == ["processor", "time", "4.00", "s", "4.00", "s"]
    assert lines[-1] == (
        "times the processor time of bytes to folder: 1.25 (first), 2.00 (again); the machine's load was 1.5"
    )
