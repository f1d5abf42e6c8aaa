"""Liveness and readiness."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hemoscope.errors import BadWeights


def test_process_is_alive_whatever_the_model_does(client: FlaskClient, models: Any) -> None:
    models.load = None
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_ready_once_the_default_model_loads(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("error", "reason"),
    [(BadWeights("the graph was changed"), "the graph was changed"), (OSError("/secret/place"), "OSError in broken:")],
)
def test_not_ready_says_why_and_recovers(client: FlaskClient, models: Any, error: Exception, reason: str) -> None:
    good = models.load

    def broken(name: str) -> None:
        raise error

    models.load = broken
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "not ready")
    assert answer.json["reason"].startswith(reason)
    assert "secret" not in answer.text
    models.load = good
    assert client.get("/readyz").status_code == 200


def test_warm_up_runs_behind_the_start(make_app: Callable[..., Flask], models: Any) -> None:
    go, good = threading.Event(), models.load

    def slow(name: str) -> Any:
        assert go.wait(10)
        return good(name)

    models.load = slow
    client = make_app(warm_up=True).test_client()
    waiting = client.get("/readyz")
    assert (waiting.status_code, waiting.json["reason"]) == (503, "The default model is being loaded.")
    assert client.get("/healthz").status_code == 200
    go.set()
    for _ in range(100):
        if client.get("/readyz").status_code == 200:
            return
        time.sleep(0.05)
    pytest.fail("never ready")


def test_missing_default_model_is_said(make_app: Callable[..., Flask]) -> None:
    answer = make_app(model="nonesuch").test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json["reason"] == "There is no model 'nonesuch'; there are unet, reader."


def test_making_the_application_imports_no_runtime_and_no_dicom_library() -> None:
    """They are imported by the warm-up and by the first reading, so the process answers at once."""
    program = (
        "import sys; from app import create_app; create_app({'warm_up': False}).test_client().get('/healthz');"
        "print(sorted({'onnxruntime', 'pydicom', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
