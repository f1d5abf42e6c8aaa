"""Give weights that were exported a rule for whole scans, or a new one, and change nothing else.

    python -m training.scan_rule NAME --fold K --into weights/reader

In: `runs/NAME/fold_K` as `training.evaluate` left it: `rule.json`, `validation.npz`, `test.npz` and the network that
they are of. Out: in the weights folder `scan_rule` and the figures per patient in `manifest.json`, and the same lines
in `README.md`. The rule is fitted on the validation side, the figures are of the test side. Nothing is written into the
run. Weights that are exported anew have their rule from `training.evaluate`.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.manifest import FILE, Manifest, Metric, read_manifest
from training.calibrate import read_rule, validation_patients
from training.cards import rewrite_card
from training.checkpoints import run_folder
from training.figures import PER_PATIENT, RESAMPLES, scan_figures
from training.folds import FOLDS
from training.predictions import Predictions
from training.saved import NETWORK_FILE, fingerprint
from training.scan_calibration import fit_scan_rule
from training.scans import judge_scans

CARD = "README.md"


def give_scan_rule(name: str, fold: int, runs: Path, weights: Path, resamples: int = RESAMPLES) -> Manifest:
    """Fit the rule for whole scans on a fold's validation side, judge it on the test side, write both to the weights.

    Args:
        name, fold: of the training that the weights are of.
        runs: where trainings write.
        weights: the folder of exported weights.
        resamples: of the patients, for each interval.

    Returns:
        the manifest as it is now.

    Raises:
        BadData: if the weights are of another fold or rule than the run, or there are no scans to fit a rule on.
        BadWeights: if the weights or the run's rule cannot be read.
    """
    run, before = run_folder(runs, name, fold), read_manifest(weights)
    rule = read_rule(run)
    if (before.fold, before.rule) != (fold, rule):
        raise BadData(f"{weights} was not exported from {run}: its fold or its rule for slices is another.")
    network = fingerprint(run / NETWORK_FILE)
    validation, test = (Predictions.read(run / f"{side}.npz", network) for side in ("validation", "test"))
    scan_rule = fit_scan_rule(validation, rule, validation_patients(fold))
    if scan_rule is None:
        raise BadData(f"Whole scans with and without hemorrhage are needed; {validation_patients(fold)} have none.")
    scans = judge_scans(test, rule, scan_rule)
    metrics = [metric for metric in before.metrics if PER_PATIENT not in metric.name]
    for source in sorted(set(scans.sources.tolist())):
        metrics = _beside(metrics, tuple(scan_figures(scans, source, resamples)))
    after = replace(before, scan_rule=scan_rule, metrics=tuple(metrics))
    card = rewrite_card((weights / CARD).read_text(encoding="utf-8"), before, after)
    _replace(weights / FILE, json.dumps(after.to_dict(), indent=2) + "\n")
    _replace(weights / CARD, card)
    return after


def _beside(metrics: Sequence[Metric], more: Sequence[Metric]) -> list[Metric]:
    """The metrics with those of a set's scans behind its figures of decisions."""
    if not more:
        return list(metrics)
    last = max(
        (place for place, one in enumerate(metrics) if (one.set, one.name) == (more[0].set, "abstain share")),
        default=len(metrics) - 1,
    )
    return [*metrics[: last + 1], *more, *metrics[last + 1 :]]


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@click.command(help=__doc__)
@click.argument("name")
@click.option(
    "--fold", type=click.IntRange(0, FOLDS - 1), default=0, show_default=True, help="The fold that was held out."
)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option(
    "--into", "weights", type=click.Path(path_type=Path, file_okay=False), required=True, help="The weights folder."
)
def main(name: str, fold: int, runs: Path, weights: Path) -> None:
    try:
        manifest = give_scan_rule(name, fold, runs, weights)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    for metric in manifest.metrics:
        if PER_PATIENT in metric.name:
            interval = "" if metric.low is None else f"  ({metric.low:.3f} to {metric.high:.3f})"
            click.echo(
                f"{metric.set:10} {metric.name:44} {metric.value:.3f}{interval}  n {metric.n}, {metric.positives} pos."
            )
    click.echo(f"Research use, not a medical device. The rule: {weights / FILE}")


if __name__ == "__main__":
    main()
