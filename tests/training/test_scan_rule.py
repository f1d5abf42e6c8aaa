"""The rule for whole scans: fitted on, and judged by, scans whose logits a hand can set."""

import json
from dataclasses import asdict, replace
from math import exp, log, nan
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hemoscope.errors import BadData, BadWeights
from hemoscope.labels import CLASSES
from hemoscope.manifest import FILE, Metric, read_manifest
from hemoscope.postprocessing import Rule
from hemoscope.scan_rule import ScanRule
from tests.test_manifest import MANIFEST
from training.calibrate import write_rule
from training.cards import Check, rewrite_card, write_card
from training.figures import figures
from training.fitted_rules import SCAN_RULE_FILE, read_scan_rule, write_scan_rule
from training.predictions import BINS, Predictions, join, judge
from training.saved import fingerprint
from training.scan_calibration import ENOUGH, fit_scan_rule
from training.scan_rule import main
from training.scans import judge_scans, rows_of_scans

RULE = Rule(("any",), 1.0, (0.0,), 0.25, 0.5, 0.5)
Scan = tuple[str, list[float], list[float]]  # its set, and of each slice the label of any and the logit


def predictions(*scans: Scan) -> Predictions:
    """The slices of patients 0, 1, 2, ... of a network that knows `any` only."""
    count = sum(len(logits) for _, _, logits in scans)
    labels = np.full((count, len(CLASSES)), nan)
    labels[:, 0] = [label for _, each, _ in scans for label in each]
    groups = [f"{source}/{patient}" for patient, (source, _, logits) in enumerate(scans) for _ in logits]
    return Predictions(
        classes=("any",),
        keys=np.array([f"{group}/{index}" for index, group in enumerate(groups)]),
        groups=np.array(groups),
        sources=np.array([group.split("/")[0] for group in groups]),
        labels=labels,
        logits=np.array([logit for _, _, logits in scans for logit in logits], np.float32)[:, None],
        pixel_slices=np.zeros(0, np.int64),
        pixels=np.zeros((0, 2, BINS), np.int32),
        skipped=0,
    )


def bleeding(*logits: float) -> Scan:
    """Two neighbouring slices with blood and these logits among five."""
    first, second = logits
    return "ct_ich", [0, 1, 1, 0, 0], [-4, first, second, -4, -4]


def bloodless(logit: float) -> Scan:
    """One slice of five with this logit and no blood."""
    return "ct_ich", [0] * 5, [-4, logit, -4, -4, -4]


def probability(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def test_only_sets_of_whole_scans_count_and_only_scans_of_three_slices() -> None:
    whole, short = ("ct_ich", [0] * 8, [0.0] * 8), ("ct_ich", [0] * 2, [0.0] * 2)
    single = ("rsna", [1], [2.0])
    rows = rows_of_scans(predictions(single, whole, short, single))
    assert [each.tolist() for each in rows] == [list(range(1, 9))]


def test_a_scan_bleeds_where_a_slice_does_and_is_unknown_where_one_may() -> None:
    scans = predictions(
        ("ct_ich", [0, 1, nan, 0, 0], [0.0] * 5), ("ct_ich", [0, nan, 0, 0, 0], [0.0] * 5), bloodless(0.0)
    )
    found = judge_scans(scans, RULE, ScanRule(1, 1.0, 0.0, 0.25, 0.75, ""))
    assert found.labels[:, 0] == pytest.approx([1, nan, 0], nan_ok=True)


def test_the_plain_maximum_is_kept_where_nothing_beats_it() -> None:
    rule = fit_scan_rule(predictions(bleeding(3, 3), bleeding(2, 2), bloodless(-1), bloodless(0)), RULE, "these")
    assert rule is not None
    assert rule.neighbours == 1
    assert "On these (4 scans, 2 with and 2 without hemorrhage, of ct_ich)" in rule.chosen
    assert "the plain maximum" in rule.chosen


def test_neighbours_are_taken_where_single_false_slices_are_as_high_as_bleeds() -> None:
    rule = fit_scan_rule(predictions(bleeding(3, 3), bleeding(2, 2), bloodless(4), bloodless(3)), RULE, "these")
    assert rule is not None
    assert rule.neighbours == 2  # three would do as well; the fewest are taken
    assert "1 slices 0.125, 2 slices 1.000, 3 slices 1.000" in rule.chosen


def test_few_scans_fit_a_bias_alone_and_half_of_them_bleed() -> None:
    # One of each kind at evidence 2 and 0: by symmetry the bias is -1.
    rule = fit_scan_rule(predictions(bleeding(2, 2), bloodless(0)), RULE, "these")
    assert rule is not None
    assert (rule.temperature, rule.bias) == (1.0, pytest.approx(-1.0))
    more = fit_scan_rule(predictions(*[bleeding(2, 2)] * 3, bloodless(0)), RULE, "these")
    assert more is not None
    # 3 (1 - p) = q with p = sigmoid(2 + b), q = sigmoid(b): with x = e^b this is e^2 x^2 - 2 x - 3 = 0.
    offset = log((1 + (1 + 3 * exp(2)) ** 0.5) / exp(2))
    assert more.bias == pytest.approx(offset - log(3))
    assert "too few for a temperature" in more.chosen


def test_the_band_is_moved_outwards_by_what_the_fit_does_not_know() -> None:
    rule = fit_scan_rule(predictions(bleeding(2, 2), bloodless(0)), RULE, "these")
    assert rule is not None
    # Between evidence 2 and 0 lies probability a half. The bias' variance is 1 / (2 p (1 - p)) with p = sigmoid(1).
    error = (2 * probability(1) * probability(-1)) ** -0.5
    assert rule.decision_low == pytest.approx(probability(-1.645 * error))
    assert rule.decision_high == pytest.approx(probability(1.645 * error))


def test_many_scans_fit_a_temperature_and_a_narrow_band() -> None:
    # At evidence 0 a quarter bleeds, at 4 ln 3 three quarters: temperature 2, bias -2 ln 3, as `any` in slices.
    high, few = 4 * log(3), ENOUGH * 20
    each = [bleeding(high, high)] * (3 * few) + [bleeding(0, 0)] * few
    like_them = [("ct_ich", [0] * 5, logits) for _, _, logits in [*each[-few:] * 3, *each[:few]]]
    rule = fit_scan_rule(predictions(*each, *like_them), RULE, "these")
    assert rule is not None
    assert rule.temperature == pytest.approx(2, rel=0.02)
    assert "temperature and bias by maximum likelihood" in rule.chosen
    # All lie at a quarter or three quarters: the ends lie outside of them, and few errors further out.
    assert 0 < rule.decision_low < 0.25
    assert 0.75 < rule.decision_high < 1


def test_scans_of_one_kind_give_no_rule(tmp_path: Path) -> None:
    assert fit_scan_rule(predictions(bleeding(2, 2), bleeding(1, 1)), RULE, "") is None
    assert fit_scan_rule(predictions(("rsna", [1], [2.0]), ("rsna", [0], [0.0])), RULE, "") is None
    write_scan_rule(None, tmp_path)
    assert json.loads((tmp_path / SCAN_RULE_FILE).read_text()) is None
    assert read_scan_rule(tmp_path) is None


def test_the_rule_survives_its_file_and_a_garbled_one_is_named(tmp_path: Path) -> None:
    assert read_scan_rule(tmp_path) is None  # a run that was evaluated before there were such rules
    rule = ScanRule(2, 1.5, -0.5, 0.25, 0.75, "By hand.")
    write_scan_rule(rule, tmp_path)
    assert read_scan_rule(tmp_path) == rule
    (tmp_path / SCAN_RULE_FILE).write_text('{"neighbours": 2}')
    with pytest.raises(BadWeights, match=r"scan_rule\.json cannot be read"):
        read_scan_rule(tmp_path)


TEST = predictions(bleeding(3, 3), bleeding(-1, -1), bloodless(0.5), bloodless(-4), ("phe_sich", [1] * 5, [2.0] * 5))
BY_HAND = ScanRule(1, 1.0, 0.0, probability(-0.5), probability(1), "By hand.")


def by_name(metrics: tuple[Metric, ...]) -> dict[tuple[str, str], float]:
    return {(one.set, one.name): one.value for one in metrics if "per patient" in one.name}


def test_figures_count_patients() -> None:
    metrics = figures(judge(TEST, RULE, BY_HAND), resamples=20)
    # Bleeding 3 and -1, bloodless 0.5 and -4: three of four pairs are in order; 3 hemorrhage, 0.5 uncertain, else none.
    expected = {
        "AUC any per patient": 0.75,
        "sensitivity any per patient": 0.5,
        "sensitivity any per patient at decision_low": 0.5,
        "specificity any per patient": 1.0,
        "specificity any per patient at decision_low": 0.5,
        "abstain share per patient": 0.25,
    }
    assert {name: value for (of, name), value in by_name(metrics).items() if of == "ct_ich"} == expected
    # All of PHE-SICH bleed: what needs both kinds cannot be said of them.
    assert {name for of, name in by_name(metrics) if of == "phe_sich"} == {
        "sensitivity any per patient", "sensitivity any per patient at decision_low", "abstain share per patient",
    }  # fmt: skip
    assert {one.n for one in metrics if one.set == "ct_ich" and "per patient" in one.name} == {4}
    assert not any(of == "all" for of, _ in by_name(metrics))


def test_folds_are_pooled_with_each_scan_judged_by_its_own_rule() -> None:
    cautious = replace(BY_HAND, decision_low=0.0, decision_high=1.0)
    both = join([judge(TEST, RULE, BY_HAND), judge(TEST, RULE, cautious)])
    assert both.scans is not None
    assert both.scans.findings.tolist() == [2, 0, 1, 0, 2] + [1] * 5
    assert join([judge(TEST, RULE, BY_HAND), judge(TEST, RULE)]).scans is None


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """`runs/tiny/fold_0` with predictions, and `weights/tiny` that was exported from it without a rule for scans."""
    run, weights = tmp_path / "runs/tiny/fold_0", tmp_path / "weights/tiny"
    run.mkdir(parents=True)
    weights.mkdir(parents=True)
    (run / "network.keras").write_bytes(b"a network")
    write_rule(RULE, "By hand.", run)
    of = fingerprint(run / "network.keras")
    predictions(bleeding(2, 2), bloodless(0)).save(run / "validation.npz", of)
    TEST.save(run / "test.npz", of)
    metrics = (
        Metric("ct_ich", "AUC any", 25, 4, 0.5, None, None),
        Metric("ct_ich", "abstain share", 25, 4, 0.5, None, None),
        Metric("ct_ich", "AUC any per patient", 4, 2, 0.5, None, None, "the largest"),
        Metric("ct_ich", "Dice pooled", 4, 2, 0.25, 0.125, 0.5),
    )
    manifest = replace(MANIFEST, **asdict(RULE), metrics=metrics)
    (weights / FILE).write_text(json.dumps(manifest.to_dict(), indent=2) + "\n")
    write_card(weights, manifest, [("tiny", 60.0)], [], Check(3, 1e-6, 0.0))
    return tmp_path


def give(root: Path) -> Result:
    command = ["tiny", "--runs", str(root / "runs"), "--into", str(root / "weights/tiny")]
    return CliRunner().invoke(main, command)


def test_weights_are_given_a_rule_and_nothing_else_changes(exported: Path) -> None:
    weights = exported / "weights/tiny"
    before, card = read_manifest(weights), (weights / "README.md").read_text()
    done = give(exported)
    assert done.exit_code == 0, done.output
    after = read_manifest(weights)
    validation = predictions(bleeding(2, 2), bloodless(0))
    assert after.scan_rule == fit_scan_rule(validation, RULE, "the validation patients of fold 0")
    names = [one.name for one in after.metrics]
    assert names[:3] == ["AUC any", "abstain share", "AUC any per patient"]
    assert names.count("AUC any per patient") == 1
    assert "Dice pooled" in names
    assert replace(after, scan_rule=None, metrics=before.metrics) == before
    changed = set((weights / "README.md").read_text().splitlines()) ^ set(card.splitlines())
    assert all(line.startswith("- Whole scans: On the validation") or "per patient" in line for line in changed)
    assert "| ct_ich | AUC any per patient | 0.750 |" in (weights / "README.md").read_text()


def test_a_second_time_changes_nothing(exported: Path) -> None:
    weights = exported / "weights/tiny"
    give(exported)
    before = {path.name: path.read_bytes() for path in weights.iterdir()}
    assert give(exported).exit_code == 0
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == before


def test_weights_of_another_run_are_left_as_they_are(exported: Path) -> None:
    weights = exported / "weights/tiny"
    before = {path.name: path.read_bytes() for path in weights.iterdir()}
    write_rule(replace(RULE, decision_low=0.125), "By hand.", exported / "runs/tiny/fold_0")
    done = give(exported)
    assert done.exit_code == 1
    assert "was not exported from" in done.output
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == before


def test_a_validation_side_without_scans_is_said(exported: Path) -> None:
    run = exported / "runs/tiny/fold_0"
    predictions(("rsna", [1], [2.0]), ("rsna", [0], [0.0])).save(
        run / "validation.npz", fingerprint(run / "network.keras")
    )
    done = give(exported)
    assert done.exit_code == 1
    assert "Whole scans with and without hemorrhage are needed" in done.output


def test_a_card_that_says_something_else_is_not_rewritten(exported: Path) -> None:
    manifest = read_manifest(exported / "weights/tiny")
    card = (exported / "weights/tiny/README.md").read_text().replace("0.250", "0.999")
    with pytest.raises(BadData, match=r"lacks a line of its manifest: . ct_ich . Dice pooled"):
        rewrite_card(card, manifest, manifest)
