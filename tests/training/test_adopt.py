"""Weights that ship stand in for a step of a training, on their own fold and on all patients, and the card says so."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from hemoscope.errors import BadData
from hemoscope.manifest import read_manifest
from tests.training.phantom_set import write_ct_ich
from tests.training.test_train import TINY
from training.adopt import adopt, adopted
from training.configs import CONFIGS
from training.evaluate import evaluate, read_evaluation
from training.export import export
from training.train import steps_to, train

BEFORE = replace(TINY, epochs=1)


@pytest.fixture(scope="module", autouse=True)
def registry():
    """`tiny_before`, and `tiny`, which starts from it and learns from its masks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONFIGS, "tiny_first", BEFORE)
        patch.setitem(CONFIGS, "tiny_before", replace(BEFORE, initial="tiny_first"))
        patch.setitem(CONFIGS, "tiny", replace(BEFORE, initial="tiny_before", teacher="tiny_before"))
        yield
        keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data/`, `runs/` with the folds only, and `weights/earlier`, trained on fold 0."""
    folder = tmp_path_factory.mktemp("shipped")
    write_ct_ich(folder / "data" / "ct_ich")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONFIGS, "earlier", BEFORE)
        train(BEFORE, "earlier", 0, folder / "data", folder / "runs", resume=False)
        evaluate("earlier", [0], folder / "data", folder / "runs")
        export("earlier", 0, folder / "data", folder / "runs", folder / "weights", "0.3.0")
    shutil.rmtree(folder / "runs" / "earlier")
    return folder


@pytest.fixture
def copy(shipped: Path, tmp_path: Path) -> Path:
    return shutil.copytree(shipped, tmp_path / "copy")


def take(folder: Path, fold: int | None) -> Path:
    before = CONFIGS["tiny_before"]
    return adopt("tiny_before", before, folder / "weights" / "earlier", fold, folder / "data", folder / "runs")


def test_the_next_step_is_trained_from_adopted_weights_and_ships_with_the_figures_of_one_fold(copy: Path) -> None:
    data, runs = copy / "data", copy / "runs"
    for fold in (0, None):
        take(copy, fold)
        train(CONFIGS["tiny"], "tiny", fold, data, runs, resume=False)
    evaluate("tiny", [0], data, runs, pool=True)
    folder = export("tiny", None, data, runs, copy / "weights", "0.4.0")
    manifest, card = read_manifest(folder), (folder / "README.md").read_text("utf-8")
    assert read_evaluation(runs / "tiny" / "pooled").folds == (0,)
    assert manifest.fold is None and manifest.metrics == read_evaluation(runs / "tiny" / "pooled").metrics
    assert manifest.thresholds_chosen.startswith("On the validation and test patients of fold 0, read by its network")
    assert "`tiny_before`: the weights `earlier` 0.3.0, trained on fold 0" in card
    assert "Made with: `python -m training.train tiny --fold all`, the same on the folds" in card


def test_adopted_weights_are_those_that_ship(copy: Path) -> None:
    run = take(copy, None)
    found = keras.saving.load_model(run / "network.keras", compile=False).get_weights()
    stored = list(np.load(copy / "weights/earlier/start.npz").values())
    for one, two in zip(found, stored, strict=True):
        assert one == pytest.approx(two)
    assert adopted(run) == "the weights `earlier` 0.3.0, trained on fold 0"
    assert adopted(copy / "runs" / "tiny" / "fold_0") is None


def test_weights_do_not_stand_in_where_they_have_seen_who_is_held_out(copy: Path) -> None:
    with pytest.raises(BadData, match="trained on fold 0: fold 1 holds out patients whom it saw"):
        take(copy, 1)
    manifest = copy / "weights" / "earlier" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"split_sha256": "0" * 64}))
    with pytest.raises(BadData, match="trained on other folds"):
        take(copy, 0)
    assert not (copy / "runs" / "tiny_before").exists()


def test_what_was_trained_is_not_replaced(copy: Path) -> None:
    run = take(copy, 0)
    before = (run / "network.keras").read_bytes()
    with pytest.raises(BadData, match="is there already"):
        take(copy, 0)
    assert (run / "network.keras").read_bytes() == before


def test_what_leads_to_an_adopted_step_is_not_asked_for() -> None:
    assert steps_to("tiny") == ["tiny_first", "tiny_before", "tiny"]
    assert steps_to("tiny", {"tiny_before"}) == ["tiny_before", "tiny"]
