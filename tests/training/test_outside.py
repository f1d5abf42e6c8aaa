"""Judging on a set that a training never learnt from: its own rules, nothing fitted."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.training.phantom_set import PATIENTS, write_band_run, write_rows
from training.datasets.sample import read_table
from training.evaluate import evaluate, read_evaluation
from training.outside import judge_outside, main

FOLD = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data/` with the same slices as `ct_ich` and as `own`, and an evaluated training on `ct_ich`."""
    root = tmp_path_factory.mktemp("outside")
    write_band_run(root, FOLD)
    shutil.copytree(root / "data/ct_ich/images", root / "data/own")
    known = ("file", "patient", "any")
    rows = [{name: row[name] for name in known} for row in read_table(root / "data/ct_ich/labels.csv")]
    write_rows(root / "data/own/labels.csv", rows)
    evaluate("band", [FOLD], root / "data", root / "runs")
    return root


def judged(folder: Path, set_name: str, name: str = "band") -> tuple[int, str]:
    places = ["--data", str(folder / "data"), "--runs", str(folder / "runs")]
    done = CliRunner().invoke(main, [name, "--set", set_name, "--fold", str(FOLD), *places])
    assert "Traceback" not in done.output
    return done.exit_code, " ".join(done.output.split())


def test_all_slices_of_the_other_set_are_judged_by_the_rule_that_was_there(folder: Path):
    run = folder / "runs/band/fold_1"
    before = {file.name: file.read_bytes() for file in run.glob("*.json")}
    code, said = judged(folder, "own")
    assert code == 0, said
    assert "own AUC any" in said
    assert "not a medical device" in said
    found = read_evaluation(run / "outside_own")
    assert next(metric.n for metric in found.metrics if metric.name == "AUC any") == 3 * PATIENTS
    assert {metric.set for metric in found.metrics} == {"own"}
    assert "nothing was fitted on this one" in found.thresholds_chosen
    assert (run / "outside_own/report.html").is_file()
    assert {file.name: file.read_bytes() for file in run.glob("*.json")} == before


def test_a_network_of_all_patients_is_judged_plainly_where_no_fold_was(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "runs/band/fold_1", tmp_path / "band/fold_all")
    run = judge_outside("band", "own", None, folder / "data", tmp_path)
    found = read_evaluation(run)
    assert found.thresholds_chosen.startswith("Nothing was fitted")
    assert found.folds == ()
    before = read_evaluation(folder / "runs/band/fold_1/outside_own").metrics
    areas = [next(one.value for one in metrics if one.name == "AUC any") for metrics in (before, found.metrics)]
    assert areas[0] == pytest.approx(areas[1])  # no rule changes an order


def test_a_set_that_it_learnt_from_is_not_outside(folder: Path):
    code, said = judged(folder, "ct_ich")
    assert code == 1
    assert "band learnt from ct_ich: its patients are not outside" in said


@pytest.mark.parametrize(
    ("set_name", "name", "sentence"),
    [
        ("own", "nosuch", "run `python -m training.train nosuch --fold 1` first"),
        ("rsna", "band", "has no folder rsna"),
    ],
)
def test_what_is_missing_is_said(folder: Path, set_name: str, name: str, sentence: str):
    code, said = judged(folder, set_name, name)
    assert code == 1
    assert sentence in said
