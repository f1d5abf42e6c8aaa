"""What a network says of lookalikes: the same slices before and after, of the validation side alone."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from tests.training.phantom_set import write_band_run
from training.evaluate import evaluate
from training.lookalike_alarms import lookalike_alarms, main

FOLD = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data/` and an evaluated training that takes what is grey as blood for blood."""
    root = tmp_path_factory.mktemp("alarms")
    write_band_run(root, FOLD)
    evaluate("band", [FOLD], root / "data", root / "runs")
    return root


def test_what_is_dense_as_blood_alarms_a_network_that_knows_nothing_else(folder: Path):
    found, page = lookalike_alarms("band", FOLD, folder / "data", folder / "runs", count=6)
    by_kind = {one.kind: one for one in found}
    sinus = by_kind["venous sinus"]
    assert sinus.n >= 3
    assert sinus.probability[1] > sinus.probability[0]
    assert 0 <= sinus.hemorrhage[0] <= sinus.not_none[0] <= 1
    text = page.read_text(encoding="utf-8")
    assert "never publish it" in text
    shown = {caption.split(":")[0] for caption in text.split("<figcaption>")[1:]}
    patients = {one.removeprefix("ct_ich/images/").split("_")[0] for one in shown}
    assert patients <= {"5", "7", "8"}, "only the validation side of the folds file is read"


def test_the_command_prints_the_table(folder: Path):
    places = ["--data", str(folder / "data"), "--runs", str(folder / "runs"), "--fold", str(FOLD), "--count", "1"]
    done = CliRunner().invoke(main, ["band", *places])
    assert done.exit_code == 0, done.output
    assert "mean probability" in done.output
    assert "never publish it" in done.output


def test_a_training_that_was_not_evaluated_is_refused(folder: Path):
    with pytest.raises(BadData, match="Evaluate it first"):
        lookalike_alarms("band", 0, folder / "data", folder / "runs")
