"""Whatever is sent to the API, it answers as its OpenAPI document says; schemathesis makes up what is sent.

The same is sent each time: nothing is left to chance.
"""

import io
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from tests.studies.series import zipped
from tests.web.studies.conftest import a_study
from web.openapi.document import document
from web.settings import Settings
from web.studies import as_json

EXAMPLES = 6  # of each kind and operation
PASSWORD = "told to nobody"
SIGNED = {"Authorization": f"Basic {b64encode(f'anybody:{PASSWORD}'.encode()).decode()}"}
OPERATIONS = [
    (method, path)
    for path, item in document(Settings())["paths"].items()
    for method in ("get", "post", "delete")
    if method in item
]
# Study and job 1 are done, 2 wait; where nothing is given, it is made up.
PATH_PARAMETERS = ({"number": 1, "name": "result.json"}, {"number": 1, "name": "captures/0001.dcm"}, {"number": 2}, {})


@pytest.fixture
def app(app: Flask) -> Flask:
    client = app.test_client()
    for uid in ("1.2.3", "1.2.4"):
        file = io.BytesIO(zipped({f"{number}.dcm": data for number, data in enumerate(a_study(uid))}))
        assert client.post("/api/v1/studies", data={"files": [(file, "study.zip")]}).status_code == 202
    assert app.extensions["worker"].work()
    app.extensions["settings"] = replace(app.extensions["settings"], password=PASSWORD)
    return app


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path}" for method, path in OPERATIONS])
def test_every_answer_is_one_that_the_document_describes(app: Flask, method: str, path: str) -> None:
    answered = statuses(app, method, path)
    assert answered
    assert not {401, 403} & set(answered)  # described too, and the rest would not be looked at


def test_an_answer_that_the_document_does_not_describe_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    from schemathesis.core.failures import FailureGroup

    monkeypatch.setattr(as_json, "listed", lambda page: {"studies": [], "page": "one"})
    with pytest.raises(FailureGroup, match="Response violates schema"):
        statuses(app, "get", "/api/v1/studies")
    monkeypatch.setattr(as_json, "listed", lambda page: 1 / 0)
    with pytest.raises(FailureGroup, match="Server error"):
        statuses(app, "get", "/api/v1/studies")


def statuses(app: Flask, method: str, path: str) -> list[int]:
    """Send what fits the document and what does not; gives the statuses of the answers, which were all as described."""
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    held = [
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_headers_conformance, checks.response_schema_conformance,
    ]  # fmt: skip
    answered: list[int] = []
    for cases in cases_of(app, method, path):

        @settings(
            max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(cases)
        def hold(case: Any) -> None:
            answered.append(case.call_and_validate(checks=held, headers=SIGNED).status_code)

        hold()
    return answered


def cases_of(app: Flask, method: str, path: str) -> Iterator[Any]:
    """Strategies of requests that fit the document, and of those that do not where something can be wrong."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig

    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=SchemathesisConfig())
    operation = schema[path][method]
    fitting, wrong = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
    tried: list[dict[str, object]] = []
    for known in PATH_PARAMETERS:
        given = {name: value for name, value in known.items() if f"{{{name}}}" in path}
        if given not in tried:
            tried.append(given)
            yield operation.as_strategy(fitting, path_parameters=given or None)
    if operation.body or list(operation.iter_parameters()):
        yield operation.as_strategy(wrong)
