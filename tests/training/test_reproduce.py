"""The whole way from phantom slices to weights: every stage once, nothing twice, and what lies there safe."""

import json
import shutil
from dataclasses import replace

import click
import keras
import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from hemoscope.manifest import read_manifest
from tests.training.phantom_set import PATIENTS, write_ct_ich
from tests.training.test_train import TINY
from training import export as exporting
from training import stages
from training.configs import CONFIGS
from training.evaluate import read_evaluation
from training.reproduce import main, reproduce, stages_of

STAGES = [
    "tiny, fold 0",
    "tiny judged on fold 0",
    "tiny, fold 1",
    "tiny judged on fold 1",
    "tiny, folds pooled",
    "tiny, fold all",
    "tiny exported",
]


@pytest.fixture(scope="module")
def registry():
    """A training, one that starts from it, and one that chooses by its validation patients."""
    with pytest.MonkeyPatch.context() as patch:
        tiny = replace(TINY, epochs=1)
        patch.setitem(CONFIGS, "tiny", tiny)
        patch.setitem(CONFIGS, "second", replace(tiny, initial="tiny"))
        patch.setitem(CONFIGS, "choosy", replace(tiny, keep="best"))
        patch.setitem(CONFIGS, "after_choosy", replace(tiny, initial="choosy"))
        patch.setattr(main.params[0], "type", click.Choice(list(CONFIGS)))
        yield
        keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def done(registry, tmp_path_factory):
    """`data/`, and `runs/` and `weights/` after the command, with what it `said`."""
    folder = tmp_path_factory.mktemp("reproduced")
    write_ct_ich(folder / "data" / "ct_ich")
    said = command(folder, "--release", "4.5.6")
    assert said.exit_code == 0, said.output
    (folder / "said").write_text(said.output)
    return folder


def command(folder, *more, name="tiny"):
    where = [part for kind in ("data", "runs", "weights") for part in (f"--{kind}", str(folder / kind))]
    return CliRunner().invoke(main, [name, *where, "--folds", "0,1", *more])


def test_every_stage_is_named_before_it_with_what_is_left_and_timed_after_it(done):
    lines = (done / "said").read_text().splitlines()
    said = [line for line in lines if line.startswith("[") or line.endswith(" minutes")]
    assert said[::2] == [f"[{number} of 7] {title}" for number, title in enumerate(STAGES, start=1)]
    assert len(said[1::2]) == 7 and all(float(line.removesuffix(" minutes")) >= 0 for line in said[1::2])
    assert lines[-1] == f"The weights: {done / 'weights' / 'tiny'}"


def test_the_weights_are_of_all_patients_and_the_figures_of_the_folds(done):
    manifest = read_manifest(done / "weights" / "tiny")
    pool = read_evaluation(done / "runs" / "tiny" / "pooled")
    assert (manifest.version, manifest.fold, manifest.metrics) == ("4.5.6", None, pool.metrics)
    assert pool.folds == (0, 1)
    assert manifest.training_data[0].patients == PATIENTS


def test_the_cost_is_the_sum_of_what_the_trainings_took(done):
    seconds = [json.loads(state.read_text())["seconds"] for state in (done / "runs").glob("tiny*/fold_*/state.json")]
    assert len(seconds) == 3
    (line,) = [line for line in (done / "said").read_text().splitlines() if line.startswith("The trainings took")]
    assert f"took {sum(seconds) / 3600:.1f} hours in all; in minutes: fold 0 " in line
    each = [float(part.split()[-1]) for part in line.removesuffix(".").split(": ")[1].split(", ")]
    assert len(each) == 3
    assert sum(each) == pytest.approx(sum(seconds) / 60, abs=0.15)


def test_what_is_done_is_skipped(done, monkeypatch):
    calls = []
    monkeypatch.setattr(stages, "train", lambda *rest, **named: calls.append(rest))
    monkeypatch.setattr(stages, "evaluate", lambda *rest, **named: calls.append(rest))
    said = command(done)
    assert said.exit_code == 0, said.output
    assert calls == []
    assert said.output.count("  done before\n") == 6
    assert read_manifest(done / "weights" / "tiny").version == "0.1.0"  # exported anew


def test_what_was_stopped_goes_on_and_what_is_newer_is_judged_again(done, tmp_path, monkeypatch):
    shutil.copytree(done / "runs", tmp_path / "runs", copy_function=shutil.copy2)
    stopped = tmp_path / "runs" / "tiny" / "fold_1"
    (stopped / "state.json").write_text(json.dumps({"epoch": 0}))
    shutil.rmtree(tmp_path / "runs" / "tiny" / "fold_all")
    calls = []

    def train(config, name, fold, data, runs, resume):
        calls.append((name, fold, resume))
        if fold is None:
            raise KeyboardInterrupt
        (stopped / "network.keras").touch()

    monkeypatch.setattr(stages, "train", train)
    monkeypatch.setattr(stages, "evaluate", lambda name, folds, *rest, reuse=False, **_: calls.append((folds, reuse)))
    where = (tmp_path / "runs", tmp_path / "weights", "1.0")
    with pytest.raises(KeyboardInterrupt):
        reproduce("tiny", done / "data", *where, folds=(0, 1))
    # The pool is not older than what is there, for the judging did nothing here.
    assert calls == [("tiny", 1, True), ([1], False), ("tiny", None, False)]
    assert not (tmp_path / "weights").exists()


def test_a_pool_is_made_again_for_other_folds_and_for_newer_figures(done, tmp_path, monkeypatch):
    shutil.copytree(done / "runs", tmp_path / "runs", copy_function=shutil.copy2)
    shutil.copytree(tmp_path / "runs/tiny/fold_1", tmp_path / "runs/tiny/fold_2", copy_function=shutil.copy2)
    calls = []
    monkeypatch.setattr(stages, "evaluate", lambda name, folds, *rest, reuse, pool: calls.append((tuple(folds), reuse)))
    assert not stages.pool_rest("tiny", (0, 1), done / "data", tmp_path / "runs")
    assert stages.pool_rest("tiny", (0, 1, 2), done / "data", tmp_path / "runs")
    (tmp_path / "runs/tiny/fold_0/metrics.json").touch()
    assert stages.pool_rest("tiny", (0, 1), done / "data", tmp_path / "runs")
    assert calls == [((0, 1, 2), True), ((0, 1), True)]


def test_weights_that_lie_there_stay_when_the_export_s_check_fails(done, monkeypatch):
    before = {path.name: path.read_bytes() for path in (done / "weights" / "tiny").iterdir()}
    monkeypatch.setattr(exporting, "KERAS_TOLERANCE", -1.0)
    said = command(done)
    assert said.exit_code == 1 and "The exported graph differs from Keras" in said.output
    assert {path.name: path.read_bytes() for path in (done / "weights" / "tiny").iterdir()} == before


def test_the_steps_come_first_and_all_folds_unless_told_otherwise(registry, tmp_path):
    titles = [stage.title for stage in stages_of("second", tmp_path, tmp_path, tmp_path, "1", range(5))]
    assert titles[3:6] == ["tiny, fold 1", "second, fold 1", "second judged on fold 1"]
    assert titles[-4:] == ["second, folds pooled", "tiny, fold all", "second, fold all", "second exported"]
    assert len(titles) == 5 * 3 + 4
    assert CliRunner().invoke(main, ["--help"]).output.count("0,1,2,3,4") == 1


def test_what_cannot_be_reproduced_is_refused_before_anything_is_trained(registry, tmp_path):
    where = (tmp_path / "runs", tmp_path / "weights", "1.0")
    with pytest.raises(BadData, match="There is no data folder"):
        reproduce("tiny", tmp_path / "nowhere", *where)
    with pytest.raises(BadData, match="choosy cannot train on all patients"):
        reproduce("after_choosy", tmp_path, *where)
    with pytest.raises(BadData, match="two_branch_by_slice is split by slice"):
        reproduce("two_branch_by_slice", tmp_path, *where)
    with pytest.raises(BadData, match="Name two folds at least"):
        reproduce("tiny", tmp_path, *where, folds=(0,))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folds", ["5", "0,0", "0,all", "", "0 1"])
def test_folds_that_are_none_are_named(registry, tmp_path, folds):
    said = CliRunner().invoke(main, ["tiny", "--data", str(tmp_path), "--folds", folds])
    assert said.exit_code == 2 and "different folds of 0, 1, 2, 3, 4" in " ".join(said.output.split())
