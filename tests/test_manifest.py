"""Manifests: the round trip, everything that can be wrong with one, and the graph's fingerprint."""

import hashlib
import json
from dataclasses import asdict, fields, replace

import pytest

from hemoscope.context_rule import ContextRule
from hemoscope.errors import BadWeights
from hemoscope.labels import ANY, CLASSES
from hemoscope.manifest import (
    FILE,
    TASKS,
    EnsembleManifest,
    Member,
    Metric,
    NetworkManifest,
    TrainingData,
    manifest_sha256,
    read_graph,
    read_manifest,
    read_members,
    task_of,
)
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Window
from hemoscope.scan_rule import ScanRule

GRAPH = b"a graph"
MANIFEST = NetworkManifest(
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
SCANS = ScanRule(2, 1.5, -1.0, 0.125, 0.5, "By hand.")
CONTEXT = ContextRule(0.5, 1.5, -1.0, 0.125, 0.5, "By hand.")


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
    assert set(MANIFEST.to_dict()) == {field.name for field in fields(NetworkManifest)}


def test_the_rule_is_that_of_the_manifest():
    rule = MANIFEST.rule
    assert (rule.classes, rule.temperature, rule.bias) == (CLASSES, 1.25, MANIFEST.bias)
    assert (rule.decision_low, rule.decision_high, rule.mask_threshold) == (0.25, 0.75, 0.5)


@pytest.mark.parametrize("key", sorted(set(MANIFEST.to_dict()) - {"scan_rule", "context_rule"}))
def test_a_missing_fact_is_named(folder, key):
    stored = MANIFEST.to_dict()
    del stored[key]
    (folder / FILE).write_text(json.dumps(stored))
    with pytest.raises(BadWeights, match=f"lacks .'{key}'."):
        read_manifest(folder)


def test_a_manifest_from_before_there_were_rules_for_scans_has_none(folder):
    stored = MANIFEST.to_dict()
    del stored["scan_rule"], stored["context_rule"]
    (folder / FILE).write_text(json.dumps(stored))
    assert read_manifest(folder) == MANIFEST
    assert read_manifest(folder).scan_rule is None and read_manifest(folder).context_rule is None


def test_the_rules_for_scans_survive_the_file_of_networks_and_ensembles(folder):
    stored = write(folder, scan_rule=asdict(SCANS), context_rule=asdict(CONTEXT))
    assert read_manifest(stored) == replace(MANIFEST, scan_rule=SCANS, context_rule=CONTEXT)
    ensemble = replace(ENSEMBLE, scan_rule=SCANS, context_rule=CONTEXT)
    assert EnsembleManifest.from_dict(json.loads(json.dumps(ensemble.to_dict()))) == ensemble


def test_the_abstain_band_is_that_of_the_rule_that_decided():
    assert MANIFEST.band("slice") == MANIFEST.band("scan") == (0.25, 0.75)
    assert replace(MANIFEST, scan_rule=SCANS).band("slice") == (0.25, 0.75)
    assert replace(MANIFEST, scan_rule=SCANS).band("scan") == (0.125, 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scan_rule": {}}, "cannot be read"),
        ({"scan_rule": 3}, "cannot be read"),
        ({"scan_rule": asdict(SCANS) | {"colour": "blue"}}, "cannot be read"),
        ({"scan_rule": asdict(SCANS) | {"neighbours": 0}}, "neighbours must be 1 to 9"),
        ({"scan_rule": asdict(SCANS) | {"neighbours": 1.0}}, "neighbours must be 1 to 9"),
        ({"scan_rule": asdict(SCANS) | {"temperature": 0}}, "temperature"),
        ({"scan_rule": asdict(SCANS) | {"decision_low": 0.6}}, "thresholds"),
        ({"scan_rule": asdict(SCANS) | {"chosen": 1}}, "chosen must be str"),
        ({"context_rule": {}}, "cannot be read"),
        ({"context_rule": asdict(CONTEXT) | {"share": 2}}, "share must be 0 to 1"),
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
        ({"fold": "all"}, "fold must be int or null"),
        ({"task": "reading"}, "task must be one of classification, segmentation"),
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


@pytest.mark.parametrize(
    ("outputs", "task"),
    [
        (("mask",), "segmentation"),
        (("logits", "cams"), "classification"),
        (("mask", "logits", "cams"), "classification+segmentation"),
    ],
)
def test_the_task_follows_from_the_outputs(outputs, task):
    assert task_of(outputs) == task


def test_only_a_classifier_gives_no_mask():
    given = {task: replace(MANIFEST, task=task).gives_mask for task in TASKS}
    assert given == {"classification": False, "segmentation": True, "classification+segmentation": True}


OWN = {"architecture", "arguments", "preprocess", "graph", "sha256", "seed", "backend"}
ENSEMBLE = EnsembleManifest(
    **{name: getattr(MANIFEST, name) for name in MANIFEST.to_dict() if name not in OWN} | {"name": "both"},
    members=(Member("tiny", "0" * 64, 0.25), Member("second", "1" * 64, 0.75)),
    combination="weighted",
    milliseconds_a_slice=21.5,
)


def write_ensemble(root, **changes):
    """An ensemble of `tiny` and `second` in their present state."""
    for name in ("tiny", "second"):
        (root / name).mkdir(exist_ok=True)
        (root / name / FILE).write_text(json.dumps(MANIFEST.to_dict() | {"name": name}))
    members = tuple(replace(one, sha256=manifest_sha256(root / one.name)) for one in ENSEMBLE.members)
    (root / "both").mkdir(exist_ok=True)
    (root / "both" / FILE).write_text(json.dumps(replace(ENSEMBLE, members=members).to_dict() | changes))
    return root / "both"


def test_an_ensemble_survives_its_file_and_is_told_from_a_network(tmp_path):
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / FILE).write_text(json.dumps(ENSEMBLE.to_dict()))
    found = read_manifest(tmp_path / "both")
    assert found == ENSEMBLE
    assert isinstance(found, EnsembleManifest)
    assert found.ensemble.weights == (0.25, 0.75)
    assert set(ENSEMBLE.to_dict()) == {field.name for field in fields(EnsembleManifest)}


def test_composition_and_cost_are_said_in_words():
    assert ENSEMBLE.composition == "weighted of tiny (0.25), second (0.75)"
    assert ENSEMBLE.cost == "2 networks, 1,234 parameters together, 22 ms a slice"
    unmeasured = replace(ENSEMBLE, combination="vote", milliseconds_a_slice=None)
    assert unmeasured.composition == "vote of tiny, second"
    assert unmeasured.cost == "2 networks, 1,234 parameters together"


@pytest.mark.parametrize("key", sorted(set(ENSEMBLE.to_dict()) - {"members", "scan_rule", "context_rule"}))
def test_a_missing_fact_of_an_ensemble_is_named(tmp_path, key):
    stored = ENSEMBLE.to_dict()
    del stored[key]
    with pytest.raises(BadWeights, match=f"lacks .'{key}'."):
        EnsembleManifest.from_dict(stored)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graph": "network.onnx"}, "unknown keys .'graph'."),
        ({"combination": "median"}, "combination must be one of average, vote, weighted"),
        ({"members": []}, "at least two members"),
        ({"members": 3}, "cannot be read"),
        ({"members": [{"name": "tiny"}]}, "cannot be read"),
        ({"members": [asdict(one) | {"weight": 0.25} for one in ENSEMBLE.members]}, "sum to 1"),
        ({"members": [asdict(one) | {"weight": "half"} for one in ENSEMBLE.members]}, "cannot be read"),
        ({"members": [asdict(one) | {"name": "tiny"} for one in ENSEMBLE.members]}, "different folders"),
        ({"members": [asdict(one) | {"name": f"../{one.name}"} for one in ENSEMBLE.members]}, "beside the ensemble"),
        ({"members": [asdict(one) | {"colour": "blue"} for one in ENSEMBLE.members]}, "cannot be read"),
        ({"milliseconds_a_slice": 0}, "milliseconds_a_slice must be above 0"),
        ({"milliseconds_a_slice": "fast"}, "cannot be read"),
        ({"temperature": 0}, "temperature"),
    ],
)
def test_what_is_wrong_with_an_ensemble_is_named(changes, message):
    with pytest.raises(BadWeights, match=message):
        EnsembleManifest.from_dict(json.loads(json.dumps(ENSEMBLE.to_dict())) | changes)


def test_the_members_are_given_when_they_are_those_it_was_made_of(tmp_path):
    ensemble = read_manifest(write_ensemble(tmp_path))
    assert [member.name for member in read_members(tmp_path, ensemble)] == ["tiny", "second"]


def test_a_changed_member_is_refused(tmp_path):
    ensemble = read_manifest(write_ensemble(tmp_path))
    (tmp_path / "second" / FILE).write_text(json.dumps(MANIFEST.to_dict() | {"name": "second", "decision_low": 0.2}))
    with pytest.raises(BadWeights, match="ensemble both was made of another second"):
        read_members(tmp_path, ensemble)


def test_a_missing_member_is_named(tmp_path):
    ensemble = read_manifest(write_ensemble(tmp_path))
    (tmp_path / "second" / FILE).unlink()
    with pytest.raises(BadWeights, match="ensemble both needs the model second, which is not installed"):
        read_members(tmp_path, ensemble)


def test_an_ensemble_of_ensembles_is_refused(tmp_path):
    inner = write_ensemble(tmp_path)
    members = [Member("tiny", manifest_sha256(tmp_path / "tiny"), 0.5), Member("both", manifest_sha256(inner), 0.5)]
    outer = replace(ENSEMBLE, name="outer", members=tuple(members))
    with pytest.raises(BadWeights, match="ensemble outer has the ensemble both as a member"):
        read_members(tmp_path, outer)


@pytest.mark.parametrize(
    "changes", [{"classes": [ANY], "bias": [0.0]}, {"task": "classification"}, {"task": "segmentation"}]
)
def test_an_ensemble_claims_no_more_and_no_less_than_its_members_give(tmp_path, changes):
    ensemble = read_manifest(write_ensemble(tmp_path, **changes))
    with pytest.raises(BadWeights, match="ensemble both claims"):
        read_members(tmp_path, ensemble)
