"""A search on a handful of pictures: what judges, what is stored, killing and going on, refusals."""

import csv
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN
from tests.training.phantom_set import write_ct_ich
from training import search as module
from training.batches import Batches, Draw
from training.cache import Prepared
from training.configs import TrainConfig
from training.datasets.sample import BLOOD, NO_BLOOD, UNKNOWN, Sample
from training.search import Search, main, score, search
from training.train import load_split

TINY = TrainConfig(
    network="reader",
    preprocess=Preprocess(32, (BRAIN,)),
    sets=("ct_ich",),
    needs="any",
    slices_per_epoch=64,
    epochs=8,
    licence="CC-BY-4.0",
    arguments={"filters": (4, 4), "blocks": (0, 1), "decoder": (4,)},
    batch=4,
    warmup=4,
    mean_of_last=4,
    patience=1,
    mirror=True,
    precision="float32",
)
WHAT = Search(TINY, "tiny", fold=0, epochs=2, slices=16)


@pytest.fixture(autouse=True)
def precision_is_put_back():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture
def data(tmp_path):
    write_ct_ich(tmp_path / "data" / "ct_ich")
    return tmp_path / "data"


@pytest.fixture
def scripted(monkeypatch):
    """Trainings that take no time: `curves` holds the scores of each epoch of each trial, `trained` their settings."""
    script = SimpleNamespace(curves=[], trained=[])

    def train(config, name, fold, data, runs, resume, workers, on_epoch):
        script.trained.append(config)
        script.curve = iter(script.curves[len(script.trained) - 1])
        for epoch in range(config.epochs):
            on_epoch(epoch + 1, {"val_loss": 1.0})

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "load_network", lambda path: None)
    monkeypatch.setattr(module, "score", lambda network, judge: next(script.curve))
    return script


def table_of(runs):
    with (runs / "tiny" / "search.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_trial_is_the_configuration_made_short():
    config = WHAT.trial({"learning_rate": 0.01, "optimizer": "sgd"})
    assert config == replace(
        TINY,
        learning_rate=0.01,
        optimizer="sgd",
        epochs=2,
        slices_per_epoch=16,
        warmup=1,  # half of the epochs, as in the configuration
        keep="last",
        mean_of_last=0,
        patience=None,
        mirror=False,
    )


def test_the_test_side_is_never_read(data, tmp_path):
    sides = load_split(TINY, 0, data, tmp_path / "runs")
    for sample in sides.test:
        sample.image.unlink()
    study = search(replace(WHAT, epochs=1), 1, data, tmp_path / "runs")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"]
    assert 0 <= study.best_value <= 1
    assert (tmp_path / "runs" / "tiny" / "search.journal").is_file()
    assert not list((tmp_path / "runs" / "tiny" / "search").iterdir())  # trials leave no weights behind


def test_the_first_trial_has_the_settings_as_they_are_and_the_best_comes_first(data, tmp_path, scripted):
    scripted.curves = [[0.5, 0.6], [0.5, 0.9], [0.5, 0.7]]
    study = search(WHAT, 3, data, tmp_path / "runs")
    assert scripted.trained[0].learning_rate == TINY.learning_rate
    assert scripted.trained[0].arguments["dropout"] == 0.2
    assert len({config.learning_rate for config in scripted.trained}) == 3
    rows = table_of(tmp_path / "runs")
    assert [(row["trial"], row["state"], row["epochs"], row["score"]) for row in rows] == [
        ("1", "finished", "2", "0.9"),
        ("2", "finished", "2", "0.7"),
        ("0", "finished", "2", "0.6"),
    ]
    assert float(rows[0]["learning_rate"]) == scripted.trained[1].learning_rate
    assert study.best_trial.number == 1


def test_a_trial_below_the_median_is_pruned_and_counts_as_done(data, tmp_path, scripted):
    scripted.curves = [[0.8, 0.8]] * 4 + [[0.3, 0.99], [0.9, 0.9]]
    study = search(WHAT, 6, data, tmp_path / "runs")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4 + ["PRUNED", "COMPLETE"]
    assert study.best_value == 0.9
    assert [(row["trial"], row["score"], row["epochs"]) for row in table_of(tmp_path / "runs")][-1] == ("4", "0.3", "1")


def test_settings_whose_first_trial_failed_are_tried_again(data, tmp_path, scripted, monkeypatch):
    def fails(*_, **__):
        raise BadData("Something is missing.")

    with monkeypatch.context() as patch:
        patch.setattr(module, "train", fails)
        with pytest.raises(BadData, match="Something is missing"):
            search(WHAT, 1, data, tmp_path / "runs")
    scripted.curves = [[0.5, 0.5]]
    study = search(WHAT, 1, data, tmp_path / "runs", resume=True)
    assert "learning_rate" in study.best_trial.params and module.OWN in study.best_trial.user_attrs


def test_a_trial_whose_loss_is_no_number_scores_nothing(data, tmp_path, scripted, monkeypatch):
    def diverges(*_, **__):
        raise module.Diverged("The loss is no number any more.")

    monkeypatch.setattr(module, "train", diverges)
    assert search(WHAT, 1, data, tmp_path / "runs").best_value == 0


def test_a_search_goes_on_with_new_trials(data, tmp_path, scripted):
    scripted.curves = [[0.5, number / 10] for number in range(6)]
    search(WHAT, 2, data, tmp_path / "runs")
    study = search(WHAT, 4, data, tmp_path / "runs", resume=True)
    assert [trial.value for trial in study.trials] == [0.0, 0.1, 0.2, 0.3]
    assert len({config.learning_rate for config in scripted.trained}) == 4
    search(WHAT, 4, data, tmp_path / "runs", resume=True)
    assert len(scripted.trained) == 4


def test_a_trial_that_is_interrupted_is_tried_again(data, tmp_path, scripted):
    def interrupted():
        yield 0.5
        raise KeyboardInterrupt

    scripted.curves = [interrupted(), [0.5, 0.7], [0.5, 0.6]]
    with pytest.raises(KeyboardInterrupt):
        search(WHAT, 2, data, tmp_path / "runs")
    study = search(WHAT, 2, data, tmp_path / "runs", resume=True)
    assert scripted.trained[0] == scripted.trained[1] != scripted.trained[2]
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[1].user_attrs == {"own": True}


KILLED_IN_THE_SECOND_TRIAL = """
import os, pickle, sys
from training import search as module

trials = 0

def train(config, name, fold, data, runs, resume, workers, on_epoch):
    global trials
    trials += 1
    (runs / name).mkdir(parents=True)
    on_epoch(1, {"val_loss": 1.0})
    if trials == 2:
        os._exit(9)
    on_epoch(2, {"val_loss": 1.0})

module.train = train
module.load_network = lambda path: None
module.score = lambda network, judge: 0.25
with open(sys.argv[1], "rb") as file:
    what, data, runs = pickle.load(file)
module.search(what, 3, data, runs)
"""


def test_a_killed_search_keeps_its_trials_and_tries_the_cut_one_again(data, tmp_path, scripted):
    (tmp_path / "what").write_bytes(pickle.dumps((WHAT, data, tmp_path / "runs")))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_SECOND_TRIAL, str(tmp_path / "what")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        timeout=240,
    )
    assert killed.returncode == 9, killed.stderr.decode()[-2000:]
    assert list((tmp_path / "runs" / "tiny" / "search").iterdir())
    scripted.curves = [[0.5, 0.75], [0.5, 0.5]]
    study = search(WHAT, 3, data, tmp_path / "runs", resume=True)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [trial.value for trial in study.trials] == [0.25, None, 0.75, 0.5]
    assert study.trials[1].params == study.trials[2].params != study.trials[3].params
    assert not (tmp_path / "runs" / "tiny" / "search").exists()


def test_a_search_is_neither_overwritten_nor_mixed_with_another(data, tmp_path, scripted):
    runs = tmp_path / "runs"
    with pytest.raises(BadData, match="holds no search to resume"):
        search(WHAT, 1, data, runs, resume=True)
    scripted.curves = [[0.5, 0.5]]
    search(WHAT, 1, data, runs)
    with pytest.raises(BadData, match="holds a search already: go on with --resume"):
        search(WHAT, 1, data, runs)
    with pytest.raises(BadData, match=r"begun with other settings \(epochs, fold\)"):
        search(replace(WHAT, fold=1, epochs=3), 1, data, runs, resume=True)


def test_a_fold_that_cannot_judge_is_refused(data, tmp_path):
    # Without the slices that have one.
    what = replace(WHAT, config=replace(TINY, needs="mask", network="two_branch", arguments={}))
    validation = load_split(TINY, 0, data, tmp_path / "runs").validation
    lines = (data / "ct_ich" / "labels.csv").read_text().splitlines()
    with_mask = {sample.mask.name for sample in validation if sample.mask}
    (data / "ct_ich" / "labels.csv").write_text(
        "\n".join(line for line in lines if not any(f",{name}," in line for name in with_mask)) + "\n"
    )
    with pytest.raises(BadData, match="No validation slice of fold 0 has a mask to judge by"):
        search(what, 1, data, tmp_path / "runs")


def judge_of(outputs, labels, targets):
    samples = [Sample("rsna", str(n), Path(f"{n}.png"), (label,) * 6, None) for n, label in enumerate(labels)]
    pixels, codes = np.zeros((len(labels), 2, 2, 1), np.uint8), np.array(targets, np.uint8)
    prepared = Prepared(samples, pixels, codes, np.zeros_like(codes), skipped=0)
    return Batches(prepared, [Draw(n) for n in range(len(labels))], Preprocess(16), outputs, batch=3)


def answering(**outputs):
    """A network that gives these outputs, batch after batch."""
    parts = [{name: values[start : start + 3] for name, values in outputs.items()} for start in (0, 3)]
    coming = iter(parts)
    return SimpleNamespace(predict_on_batch=lambda _: next(coming))


LABELS = (1.0, 0.0, UNKNOWN, 1.0, 0.0)
NOTHING = np.full((5, 2, 2), NO_BLOOD)


def test_a_class_head_is_judged_by_the_auc_of_any_over_known_slices():
    # Positives 3 and 1, negatives 2 and 0: of four pairs one is the wrong way round.
    logits = np.zeros((5, 6), np.float32)
    logits[:, 0] = (3, 2, 9, 1, 0)
    assert score(answering(logits=logits), judge_of(["logits"], LABELS, NOTHING)) == 0.75


def test_kinds_are_judged_by_the_odds_of_any_blood():
    kinds = np.zeros((5, 6), np.float32)
    kinds[:, 0] = (-3, -2, -9, -1, 0)
    assert score(answering(kinds=kinds), judge_of(["kinds"], LABELS, NOTHING)) == 0.75


def test_a_mask_alone_is_judged_by_the_dice_of_all_known_pixels():
    targets = NOTHING.copy()
    targets[0, 0] = BLOOD  # two pixels
    found = np.zeros((5, 2, 2, 1), np.float32)
    found[0, 0, 0] = found[3, 1, 1] = 0.5  # a hit and a false one: Dice 2 / (2 + 1 + 1)
    assert score(answering(mask=found), judge_of(["mask"], LABELS, targets)) == 0.5


def test_a_network_that_gives_no_numbers_any_more_scores_nothing():
    logits = np.full((5, 6), np.nan, np.float32)
    assert score(answering(logits=logits), judge_of(["logits"], LABELS, NOTHING)) == 0


def test_the_best_settings_are_printed_to_be_pasted(data, tmp_path, scripted, monkeypatch):
    monkeypatch.setitem(module.CONFIGS, "reader", replace(TINY, learning_rate=0.004))
    scripted.curves = [[0.5, 0.875]]
    arguments = ["reader", "--data", str(data), "--runs", str(tmp_path / "runs"), "--trials", "1"]
    result = CliRunner().invoke(main, [*arguments, "--epochs", "2", "--slices", "16"])
    assert result.exit_code == 0, result.output
    assert "    learning_rate=0.004,\n    weight_decay=1e-06,\n    batch=4,\n" in result.output
    assert '    optimizer="adam",\n' in result.output
    assert "'dropout': 0.2" in result.output
    assert "score of 0.8750" in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["reader"], 1, "no folder"),
        (["reader", "--trials", "0"], 2, "0 is not in the range"),
        (["reader", "--slices", "15"], 2, "15 is not in the range"),
        (["transformer"], 2, "two_branch"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, status, message, tmp_path):
    result = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path), "--runs", str(tmp_path / "runs")])
    assert result.exit_code == status
    assert message in result.output
    assert "Traceback" not in result.output
