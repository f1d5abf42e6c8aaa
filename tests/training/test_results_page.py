"""The page of results: what is in its tables, from results written by hand."""

from dataclasses import replace

import pytest

from hemoscope.errors import BadData
from hemoscope.manifest import Metric
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Window
from training.plans import Plan
from training.results import Result, kept_curves, read_log, read_result
from training.results_page import describe, write_page

PLAN = Plan("A comparison", 2, ("resnet50", "unet", "vgg16"), ("papers_average",))
FINDINGS = {
    "hemorrhage": {"none": 1, "uncertain": 2, "hemorrhage": 7},
    "no hemorrhage": {"none": 20, "uncertain": 3, "hemorrhage": 1},
}
PIXELS = {"blood": {"not marked": 30, "marked": 70}, "none": {"not marked": 900, "marked": 10}}
CURVE = {"x": [0.0, 0.5, 1.0], "y": [0.0, 0.9, 1.0]}


def figure(set_name, name, value, low=None, high=None, n=34, positives=10):
    return Metric(set_name, name, n, positives, value, low, high)


CLASSIFIER = Result(
    name="resnet50",
    network="resnet50",
    preparation="128 px",
    sets=("ct_ich", "rsna"),
    date="2026-11-21",
    slices_seen=20_000,
    minutes=12.4,
    parameters=23_600_000,
    milliseconds=14.2,
    metrics=(
        figure("rsna", "AUC any", 0.8123, 0.75, 0.87),
        figure("rsna", "AUC epidural", 0.7, 0.6, 0.8, positives=3),
        figure("rsna", "accuracy any", 0.9),
    ),
    curves={"rsna": {"roc": CURVE, "precision_recall": CURVE, "findings": FINDINGS}},
    log={"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]},
)
SEGMENTER = Result(
    name="unet",
    network="unet",
    sets=("ct_ich",),
    parameters=1_900_000,
    metrics=(
        figure("ct_ich", "pixel AUC", 0.87),
        figure("ct_ich", "IoU pooled", 0.156, 0.003, 0.29),
        figure("ct_ich", "Dice pooled", 0.27, 0.1, 0.4),
    ),
    curves={"ct_ich": {"pixels": PIXELS}},
)
ENSEMBLE = replace(
    CLASSIFIER,
    name="papers_average",
    network="average",
    members=("resnet50", "vgg16"),
    log=None,
    metrics=(*CLASSIFIER.metrics, figure("rsna", "AUC any minus that of resnet50", 0.011, -0.004, 0.02)),
)


def page_of(results, folder):
    write_page(PLAN, results, folder / "results.md")
    return (folder / "results.md").read_text()


def section(page, title):
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def test_figures_stand_in_the_tables_with_their_intervals(tmp_path):
    page = page_of([CLASSIFIER], tmp_path)
    row = "| `resnet50` | 34 (10) | 0.812 (0.750 to 0.870) | 0.900 | - | - | - | - |"
    assert row in section(page, "Any hemorrhage, RSNA slices")
    assert "epidural (3)" in section(page, "The subtypes, RSNA slices: AUC")
    cost = section(page, "What each was, and what it cost")
    assert "| `resnet50` | `resnet50` | 128 px | ct_ich, rsna | 20,000 | 12 | 23.6 M | 14 | 2026-11-21 |" in cost


def test_a_reports_own_figures_stand_beside_ours(tmp_path):
    told = section(page_of([replace(SEGMENTER)], tmp_path), "What the reports say")
    assert "| `unet` | pixel AUC 0.870, IoU 0.156 | 002: pixel AUC 0.94, IoU 0.32 |" in told


def test_failures_and_what_is_missing_are_named(tmp_path):
    page = page_of([CLASSIFIER, Result("unet", "unet", failure="No masks.")], tmp_path)
    assert section(page, "Failed").strip() == "- `unet`: No masks."
    assert section(page, "Not done yet").split() == ["-", "`vgg16`", "-", "`papers_average`"]
    assert "`unet`" not in section(page, "What each was, and what it cost")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 0.02, "better"), (-0.004, 0.02, "not shown to be better"), (-0.03, -0.01, "worse")],
)
def test_an_ensemble_is_better_only_if_the_whole_interval_is(tmp_path, low, high, verdict):
    minus = figure("rsna", "AUC any minus that of resnet50", 0.011, low, high)
    lines = section(page_of([replace(ENSEMBLE, metrics=(minus,))], tmp_path), "Ensembles against their best member")
    assert f"+0.011 ({low:+.3f} to {high:+.3f}): **{verdict}**." in lines


def test_the_best_ensemble_is_named(tmp_path):
    vote = replace(ENSEMBLE, name="papers_vote", metrics=(figure("rsna", "AUC any", 0.9, 0.85, 0.95),))
    lines = section(page_of([ENSEMBLE, vote], tmp_path), "Ensembles against their best member")
    assert "The best ensemble on RSNA slices is `papers_vote`: AUC 0.900 (0.850 to 0.950)." in lines


def test_a_split_by_slice_is_shown_as_what_it_is(tmp_path):
    assert "**The exception**" not in page_of([CLASSIFIER, SEGMENTER], tmp_path)
    page = page_of([CLASSIFIER, replace(SEGMENTER, split="slice")], tmp_path)
    assert "**The exception** is `unet`, split by slice" in page


def test_curves_are_drawn_beside_the_page(tmp_path):
    page = page_of([CLASSIFIER, SEGMENTER, ENSEMBLE], tmp_path)
    for name in ("roc", "precision_recall", "findings", "pixels", "training"):
        assert (tmp_path / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"(results/{name}.png)" in page


def test_a_page_without_results_says_what_is_to_come(tmp_path):
    assert "`resnet50`" in section(page_of([], tmp_path), "Not done yet")


def test_a_result_comes_back_as_it_went(tmp_path):
    for result in (CLASSIFIER, ENSEMBLE):
        result.write(tmp_path)
        assert read_result(tmp_path / f"{result.name}.json") == result


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "a"}', '{"name": "a", "network": "b", "colour": 1}'])
def test_a_garbled_result_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadData, match=r"a\.json cannot be read"):
        read_result(tmp_path / "a.json")


def test_what_is_kept_of_the_curves(tmp_path):
    entry = {"roc": {"any": CURVE, "epidural": CURVE}, "findings": FINDINGS, "reliability": {}}
    kept = kept_curves({"ct_ich": {"roc": {}, "pixels": {"tp": 70, "fp": 10, "fn": 30, "tn": 900}}})
    assert kept == {"ct_ich": {"pixels": PIXELS}}
    assert kept_curves({"rsna": entry}) == {"rsna": {"roc": CURVE, "findings": FINDINGS}}


def test_a_log_is_read_by_column(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,loss,val_loss\n0,1.5,2\n1,0.5,1\n")
    assert read_log(tmp_path / "log.csv") == {"loss": [1.5, 0.5], "val_loss": [2.0, 1.0]}


def test_a_preparation_in_words():
    plain = Preprocess(size=128, windows=(BRAIN,))
    assert describe(plain) == "128 px, whole, windows 40/80"
    full = Preprocess(
        size=160, windows=(Window(40, 120),), neighbours=1, frame="canvas", canvas_px=512, intracranial=True,
        equalise=True, stretch=(2, 98), clahe_clip=2.0,
    )  # fmt: skip
    assert describe(full) == (
        "160 px, 512 px canvas, windows 40/120, 1 adjacent slices to each side, intracranial mask, equalised, "
        "stretched 2-98 %, CLAHE 2"
    )
