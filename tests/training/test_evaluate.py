"""Evaluation from files on disk to figures, with a network whose skill a hand can set: it finds what is grey as blood.

The data are slices of the phantom; the figures are compared with what `model.Reader` says of the same files.
"""

import csv
import json
import shutil
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import model
from hemoscope.errors import BadData
from hemoscope.labels import CLASSES, SUBTYPES
from hemoscope.manifest import Metric
from hemoscope.metrics import Counts
from hemoscope.postprocessing import Rule
from tests.training.phantom_set import PATIENTS, SIZE, write_band_run
from training.calibrate import fit_rule, read_choice, read_rule
from training.datasets import load_samples
from training.evaluate import evaluate, main, read_evaluation
from training.figures import figures
from training.predictions import BINS, Judged, Predictions, join, judge
from training.saved import fingerprint, open_keras

FOLD = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data/` and `runs/band/fold_1/`, not yet evaluated."""
    root = tmp_path_factory.mktemp("evaluate")
    write_band_run(root, FOLD)
    return root


@pytest.fixture(scope="module")
def evaluated(folder: Path) -> Path:
    """The run's folder after the command."""
    done = CliRunner().invoke(
        main, ["band", "--data", str(folder / "data"), "--fold", str(FOLD), "--runs", str(folder / "runs")]
    )
    assert done.exit_code == 0, done.output
    assert "Dice pooled" in done.output
    assert "not a medical device" in done.output
    return folder / "runs" / "band" / f"fold_{FOLD}"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def value(metrics: tuple[Metric, ...], name: str, of: str = "ct_ich") -> float:
    return next(metric.value for metric in metrics if (metric.set, metric.name) == (of, name))


def test_the_sides_hold_the_patients_of_the_folds_file(evaluated: Path):
    patients = {side: {row["group"] for row in rows_of(evaluated / f"{side}.csv")} for side in ("validation", "test")}
    assert patients["test"] == {f"ct_ich/{number}" for number in (1, 4, 6, 9, 11, 14, 16, 19)}
    assert patients["validation"] == {f"ct_ich/{number}" for number in (5, 7, 8)}


def test_the_figures_are_of_what_serving_says(folder: Path, evaluated: Path):
    """The very reader that serving uses, file by file, against the table and the pooled Dice."""
    reader = model.NetworkReader(*open_keras(evaluated / "network.keras"))
    samples = {sample.key: sample for sample in load_samples(folder / "data", ["ct_ich"])}
    pooled = Counts()
    for row in rows_of(evaluated / "test.csv"):
        sample = samples[row["key"]]
        found = reader.read(sample.scan()).slices[0]
        assert row["finding"] == found.finding
        assert float(row["probability_any"]) == pytest.approx(found.probabilities["any"], rel=1e-4)
        known = sample.mask is not None or sample.blood_free
        assert known == (row["pixels_tp"] != "")
        if known:
            counts = Counts.of(sample.target(SIZE, SIZE) == 1, found.mask)
            assert [int(row[f"pixels_{name}"]) for name in ("tp", "fp", "fn", "tn")] == list(vars(counts).values())
            pooled += counts
    metrics = read_evaluation(evaluated).metrics
    assert value(metrics, "Dice pooled") == pytest.approx(pooled.dice)
    assert value(metrics, "IoU pooled") == pytest.approx(pooled.iou)
    assert pooled.dice > 0.3  # the band does find the phantom's blood


def test_slices_whose_blood_lies_unknown_count_for_the_class_and_for_no_pixel(evaluated: Path):
    rows = [row for row in rows_of(evaluated / "test.csv") if row["group"] == "ct_ich/1" and row["label_any"] == "1"]
    assert rows
    assert all(row["pixels_tp"] == "" and row["probability_any"] for row in rows)
    n = {metric.name: metric.n for metric in read_evaluation(evaluated).metrics}
    assert n["AUC any"] == 24  # eight patients of three slices
    assert n["Dice pooled"] == 24 - len(rows)


def test_the_rule_was_fitted_on_the_validation_side_alone(evaluated: Path):
    rule = read_rule(evaluated)
    rows = rows_of(evaluated / "validation.csv")
    positives = [float(row["probability_any"]) for row in rows if row["label_any"] == "1"]
    negatives = [float(row["probability_any"]) for row in rows if row["label_any"] == "0"]
    assert min(positives) >= rule.decision_low  # 95 % of a few positives are all of them
    assert max(negatives) < rule.decision_high
    assert "validation patients of fold 1 (3 patients" in read_evaluation(evaluated).thresholds_chosen


def test_the_page_stands_alone(evaluated: Path):
    page = (evaluated / "report.html").read_text(encoding="utf-8")
    pictures = sorted(path.name for path in (evaluated / "report").iterdir())
    assert pictures == ["ct_ich.png", "training.png"]
    assert page.count("src='data:image/png;base64,") == page.count("<img") == 2
    assert "http" not in page
    assert "Research use, not a medical device." in page
    assert "Dice pooled on positives" in page


def test_the_metrics_file_is_strict_json_and_reads_back(evaluated: Path):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    stored = json.loads((evaluated / "metrics.json").read_text(encoding="utf-8"), parse_constant=refuse)
    found = read_evaluation(evaluated)
    assert found.folds == (FOLD,)
    assert [Metric(**entry) for entry in stored["metrics"]] == list(found.metrics)
    assert set(stored["curves"]["ct_ich"]) >= {"roc", "precision_recall", "reliability", "findings", "pixels"}


def test_reused_predictions_give_the_same_figures(folder: Path, evaluated: Path):
    before = (evaluated / "metrics.json").read_bytes()
    evaluate("band", [FOLD], folder / "data", folder / "runs", reuse=True)
    assert (evaluated / "metrics.json").read_bytes() == before


def test_predictions_of_another_network_are_not_reused(folder: Path, evaluated: Path, tmp_path: Path):
    with pytest.raises(BadData, match="of another network"):
        Predictions.read(evaluated / "test.npz", "0" * 64)
    with pytest.raises(BadData, match="without --reuse"):
        Predictions.read(tmp_path / "test.npz", "0" * 64)


def test_a_garbled_picture_is_skipped_and_counted(folder: Path, evaluated: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/data/ct_ich/images/9_1.png").write_bytes(b"not a picture")
    run = evaluate("band", [FOLD], tmp_path / "copy/data", tmp_path / "copy/runs")
    assert read_evaluation(run).skipped == 1
    assert len(rows_of(run / "test.csv")) == 23


def test_all_folds_that_were_trained_are_pooled(folder: Path, evaluated: Path, tmp_path: Path):
    shutil.copytree(folder / "runs", tmp_path / "runs")
    shutil.copytree(evaluated, tmp_path / "runs/band/fold_0")
    command = ["band", "--data", str(folder / "data"), "--fold", "all", "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    found = read_evaluation(tmp_path / "runs/band/pooled")
    assert found.folds == (0, 1)
    # In these folds every patient stands on one of the two test sides.
    assert next(metric.n for metric in found.metrics if metric.name == "AUC any") == 3 * PATIENTS
    assert "patients of fold 0 (" in found.thresholds_chosen
    assert "patients of fold 1 (" in found.thresholds_chosen
    assert (tmp_path / "runs/band/pooled/report.html").is_file()


def test_the_pool_s_rule_is_fitted_on_all_folds_and_judges_none(folder: Path, evaluated: Path, tmp_path: Path):
    shutil.copytree(folder / "runs", tmp_path / "runs")
    shutil.copytree(evaluated, tmp_path / "runs/band/fold_0")
    pooled = evaluate("band", [0, 1], folder / "data", tmp_path / "runs")
    rule, chosen = read_choice(pooled)
    runs = [tmp_path / f"runs/band/fold_{fold}" for fold in (0, 1)]
    judged = [
        judge(Predictions.read(run / "test.npz", fingerprint(run / "network.keras")), read_rule(run)) for run in runs
    ]
    assert rule == fit_rule(join(judged).predictions, "")[0]
    assert rule not in (read_rule(runs[0]), read_rule(runs[1]))
    assert chosen.startswith("On out-of-fold predictions for the test patients of folds 0, 1, each slice read by")
    assert f"({PATIENTS} patients, " in chosen
    # The figures are by the folds' own rules.
    assert read_evaluation(pooled).metrics == figures(join(judged))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nosuch"], "run `python -m training.train nosuch --fold 0` first"),
        (["nosuch", "--fold", "all"], "run `python -m training.train nosuch` first"),
        (["band", "--fold", "3"], "run `python -m training.train band --fold 3` first"),
        (["band", "--fold", "7"], "'7' is not one of 0, 1, 2, 3, 4, all"),
        (["band", "--fold", "1", "--data", "/nowhere"], "There is no data folder /nowhere"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(folder: Path, arguments: list[str], sentence: str):
    common = ["--runs", str(folder / "runs")] + ([] if "--data" in arguments else ["--data", str(folder / "data")])
    done = CliRunner().invoke(main, [*arguments, *common])
    assert done.exit_code != 0
    assert sentence in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_help_tells_the_files_that_are_written():
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert "rule.json" in done.output


# Eight slices of four patients, judged with thresholds 0.25 and 0.5 on probabilities that are set by hand.
LABELS = [1, 1, 1, 0, 0, 0, 0, nan]
PROBABILITIES = [0.9, 0.6, 0.3, 0.7, 0.4, 0.1, 0.1, 0.9]
RULE = Rule(("any",), 1.0, (0.0,), 0.25, 0.5, 512 / BINS)


def by_hand() -> Judged:
    labels = np.full((8, len(CLASSES)), nan)
    labels[:, 0] = LABELS
    probabilities = np.array(PROBABILITIES)
    pixels = np.zeros((3, 2, BINS), np.int32)
    pixels[0, 1, [600, 100]] = 6, 4  # slice 0: six of ten blood pixels found
    pixels[0, 0, [700, 0]] = 2, 88  # and two wrong ones
    pixels[1, 0, [900, 0]] = 5, 95  # slice 3, found by mistake: five wrong pixels
    pixels[2, 0, [900, 0]] = 50, 50  # slice 5, none: its mask stays empty
    predictions = Predictions(
        classes=("any",),
        keys=np.array([f"s/{index}" for index in range(8)]),
        groups=np.array(["a", "a", "b", "b", "c", "c", "d", "d"]),
        sources=np.array(["s"] * 8),
        labels=labels,
        logits=np.log(probabilities / (1 - probabilities)).astype(np.float32)[:, None],
        pixel_slices=np.array([0, 3, 5]),
        pixels=pixels,
        skipped=0,
    )
    return judge(predictions, RULE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AUC any", 9 / 12),  # of the four negatives 0.9 beats four, 0.6 three, 0.3 two
        ("sensitivity any", 2 / 3),
        ("specificity any", 3 / 4),
        ("precision any", 2 / 3),
        ("F1 any", 2 / 3),
        ("accuracy any", 5 / 7),
        ("sensitivity any at decision_low", 1.0),
        ("specificity any at decision_low", 2 / 4),
        ("abstain share", 2 / 7),
        ("specificity at sensitivity 0.95", 2 / 4),
        ("Dice pooled", 12 / (12 + 2 + 5 + 4)),
        ("IoU pooled", 6 / (6 + 2 + 5 + 4)),
        ("Dice pooled on positives", 12 / (12 + 2 + 4)),
        # Without slice 3: another slice of its patient bleeds.
        ("Dice pooled, masks and hemorrhage-free patients", 12 / (12 + 2 + 4)),
        ("IoU pooled, masks and hemorrhage-free patients", 6 / (6 + 2 + 4)),
        ("Dice per slice", 12 / (12 + 2 + 4)),
    ],
)
def test_figures_by_hand(name: str, expected: float):
    assert value(figures(by_hand(), resamples=20), name, of="s") == pytest.approx(expected)


def test_wrong_pixels_of_patients_without_hemorrhage_always_count():
    judged = by_hand()
    judged.predictions.labels[2, 0] = 0  # now patient b does not bleed, and slice 3 counts
    found = value(figures(judged, resamples=20), "Dice pooled, masks and hemorrhage-free patients", of="s")
    assert found == pytest.approx(12 / (12 + 2 + 5 + 4))


def test_a_figure_says_over_how_many_slices_it_is():
    entries = {metric.name: (metric.n, metric.positives) for metric in figures(by_hand(), resamples=20)}
    assert entries["Dice pooled"] == (3, 1)
    assert entries["Dice pooled, masks and hemorrhage-free patients"] == (2, 1)
    assert entries["Dice pooled on positives"] == (1, 1)


def test_the_mean_over_subtypes_is_of_those_that_are_there_on_slices_with_all_labels_known():
    labels = np.zeros((5, len(CLASSES)))
    labels[:3, 0] = 1
    labels[[0, 1], CLASSES.index("subdural")] = 1
    labels[2, CLASSES.index("epidural")] = 1
    labels[4, 1:] = nan
    logits = np.zeros((5, len(CLASSES)), np.float32)
    logits[:, CLASSES.index("subdural")] = [3, 1, 2, 0, 9]  # of four pairs (two slices, two others) three are in order
    logits[:, CLASSES.index("epidural")] = [0, 0, 1, 0, 9]  # all in order
    side = replace(
        by_hand().predictions,
        classes=CLASSES, keys=np.arange(5).astype(str), groups=np.arange(5).astype(str), sources=np.array(["s"] * 5),
        labels=labels, logits=logits, pixel_slices=np.zeros(0, np.int64), pixels=np.zeros((0, 2, BINS), np.int32),
    )  # fmt: skip
    metrics = figures(judge(side, Rule(CLASSES, 1.0, (0.0,) * 6, 0.25, 0.5, 0.5)), resamples=20)
    (found,) = [metric for metric in metrics if metric.name == "AUC mean of the subtypes"]
    assert (found.value, found.n, found.positives) == (pytest.approx((3 / 4 + 1) / 2), 4, 3)
    assert "of epidural, subdural;" in found.note


def test_figures_of_few_positives_are_marked():
    metrics = figures(by_hand(), resamples=20)
    assert all("not validated: fewer than 10 positives" in metric.note for metric in metrics)


def test_classes_that_are_unknown_have_no_figure():
    names = {metric.name for metric in figures(by_hand(), resamples=20)}
    assert not any(subtype in name for name in names for subtype in CLASSES[1:])


def test_a_patients_figure_needs_whole_scans():
    assert "AUC any per patient" not in {metric.name for metric in figures(by_hand(), resamples=20)}


def test_a_patients_score_is_the_largest_of_its_slices():
    labels = np.zeros((20, len(CLASSES)))
    labels[[0, 5], 0] = 1  # patients a and b bleed in one of five slices, c and d in none
    probabilities = np.full(20, 0.1)
    probabilities[[1, 5, 10]] = 0.8, 0.3, 0.5  # a 0.8, although at another slice; b 0.3; c 0.5; d 0.1
    predictions = Predictions(
        classes=("any",),
        keys=np.array([f"s/{index}" for index in range(20)]),
        groups=np.repeat(["a", "b", "c", "d"], 5),
        sources=np.array(["s"] * 20),
        labels=labels,
        logits=np.log(probabilities / (1 - probabilities)).astype(np.float32)[:, None],
        pixel_slices=np.zeros(0, np.int64),
        pixels=np.zeros((0, 2, BINS), np.int32),
        skipped=0,
    )
    metrics = figures(judge(predictions, RULE), resamples=20)
    assert value(metrics, "AUC any per patient", of="s") == pytest.approx(3 / 4)
    assert not any("Dice" in metric.name for metric in metrics)


def by_subtype() -> Judged:
    """Four slices with blood: two epidural, one subdural without a finding, one of both whose mask is not known."""
    labels = np.zeros((4, len(CLASSES)))
    labels[:, 0] = 1
    labels[[0, 1, 3], CLASSES.index("epidural")] = 1
    labels[[2, 3], CLASSES.index("subdural")] = 1
    epidural, subdural = SUBTYPES.index("epidural"), SUBTYPES.index("subdural")
    marked, pixels = np.zeros((4, 5), np.float32), np.zeros((4, 5, 5), np.int64)
    marked[[0, 1, 2, 3], [epidural, subdural, subdural, epidural]] = 9
    pixels[0, epidural, epidural], pixels[0, epidural, subdural] = 30, 10
    pixels[1, epidural, subdural] = 20
    pixels[2, subdural, subdural] = 7
    logits = np.full((4, len(CLASSES)), -4, np.float32)
    logits[:, 0] = [3, 3, -3, 3]  # slice 2 has no finding
    logits[[0, 1, 2, 3], [CLASSES.index("epidural")] * 3 + [CLASSES.index("subdural")]] = 2
    predictions = Predictions(
        classes=CLASSES,
        keys=np.array([f"s/{index}" for index in range(4)]),
        groups=np.array(["a", "b", "c", "d"]),
        sources=np.array(["s"] * 4),
        labels=labels,
        logits=logits,
        pixel_slices=np.zeros(0, np.int64),
        pixels=np.zeros((0, 2, BINS), np.int32),
        skipped=0,
        marked=marked,
        subtype_pixels=pixels,
    )
    return judge(predictions, Rule(CLASSES, 1.0, (0.0,) * 6, 0.25, 0.5, 0.5))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("share of epidural pixels called so", 30 / 60),
        ("share of subdural pixels called so", 1.0),
        ("mask's main subtype is the most probable one", 1 / 3),  # slice 0 of slices 0, 1 and 3
        ("mask's main subtype is the true one", 2 / 3),  # slices 0 and 2 of slices 0, 1 and 2
        ("most probable subtype is the true one", 2 / 3),  # slices 0 and 1
    ],
)
def test_figures_of_subtypes_in_the_mask_by_hand(name: str, expected: float):
    assert value(figures(by_subtype(), resamples=20), name, of="s") == pytest.approx(expected)


def test_a_network_that_does_not_tell_subtypes_apart_by_pixel_has_no_such_figure():
    names = {metric.name for metric in figures(silent(by_subtype()), resamples=20)}
    assert not [name for name in names if "subtype is" in name or "pixels called" in name]


def test_subtypes_are_stored_joined_and_read_back(tmp_path: Path):
    judged = by_subtype()
    joined = join([judged, judged]).predictions
    assert joined.subtype_pixels.shape == (8, 5, 5) and joined.marked.shape == (8, 5)
    joined.save(tmp_path / "test.npz", "print")
    again = Predictions.read(tmp_path / "test.npz", "print")
    assert (again.subtype_pixels == joined.subtype_pixels).all() and (again.marked == joined.marked).all()
    assert join([judged, silent(judged)]).predictions.marked is None


def silent(judged: Judged) -> Judged:
    """The same without subtypes by pixel."""
    return replace(judged, predictions=replace(judged.predictions, marked=None, subtype_pixels=None))


def test_joined_folds_keep_their_own_rules_and_pixels():
    one = by_hand()
    other = judge(one.predictions, Rule(("any",), 1.0, (0.0,), 0.95, 0.95, 0.5))  # finds nothing
    both = join([one, other])
    assert both.findings.tolist() == [2, 2, 1, 2, 1, 0, 0, 2] + [0] * 8
    assert both.predictions.pixel_slices.tolist() == [0, 3, 5, 8, 11, 13]
    assert both.counts.tolist() == [
        [6, 2, 4, 88], [0, 5, 0, 95], [0, 0, 0, 100],
        [0, 0, 10, 90], [0, 0, 0, 100], [0, 0, 0, 100],
    ]  # fmt: skip
