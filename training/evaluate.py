"""Evaluate a training out of fold: patients that it never saw, on the path that serving takes.

    python -m training.evaluate NAME --data DIR --fold K [--fold K2 ...]

In: `runs/NAME/fold_K/` as `training.train` leaves it, the folds file of these runs and the data. The validation side
gives calibration and thresholds, the test side the figures. Out, in the same folder: `rule.json` for slices,
`scan_rule.json` for whole scans, `context_rule.json` for their slices, `metrics.json`, `report.html` with
`report/*.png`, and for each side `validation.csv`, `test.csv` and `.npz`. Several folds, or with `--fold all` those
that were trained, be it one, are pooled in `runs/NAME/pooled/`, each slice and each scan judged by the rules of its own
fold; the rules there judge nobody: they are fitted on all these slices, for a network of all patients.

Pixel figures leave out slices whose blood lies unknown or only inside boxes.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.manifest import Metric
from training.calibrate import fit_rule, out_of_fold_patients, read_rule, validation_patients, write_rule
from training.checkpoints import run_folder
from training.context_calibration import fit_context_rule
from training.datasets import load_samples
from training.datasets.sample import Sample
from training.figures import curves, figures
from training.fitted_rules import read_context_rule, read_scan_rule, write_context_rule, write_scan_rule
from training.folds import ALL, FILES, FOLDS, Fold, Folds, Split
from training.predictions import Judged, Predictions, join, judge, predict, write_table
from training.report import write_report
from training.saved import NETWORK_FILE, fingerprint, load_network, read_config, read_preprocess
from training.scan_calibration import fit_scan_rule

METRICS_FILE, POOLED = "metrics.json", "pooled"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        name, folds: of the training.
        thresholds_chosen: a sentence, or one a fold.
        metrics: over the test sides.
        curves: see `figures.curves`.
        skipped: slices that could not be read.
    """

    name: str
    folds: tuple[int, ...]
    thresholds_chosen: str
    metrics: tuple[Metric, ...]
    curves: dict[str, Any]
    skipped: int


def evaluate(name: str, folds: Sequence[Fold], data: Path, runs: Path, reuse: bool = False, pool: bool = False) -> Path:
    """Evaluate the folds one by one, pool them where they are several, and return the folder of the result.

    Args:
        name: of the training.
        folds: at least one.
        data: the data folder.
        runs: where trainings write.
        reuse: take the predictions that an evaluation of the same network left, instead of reading the slices again.
        pool: make a pool of one fold too. Its rules are fitted on the validation patients as well: its network has
            seen neither, and nobody is judged by these rules.

    Raises:
        BadData, BadWeights: if a training, its files or the data are missing, or do not go together; or if a network
            of all patients is to be judged.
    """
    if None in folds:
        raise BadData(
            f"{run_folder(runs, name, None)} was trained on all patients: nobody is left to judge it on. Judge the "
            f"folds: `python -m training.train {name} --fold 0` and so on, then `training.evaluate {name} --fold all`."
        )
    judged, sentences, unseen = [], [], []
    for fold in folds:
        one, sentence, validation = _evaluate_fold(name, fold, data, runs, reuse)
        judged.append(one)
        sentences.append(sentence)
        unseen += [one] if len(folds) > 1 else [validation, one]  # several folds' test sides are all patients already
    if len(folds) == 1 and not pool:
        return run_folder(runs, name, folds[0])
    folder, whose = judged_folder(runs, name, None), out_of_fold_patients(folds)
    fitted_on = join(unseen).predictions
    rule, sentence = fit_rule(fitted_on, whose)
    write_evaluation(name, tuple(folds), join(judged), sentences, folder)
    write_rule(rule, sentence, folder)
    write_scan_rule(fit_scan_rule(fitted_on, rule, whose), folder)
    write_context_rule(fit_context_rule(fitted_on, rule, whose), folder)
    return folder


def judged_folder(runs: Path, name: str, fold: Fold) -> Path:
    """Where a network's figures and rule lie: in its run's folder, of a network of all patients in the folds' pool."""
    return runs / name / POOLED if fold is None else run_folder(runs, name, fold)


def trained_folds(name: str, runs: Path) -> list[Fold]:
    """The folds of a training that have a network; if there is only that of all patients, None stands for it."""
    folds: list[Fold] = [fold for fold in range(FOLDS) if (run_folder(runs, name, fold) / NETWORK_FILE).is_file()]
    on_all = (run_folder(runs, name, None) / NETWORK_FILE).is_file()
    return [None] if on_all and not folds else folds


def read_evaluation(folder: Path) -> Evaluation:
    """What an evaluation wrote into a run's folder.

    Raises:
        BadData: if there is none, or it is garbled.
    """
    try:
        stored = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        return Evaluation(
            **stored
            | {
                "folds": tuple(stored["folds"]),
                "metrics": tuple(Metric(**metric) for metric in stored["metrics"]),
            }
        )
    except FileNotFoundError:
        raise BadData(f"{folder} was not evaluated: run `python -m training.evaluate` first.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{folder / METRICS_FILE} cannot be read: {error}.") from None


def _evaluate_fold(name: str, fold: int, data: Path, runs: Path, reuse: bool) -> tuple[Judged, str, Judged]:
    """The judged test side, the sentences on what was chosen, and the validation side, judged by what fits it."""
    run = run_folder(runs, name, fold)
    if not (run / NETWORK_FILE).is_file():
        raise BadData(
            f"There is no trained network in {run}: run `python -m training.train {name} --fold {fold}` first."
        )
    split = read_split(run, fold, data, runs)
    validation, test = _predictions(run, split, reuse)
    judged, sentence = judge_fold(name, fold, validation, test, run)
    return judged, sentence, judge(validation, read_rule(run))


def judge_fold(
    name: str, fold: int, validation: Predictions, test: Predictions, run: Path, weighing: str = ""
) -> tuple[Judged, str]:
    """Fit the rules on the validation side, judge the test side by them, and write all that into the run's folder.

    Args:
        name, fold: of a training or an ensemble.
        validation, test: what it says of the two sides.
        run: where to; its `log.csv`, if there is one, is drawn too.
        weighing: of an ensemble, how its members' weights were chosen, a sentence.

    Returns:
        the judged test side, and the sentences on what was chosen.

    Raises:
        BadData: if the validation side has no slices with or no slices without hemorrhage.
    """
    fitted, fitting = fit_rule(validation, validation_patients(fold))
    sentence = f"{weighing} {fitting}".strip()
    write_rule(fitted, sentence, run)
    rule = read_rule(run)  # judged by what was stored, as serving is
    write_scan_rule(fit_scan_rule(validation, rule, validation_patients(fold)), run)
    write_context_rule(fit_context_rule(validation, rule, validation_patients(fold)), run)
    write_table(judge(validation, rule), run / "validation.csv")
    judged = judge(test, rule, read_scan_rule(run), read_context_rule(run))
    write_table(judged, run / "test.csv")
    write_evaluation(name, (fold,), judged, [sentence], run, log=run / "log.csv")
    return judged, sentence


def read_split(run: Path, fold: Fold, data: Path, runs: Path) -> Split:
    """The sides that a training was on.

    Raises:
        BadData: if its folds file or its data are missing, or other folds lie there now.
    """
    # Never made here: folds that were dealt anew could put patients that were trained on to the test side.
    config = read_config(run)
    unit = config.get("split", "patient")
    folds = Folds.read(runs / FILES[unit], unit)
    folds.check(run)
    return folds.split(load_samples(data, config["sets"]), fold)


def _predictions(run: Path, split: Split, reuse: bool) -> list[Predictions]:
    of = fingerprint(run / NETWORK_FILE)
    sides: dict[str, list[Sample]] = {"validation": split.validation, "test": split.test}
    if reuse:
        return [Predictions.read(run / f"{side}.npz", of) for side in sides]
    network, preprocess = load_network(run / NETWORK_FILE), read_preprocess(run)
    found = []
    for side, samples in sides.items():
        if not samples:
            raise BadData(f"The {side} side of {run} has no slices.")
        predictions = predict(network, preprocess, samples, f"Reading {len(samples)} {side} slices")
        predictions.save(run / f"{side}.npz", of)
        found.append(predictions)
    return found


def write_evaluation(
    name: str, folds: tuple[int, ...], judged: Judged, sentences: Sequence[str], folder: Path, log: Path | None = None
) -> Path:
    """Write `metrics.json` and the page into a folder, and return it.

    Args:
        name, folds: of what was judged.
        judged: its test slices.
        sentences: on what was chosen, and on whom.
        folder: made where it is missing.
        log: of the training, to be drawn too.
    """
    evaluation = Evaluation(
        name, folds, " ".join(sentences), figures(judged), curves(judged), judged.predictions.skipped
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(evaluation), indent=1, allow_nan=False)
    (folder / METRICS_FILE).write_text(text, encoding="utf-8")
    title = f"{name}, fold {', '.join(map(str, folds))}" if folds else f"{name}, trained on all patients"
    write_report(title, evaluation.metrics, evaluation.curves, evaluation.thresholds_chosen, log, folder)
    return folder


def echo_figures(found: Evaluation, folder: Path) -> None:
    """Print an evaluation's figures and where its page lies."""
    for metric in found.metrics:
        interval = "" if metric.low is None else f"  ({metric.low:.3f} to {metric.high:.3f})"
        click.echo(
            f"{metric.set:10} {metric.name:38} {metric.value:.3f}{interval}  n {metric.n}, {metric.positives} pos."
        )
    click.echo(f"Research use, not a medical device. The page: {folder / 'report.html'}")


def _folds(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    allowed = [*map(str, range(FOLDS)), ALL]
    for value in values:
        if value not in allowed:
            raise click.BadParameter(f"{value!r} is not one of {', '.join(allowed)}.")
    return values


@click.command(help=__doc__)
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@click.option(
    "--fold", "chosen", multiple=True, default=("0",), show_default=True, callback=_folds,
    help="The fold held out; may be repeated; `all` pools every fold that was trained.",
)  # fmt: skip
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Output folder.")
@click.option("--reuse", is_flag=True, help="Take the predictions that are there; read no slice again.")
def main(name: str, data: Path, chosen: tuple[str, ...], runs: Path, reuse: bool) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folds = trained_folds(name, runs) if ALL in chosen else sorted({int(fold) for fold in chosen})
    try:
        if not folds:
            raise BadData(f"{runs / name} holds no trained network: run `python -m training.train {name}` first.")
        folder = evaluate(name, folds, data, runs, reuse, pool=ALL in chosen)
        found = read_evaluation(folder)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    echo_figures(found, folder)


if __name__ == "__main__":
    main()
