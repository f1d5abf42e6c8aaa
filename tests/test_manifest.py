"""Manifests: the round trip, everything that can be wrong with one, and the graph's fingerprint."""

import hashlib
import json
from dataclasses import fields, replace

import pytest

from hemoscope.errors import BadWeights
from hemoscope.labels import CLASSES
from hemoscope.manifest import FILE, Manifest, Metric, TrainingData, read_graph, read_manifest
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Window

GRAPH = b"a graph"
MANIFEST = Manifest(
    name="tiny",
    version="1.0.0",
    title="Tiny",
    summary="For the tests.",
    task="classification+segmentation",
    architecture="reader",
    arguments={"filters": [4, 8]},
    preprocess=Preprocess(32, (BRAIN, Window(40, 40)), frame="head", stretch=(2.0, 98.0)),
    classes=CLASSES,
    temperature=1.25,
    bias=(0.5, 0.0, 0.0, 0.0, 0.0, -1.0),
    decision_low=0.25,
    decision_high=0.75,
    mask_threshold=0.5,
    thresholds_chosen="By hand.",
    training_data=(TrainingData("ct_ich", "CC-BY-4.0", "Hssayeni et al., 2020", 57, 1700),),
    metrics=(
        Metric("ct_ich", "dice", 20, None, 0.6, 0.5, 0.7),
        Metric("rsna", "auc any", 600, 90, 0.9, None, None, "no interval"),
    ),
    graph="network.onnx",
    sha256=hashlib.sha256(GRAPH).hexdigest(),
    config="reader",
    seed=2019,
    fold=0,
    split_sha256="0" * 64,
    git_commit="0" * 40,
    backend="tensorflow",
    packages={"keras": "3.15.1"},
    created="2026-01-02",
    parameters=1234,
    licence="CC-BY-4.0",
    intended_use="Research.",
    limits=("Not a medical device.",),
)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "tiny"
    made.mkdir()
    (made / MANIFEST.graph).write_bytes(GRAPH)
    return made


def write(folder, **changes):
    (folder / FILE).write_text(json.dumps(MANIFEST.to_dict() | changes))
    return folder


def test_a_manifest_survives_its_file(folder):
    assert read_manifest(write(folder)) == MANIFEST


def test_every_fact_is_stored():
    assert set(MANIFEST.to_dict()) == {field.name for field in fields(Manifest)}


def test_the_rule_is_that_of_the_manifest():
    rule = MANIFEST.rule
    assert (rule.classes, rule.temperature, rule.bias) == (CLASSES, 1.25, MANIFEST.bias)
    assert (rule.decision_low, rule.decision_high, rule.mask_threshold) == (0.25, 0.75, 0.5)


@pytest.mark.parametrize("key", sorted(MANIFEST.to_dict()))
def test_a_missing_fact_is_named(folder, key):
    stored = MANIFEST.to_dict()
    del stored[key]
    (folder / FILE).write_text(json.dumps(stored))
    with pytest.raises(BadWeights, match=f"lacks .'{key}'."):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "blue"}, "unknown keys .'colour'."),
        ({"preprocess": MANIFEST.preprocess.to_dict() | {"gamma": 2}}, "unknown keys .'gamma'."),
        ({"preprocess": None}, "object of settings"),
        ({"preprocess": {}}, "lacks"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": "1"}, "cannot be read"),
        ({"bias": [0.0]}, "one bias a class"),
        ({"bias": 0.0}, "cannot be read"),
        ({"bias": ["x"] * 6}, "cannot be read"),
        ({"classes": ["any", "fracture"], "bias": [0.0, 0.0]}, "classes must hold"),
        ({"classes": list(reversed(CLASSES))}, "in the order"),
        ({"classes": 6}, "cannot be read"),
        ({"decision_low": 0.9}, "thresholds"),
        ({"decision_high": None}, "cannot be read"),
        ({"mask_threshold": 1.5}, "thresholds"),
        ({"training_data": [{"set": "ct_ich"}]}, "cannot be read"),
        ({"metrics": [3]}, "cannot be read"),
        ({"limits": None}, "cannot be read"),
        ({"name": 5}, "name must be str"),
        ({"graph": None}, "graph must be str"),
        ({"sha256": 12}, "sha256 must be str"),
        ({"parameters": "many"}, "parameters must be int"),
        ({"seed": True}, "seed must be int"),
        ({"name": "other"}, "manifest in tiny is of 'other'"),
        ({"graph": "../other/network.onnx"}, "outside its folder"),
        ({"graph": "/etc/passwd"}, "outside its folder"),
        ({"graph": "a/b.onnx"}, "outside its folder"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(folder, changes, message):
    with pytest.raises(BadWeights, match=message):
        read_manifest(write(folder, **changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not readable JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "not readable JSON"),
        (b"null", "object"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(folder, content, message):
    (folder / FILE).write_bytes(content)
    with pytest.raises(BadWeights, match=message):
        read_manifest(folder)


def test_a_missing_manifest_is_named(folder):
    with pytest.raises(BadWeights, match=r"folder tiny has no manifest\.json"):
        read_manifest(folder)


def test_the_graph_is_given_when_its_fingerprint_fits(folder):
    assert read_graph(folder, MANIFEST) == GRAPH


def test_a_changed_graph_is_refused(folder):
    (folder / MANIFEST.graph).write_bytes(GRAPH + b"!")
    with pytest.raises(BadWeights, match=r"tiny/network\.onnx is not the file that was published"):
        read_graph(folder, MANIFEST)


@pytest.mark.parametrize("graph", ["missing.onnx", "..", ""])
def test_a_graph_that_is_no_file_is_named(folder, graph):
    with pytest.raises(BadWeights, match="has no"):
        read_graph(folder, replace(MANIFEST, graph=graph))
