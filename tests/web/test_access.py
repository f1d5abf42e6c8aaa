"""Who may see the history, and that no other site's page changes anything."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from web.settings import read_settings

PASSWORD = "Schlüssel: 7"
HISTORY = ["/worklist/", "/patients/1/", "/studies/1/", "/studies/1/study.json", "/studies/1/delete"]
OPEN = ["/", "/models", "/about", "/contact", "/healthz", "/api/v1/models", "/static/hemoscope.css"]


def basic(password: str, user: str = "anybody") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def client(history_app: Flask) -> FlaskClient:
    return history_app.test_client()


@pytest.fixture
def guarded(make_app: Callable[..., Flask], history_settings: dict[str, object]) -> FlaskClient:
    return make_app(password=PASSWORD, **history_settings).test_client()


def asked(client: FlaskClient, path: str = "/worklist/", address: str = "127.0.0.1", **more: Any) -> Any:
    return client.get(path, environ_base={"REMOTE_ADDR": address}, **more)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5000", "127.0.0.1:8000", "[::1]:8000"])
def test_without_a_password_the_machine_itself_sees_the_history(client: FlaskClient, address: str, host: str) -> None:
    assert asked(client, address=address, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("192.168.1.7", {}),
        ("172.17.0.1", {}),  # a browser on the host of a container
        ("::ffff:10.0.0.1", {}),
        ("", {}),  # a Unix socket, behind which a proxy sits
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.9"}),
        ("127.0.0.1", {"X-Real-IP": ""}),
        ("127.0.0.1", {"Host": "evil.example"}),  # DNS rebinding
        ("127.0.0.1", {"Host": "localhost.evil.example:8000"}),
        ("127.0.0.1", {"Host": "evil.example@localhost.evil.example"}),
        ("127.0.0.1", {"Host": "192.168.1.7:8000"}),
        ("127.0.0.1", {"Host": "[::1"}),
    ],
)
def test_without_a_password_nobody_else_does(client: FlaskClient, address: str, headers: dict[str, str]) -> None:
    answer = asked(client, address=address, headers=headers)
    assert answer.status_code == 403
    assert "HEMOSCOPE_PASSWORD" in answer.text
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("path", HISTORY)
def test_every_page_of_the_history_is_protected(client: FlaskClient, guarded: FlaskClient, path: str) -> None:
    assert asked(client, path, address="192.168.1.7").status_code == 403
    assert asked(guarded, path).status_code == 401


@pytest.mark.parametrize("path", ["/studies/1/delete", "/studies/1/unread"])
def test_nothing_is_changed_without_access(client: FlaskClient, guarded: FlaskClient, path: str) -> None:
    assert client.post(path, environ_base={"REMOTE_ADDR": "192.168.1.7"}).status_code == 403
    assert guarded.post(path).status_code == 401


@pytest.mark.parametrize("path", OPEN)
def test_what_keeps_nothing_is_open_to_all(client: FlaskClient, guarded: FlaskClient, path: str) -> None:
    assert asked(client, path, address="192.168.1.7").status_code == 200
    assert asked(guarded, path, address="192.168.1.7").status_code == 200


def test_the_synthetic_studies_are_open_to_all(client: FlaskClient, guarded: FlaskClient) -> None:
    """The guard looks at the key only: one that begins like theirs and is none of them gets as far as not found."""
    assert asked(client, "/studies/demo-nothing/", address="192.168.1.7").status_code == 404
    assert asked(guarded, "/studies/demo-nothing/", address="192.168.1.7").status_code == 404


@pytest.mark.parametrize("user", ["", "anybody", "Ärztin"])
def test_the_password_opens_the_history_from_anywhere_whatever_the_user(guarded: FlaskClient, user: str) -> None:
    headers = basic(PASSWORD, user) | {"Host": "ct.example", "X-Forwarded-For": "203.0.113.9"}
    assert asked(guarded, address="10.0.0.1", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(""),
        basic("schlüssel: 7"),
        basic(PASSWORD + " "),
        basic(PASSWORD[:-1]),
        {"Authorization": "Bearer " + PASSWORD.encode().hex()},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic /w=="},  # no UTF-8
    ],
)
def test_another_password_or_none_is_asked_for_it_on_the_machine_itself_too(
    guarded: FlaskClient, headers: dict[str, str]
) -> None:
    answer = asked(guarded, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert "needs its password" in answer.text
    assert PASSWORD not in answer.text


def test_the_password_is_shown_nowhere() -> None:
    assert PASSWORD not in repr(read_settings({"password": PASSWORD}, {}))
    with pytest.raises(ValueError, match="HEMOSCOPE_PASSWORD must") as told:
        read_settings({"password": "line\nbreak"}, {})
    assert "line" not in str(told.value)


@pytest.mark.parametrize("path", ["/read", "/api/v1/read", "/studies/1/unread"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:8001"},  # another server on this machine
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
    ],
)
def test_another_sites_page_changes_nothing(client: FlaskClient, path: str, headers: dict[str, str]) -> None:
    answer = client.post(path, headers=headers)
    assert answer.status_code == 403
    assert "Another site" in answer.text
    if path.startswith("/api/"):
        assert answer.json["error"]["code"] == "forbidden"


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://ct.example"},  # a proxy that changes the Host
        {"Origin": "http://LOCALHOST"},
        {"Origin": "https://localhost"},  # a proxy that speaks TLS
    ],
)
def test_own_pages_and_programs_may_post(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.post("/studies/1/unread", headers=headers).status_code == 400  # it does not say which mark


def test_reading_from_another_site_is_no_change(client: FlaskClient) -> None:
    assert client.get("/worklist/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
