"""An application whose models follow a rule that a hand can follow, so that the web is tested without weights."""

import dataclasses
import io
import re
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from PIL import Image
from werkzeug.test import TestResponse

from app import create_app
from hemoscope.findings import Findings, SliceFindings, Timings
from hemoscope.labels import ANY, CLASSES
from hemoscope.manifest import EnsembleManifest, Member
from hemoscope.scan import Scan
from tests.web.browsing import browser, chromium, url  # noqa: F401 (fixtures)
from tests.web.keeping import add, history_app, history_settings, store  # noqa: F401 (fixtures)


@dataclasses.dataclass(frozen=True)
class Entry:
    set: str = "phantoms"
    licence: str = "CC0"
    citation: str = "A. Nobody, 2020"
    patients: int = 12
    slices: int = 345


@dataclasses.dataclass(frozen=True)
class Figure:
    set: str = "phantoms, held out"
    name: str = "AUC any"
    n: int = 678
    positives: int = 90
    value: float = 0.912
    low: float | None = 0.881
    high: float | None = 0.939
    note: str = "one slice a patient"


def manifest(name: str, classes: tuple[str, ...]) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        version="1.2.3",
        title=f"The {name} model",
        task="classification+segmentation" if len(classes) > 1 else "segmentation",
        summary="Finds what is bright.",
        classes=classes,
        decision_low=0.25,
        decision_high=0.625,
        thresholds_chosen="By hand.",
        training_data=(Entry(),),
        metrics=(Figure(),),
        licence="Apache-2.0",
        intended_use="Tests.",
        limits=("It knows brightness only.",),
        sha256="ab" * 32,
        created="2020-01-02",
        parameters=1234567,
        fold=0,
        scan_rule=None,
        context_rule=None,
        band=lambda decided_by: (0.25, 0.625),
    )


def ensemble_manifest(name: str, members: tuple[str, ...]) -> EnsembleManifest:
    facts = {key: value for key, value in vars(manifest(name, CLASSES)).items() if key not in ("sha256", "band")}
    return EnsembleManifest(
        **facts,
        temperature=1.0,
        bias=(0.0,) * 6,
        mask_threshold=0.5,
        config=name,
        split_sha256="",
        git_commit="",
        packages={},
        members=tuple(Member(member, "ab" * 32, 1 / len(members)) for member in members),
        combination="vote",
        milliseconds_a_slice=21.5,
    )


class FakeReader:
    """The `bright_reader` of all tests, with a manifest; of a segmentation model only `any` is known."""

    def __init__(self, bright: Any, name: str, classes: tuple[str, ...]) -> None:
        self.bright, self.manifest = bright, manifest(name, classes)

    def read(self, scan: Scan, progress: Callable[[int, int], object] | None = None) -> Findings:
        found: Findings = self.bright.read(scan, progress)
        found = dataclasses.replace(found, model=self.manifest.name)
        if self.manifest.classes == CLASSES:
            return found
        only = {name: found.probabilities[name] if name == ANY else None for name in CLASSES}
        slices = tuple(dataclasses.replace(one, probabilities=only, heat={}) for one in found.slices)
        return dataclasses.replace(found, probabilities=only, slices=slices)

    def read_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        answer: tuple[SliceFindings, Timings] = self.bright.read_slice(scan, index)
        return answer


class FakeModels:
    """Stands where the module `model` stands."""

    def __init__(self, bright: Any) -> None:
        self.readers = {
            "unet": FakeReader(bright, "unet", (ANY,)),
            "reader": FakeReader(bright, "reader", CLASSES),
        }

    def names(self) -> tuple[str, ...]:
        return tuple(self.readers)

    def load(self, name: str = "reader") -> FakeReader:
        return self.readers[name]

    def manifests(self) -> tuple[SimpleNamespace, ...]:
        return tuple(reader.manifest for reader in self.readers.values())


@pytest.fixture
def models(bright_reader: Any, monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    made = FakeModels(bright_reader)
    monkeypatch.setitem(sys.modules, "model", made)  # the web imports it by that name, when first needed
    return made


@pytest.fixture
def make_app(models: FakeModels) -> Callable[..., Flask]:
    def make(**settings: object) -> Flask:
        app = create_app({"warm_up": False} | settings)
        app.config["TESTING"] = True
        return app

    return make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def grey_png(grey: int, side: int = 8, rows: int = 64, columns: int = 80) -> bytes:
    """A dark picture with a bright square of `side` pixels. In the window 40/80 a grey of 204 is 64 HU: blood."""
    picture = np.zeros((rows, columns), np.uint8)
    picture[10:50, 20:60] = np.arange(40, 80)  # up to 25 HU in that window; a picture of few values is no slice
    picture[20 : 20 + side, 30 : 30 + side] = grey
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def blood_png() -> bytes:
    return grey_png(204)


@pytest.fixture
def clear_png() -> bytes:
    return grey_png(100)


@pytest.fixture
def check(client: FlaskClient) -> Callable[[TestResponse], Any]:
    """Holds an answer against the schema that the document gives for its method, address and status; gives its JSON."""
    document = client.get("/api/v1/openapi.json").json

    def hold(answer: TestResponse) -> Any:
        path = described_path(document, answer.request.path)
        operation = document["paths"][path][answer.request.method.lower()]
        content = operation["responses"][str(answer.status_code)].get("content")
        if content is None:
            assert not answer.data
            return None
        rooted = content[answer.mimetype].get("schema", {}) | {"components": document["components"]}
        Draft202012Validator.check_schema(rooted)
        Draft202012Validator(rooted).validate(answer.json)
        return answer.json

    return hold


def described_path(document: Any, path: str) -> str:
    """The address of the document that this one is an example of; only a file's name has slashes in it."""
    (found,) = (one for one in document["paths"] if re.fullmatch(_pattern(one), path))
    return str(found)


def _pattern(described: str) -> str:
    return re.sub(r"\{\w+\}", "[^/]+", described.replace("{name}", ".+"))
