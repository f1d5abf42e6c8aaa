"""A plan worked through on phantom slices: what is done is skipped, what fails is noted, what an ensemble gains."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from hemoscope.metrics import auc
from tests.training.phantom_set import write_ct_ich
from tests.training.test_train import TINY
from training import compare as module
from training import stages
from training.compare import compare, gains, main
from training.configs import CONFIGS
from training.ensembles import ENSEMBLES, EnsembleConfig
from training.plans import PLANS, Plan
from training.results import read_result

PLAN = Plan("Tiny", 0, ("tiny", "elsewhere", "other"), ("both",))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_ct_ich(folder / "ct_ich")
    return folder


@pytest.fixture(scope="module")
def registry():
    """Two trainings that start from a third, one whose data are not there, and an ensemble of the two."""
    with pytest.MonkeyPatch.context() as patch:
        first = replace(TINY, epochs=1)
        patch.setitem(CONFIGS, "tiny_start", first)
        patch.setitem(CONFIGS, "tiny", replace(first, initial="tiny_start"))
        patch.setitem(CONFIGS, "other", replace(first, seed=7))
        patch.setitem(CONFIGS, "elsewhere", replace(first, sets=("rsna",)))
        patch.setitem(ENSEMBLES, "both", EnsembleConfig("Both", ("tiny", "other"), "average"))
        patch.setitem(PLANS, "tiny", PLAN)
        yield
        keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def done(data, registry, tmp_path_factory):
    """The folder of a comparison: runs/ and results.md."""
    folder = tmp_path_factory.mktemp("compared")
    compare(PLAN, data, folder / "runs", folder / "results.md")
    return folder


def test_each_configuration_gets_a_result_and_the_page_shows_it(done):
    result = read_result(done / "results" / "tiny.json")
    assert result.metric("ct_ich", "AUC any") is not None
    assert result.slices_seen == 16  # eight in each of its two steps
    assert result.parameters > 0 and result.milliseconds > 0 and result.minutes > 0
    assert len(result.log["loss"]) == 1
    page = (done / "results.md").read_text()
    assert "| `tiny` |" in page and "| `other` |" in page
    assert "Not done yet" not in page


def test_a_failure_is_noted_and_the_rest_goes_on(done):
    assert "no folder rsna" in read_result(done / "results" / "elsewhere.json").failure
    assert read_result(done / "results" / "other.json").failure == ""
    assert "- `elsewhere`:" in (done / "results.md").read_text()


def test_an_ensemble_is_made_of_the_exported_members(done):
    result = read_result(done / "results" / "both.json")
    assert (result.members, result.network, result.failure) == (("tiny", "other"), "average", "")
    assert any(metric.name.startswith("AUC any minus that of") for metric in result.metrics)


def test_what_is_done_is_skipped_and_what_was_stopped_goes_on(done, data, registry, monkeypatch):
    calls = []
    monkeypatch.setattr(stages, "train", lambda config, name, *rest, resume: calls.append((name, resume)))
    monkeypatch.setattr(stages, "evaluate", lambda name, *rest: calls.append((name, "evaluated")))
    monkeypatch.setattr(module, "export", lambda name, *rest: calls.append((name, "exported")))
    monkeypatch.setattr(module, "make_ensemble", lambda name, *rest: calls.append((name, "made")))
    compare(PLAN, data, done / "runs", done / "again.md", only=("tiny", "other", "both"))
    assert calls == []
    longer = replace(CONFIGS["other"], patience=5)
    monkeypatch.setitem(CONFIGS, "other", longer)  # other settings are no reason to throw a training away
    compare(PLAN, data, done / "runs", done / "again.md", only=("other",))
    assert calls == []
    assert "other settings (patience)" in read_result(done / "again" / "other.json").failure


def test_what_fails_later_keeps_its_earlier_figures(done, data, registry, monkeypatch):
    def fails(*_):
        raise BadData("The disk is full.")

    compare(PLAN, data, done / "runs", done / "later.md", only=("tiny",))
    monkeypatch.setattr(module, "export", fails)
    (done / "runs" / "weights" / "tiny" / "manifest.json").unlink()
    compare(PLAN, data, done / "runs", done / "later.md", only=("tiny",))
    result = read_result(done / "later" / "tiny.json")
    assert result.failure == "The disk is full." and result.metrics
    page = (done / "later.md").read_text()
    assert "- `tiny`: The disk is full." in page and "| `tiny` |" in page


def test_the_page_is_drawn_anew_without_data(done, tmp_path):
    replace(read_result(done / "results" / "tiny.json"), name="reader").write(tmp_path / "results")
    page = tmp_path / "results.md"
    said = CliRunner().invoke(main, ["papers", "--page", str(page), "--draw"], env={"HEMOSCOPE_DATA": None})
    assert said.exit_code == 0 and "| `reader` |" in page.read_text()


def test_without_data_nothing_is_compared(tmp_path):
    said = CliRunner().invoke(main, ["papers", "--page", str(tmp_path / "a.md")], env={"HEMOSCOPE_DATA": None})
    assert said.exit_code == 2 and "--data or HEMOSCOPE_DATA" in said.output
    assert not list(tmp_path.iterdir())


def test_a_network_newer_than_its_figures_is_judged_again(done, data, registry, monkeypatch):
    calls = []
    monkeypatch.setattr(stages, "evaluate", lambda name, *rest: calls.append(name))
    (done / "runs" / "tiny" / "fold_0" / "network.keras").touch()
    compare(PLAN, data, done / "runs", done / "again.md", only=("tiny", "other"))
    assert calls == ["tiny"]


def test_a_missing_data_folder_leaves_all_results_alone(done, registry, tmp_path):
    before = (done / "results" / "tiny.json").read_bytes()
    with pytest.raises(BadData, match="no data folder"):
        compare(PLAN, tmp_path / "none", done / "runs", done / "results.md")
    assert (done / "results" / "tiny.json").read_bytes() == before


def test_an_unknown_configuration_is_named(tmp_path):
    done = CliRunner().invoke(main, ["papers", "--data", str(tmp_path), "--only", "resnet18"])
    assert done.exit_code == 2
    assert "papers has no resnet18" in done.output


def test_every_plan_names_what_there_is():
    for plan in PLANS.values():
        assert set(plan.configurations) <= set(CONFIGS)
        for name in plan.ensembles:
            assert set(ENSEMBLES[name].members) <= set(plan.configurations)


def write_answers(folder, scores):
    """Twelve slices of six patients of one set, every second one with blood."""
    folder.mkdir()
    with (folder / "test.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "group", "source", "label_any", "probability_any"])
        for number, score in enumerate(scores):
            table.writerow([f"k{number}", f"p{number // 2}", "rsna", number % 2, score])


def test_the_gain_of_an_ensemble_is_over_its_best_member_on_the_same_slices(tmp_path):
    random = np.random.default_rng(1)
    truth = np.arange(12) % 2 == 1
    weak, strong = random.random(12), random.random(12) + 0.3 * truth
    own = truth * 0.5 + 0.1  # perfect
    for name, scores in (("own", own), ("weak", weak), ("strong", strong)):
        write_answers(tmp_path / name, scores)
    (gain,) = gains(tmp_path / "own", {"weak": tmp_path / "weak", "strong": tmp_path / "strong"})
    areas = {"weak": auc(truth, weak), "strong": auc(truth, strong)}
    best = max(areas, key=areas.get)
    assert gain.name == f"AUC any minus that of {best}"
    assert gain.value == pytest.approx(1 - areas[best])
    assert (gain.set, gain.n, gain.positives) == ("rsna", 12, 6)
    assert gain.low <= gain.value <= gain.high
