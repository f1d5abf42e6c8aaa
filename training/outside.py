"""Judge a training on a data set that it never learnt from: another hospital, other scanners.

    python -m training.outside NAME --set SET --data DIR --fold K

In: `runs/NAME/fold_K/` with the rules that `training.evaluate` fitted on the training's own sets, and all slices of a
set that it has not among these; with `--fold all` the network of all patients with the rules of its folds' pool, or if
no fold was judged with plain sigmoids, cut at 0.5: of these only the figures of ranks mean something. Out: in the run's
folder `outside_SET/` with `metrics.json`, `report.html`, `test.csv` and `test.npz`. Nothing is fitted here: what the
figures say of thresholds and calibration is what a new hospital would meet.
"""

import logging
from pathlib import Path

import click

from hemoscope.context_rule import ContextRule
from hemoscope.errors import BadData, HemoscopeError
from hemoscope.postprocessing import Rule
from training.calibrate import read_rule
from training.checkpoints import run_folder
from training.context_calibration import SHARE
from training.datasets import LOADERS, load_samples
from training.evaluate import echo_figures, judged_folder, read_evaluation, write_evaluation
from training.fitted_rules import read_context_rule, read_scan_rule
from training.folds import Fold, fold_option, fold_word
from training.predictions import judge, predict, write_table
from training.saved import NETWORK_FILE, fingerprint, load_network, read_config, read_preprocess

CHOSEN = "Chosen on the training's own sets; nothing was fitted on this one."
NOT_CHOSEN = "Nothing was fitted, for no fold of the training was judged: plain sigmoids, cut at 0.5."
PLAIN_IN_CONTEXT = ContextRule(SHARE, 1.0, 0.0, 0.5, 0.5, "nothing was fitted")


def judge_outside(name: str, set_name: str, fold: Fold, data: Path, runs: Path) -> Path:
    """Judge a training's network and rules on all slices of a set, and return the folder of the result.

    Args:
        name, fold: of the training.
        set_name: of `datasets.LOADERS`.
        data, runs: folders.

    Raises:
        BadData, BadWeights: if the training learnt from that set, it or its rules are missing, or the data are.
    """
    run = run_folder(runs, name, fold)
    if not (run / NETWORK_FILE).is_file():
        command = f"python -m training.train {name} --fold {fold_word(fold)}"
        raise BadData(f"There is no trained network in {run}: run `{command}` first.")
    learnt_from = read_config(run)["sets"]
    if set_name in learnt_from:
        raise BadData(
            f"{name} learnt from {set_name}: its patients are not outside. `training.evaluate` judges it on those that "
            "it never saw."
        )
    samples = load_samples(data, [set_name])
    network, preprocess = load_network(run / NETWORK_FILE), read_preprocess(run)
    predictions = predict(network, preprocess, samples, f"Reading {len(samples)} slices of {set_name}")
    folder = run / f"outside_{set_name}"
    folder.mkdir(exist_ok=True)
    predictions.save(folder / "test.npz", fingerprint(run / NETWORK_FILE))
    rules = judged_folder(runs, name, fold)
    if fold is None and not rules.is_dir():
        judged, chosen = judge(predictions, plain_rule(predictions.classes), None, PLAIN_IN_CONTEXT), NOT_CHOSEN
    else:
        judged = judge(predictions, read_rule(rules), read_scan_rule(rules), read_context_rule(rules))
        chosen = CHOSEN
    write_table(judged, folder / "test.csv")
    folds = () if fold is None else (fold,)
    return write_evaluation(f"{name} on {set_name}", folds, judged, [chosen], folder)


def plain_rule(classes: tuple[str, ...]) -> Rule:
    """The plain sigmoid, cut at 0.5."""
    return Rule(classes, 1.0, (0.0,) * len(classes), 0.5, 0.5, 0.5)


@click.command(help=__doc__)
@click.argument("name")
@click.option("--set", "set_name", type=click.Choice(list(LOADERS)), required=True, help="The set to judge it on.")
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@fold_option
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Output folder.")
def main(name: str, set_name: str, data: Path, fold: Fold, runs: Path) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        folder = judge_outside(name, set_name, fold, data, runs)
        found = read_evaluation(folder)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    echo_figures(found, folder)


if __name__ == "__main__":
    main()
