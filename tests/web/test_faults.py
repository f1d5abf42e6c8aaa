"""Errors and headers: one shape under /api, a page elsewhere, never a trace."""

import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hemoscope.errors import BadWeights
from web.security import HEADERS

SECRET = "DOE^JANE 1.2.840.99"


@pytest.fixture
def failing(app: Flask, models: Any) -> FlaskClient:
    """A client of an application whose models fail with a message that quotes a patient."""

    def fail() -> None:
        raise RuntimeError(SECRET)

    models.names = models.manifests = fail
    app.config["TESTING"] = False
    return app.test_client()


@pytest.mark.parametrize("address", ["/models", "/api/v1/models"])
def test_unexpected_error_shows_and_logs_no_value(
    failing: FlaskClient, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    answer = failing.get(address)
    assert answer.status_code == 500
    assert "our fault" in answer.text
    assert "Traceback" not in answer.text
    assert SECRET not in answer.text + caplog.text
    assert "RuntimeError in fail:" in caplog.text


@pytest.mark.parametrize(
    ("method", "address", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/read", 405, "method_not_allowed"),
        ("POST", "/api/v1/models", 405, "method_not_allowed"),
        ("POST", "/api/v1/read", 400, "bad_request"),
        ("POST", "/api/v1/read?include=mask,shoes", 400, "bad_request"),
    ],
)
def test_api_errors_have_one_shape(client: FlaskClient, method: str, address: str, status: int, code: str) -> None:
    answer = client.open(address, method=method)
    assert answer.status_code == status
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"status", "code", "message"}
    assert (answer.json["error"]["status"], answer.json["error"]["code"]) == (status, code)
    assert ("Allow" in answer.headers) == (status == 405)


def test_unknown_model_and_broken_weights_have_the_same_shape(
    client: FlaskClient, models: Any, blood_png: bytes
) -> None:
    def post(model: str) -> Any:
        return client.post("/api/v1/read", data={"files": (io.BytesIO(blood_png), "a"), "model": model})

    unknown = post("nonesuch")
    assert (unknown.status_code, unknown.json["error"]["code"]) == (404, "unknown_model")
    assert "unet, reader" in unknown.json["error"]["message"]

    def broken(name: str) -> None:
        raise BadWeights("the graph was changed")

    models.load = broken
    answer = post("unet")
    assert answer.json == {"error": {"status": 500, "code": "bad_weights", "message": "the graph was changed"}}


@pytest.mark.parametrize("address", ["/", "/nowhere", "/static/hemoscope.css", "/healthz", "/api/v1/models", "/read"])
def test_every_answer_carries_the_security_headers(client: FlaskClient, address: str) -> None:
    headers = client.get(address).headers
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert "Set-Cookie" not in headers


def test_policy_allows_no_inline_code_and_no_framing() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "img-src 'self' data:" in policy


@pytest.mark.parametrize("address", ["/read", "/api/v1/read"])
def test_results_are_kept_by_no_cache(client: FlaskClient, blood_png: bytes, address: str) -> None:
    answer = client.post(address, data={"files": (io.BytesIO(blood_png), "a.png")})
    assert answer.headers["Cache-Control"] == "no-store"
