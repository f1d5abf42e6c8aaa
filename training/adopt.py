"""Let weights that ship stand in for a step of a training, so that its steps need not be trained again.

    python -m training.adopt NAME --weights weights/reader --fold all --data DATA

In: a folder of weights as `training.export` writes it, and the name of a configuration with the same network. Out:
`runs/NAME/fold_K/` as if NAME were trained, with `adopted.json`: which weights those are. What starts from NAME, or has
it as its teacher, goes on from there; `training.export` says so on the card. Weights have seen the patients that they
were trained on, so they stand in on their own fold and on all patients, and nowhere else.
"""

import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

import click

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.manifest import NetworkManifest, read_manifest
from training.checkpoints import State, run_folder, save_network
from training.configs import CONFIGS, TrainConfig
from training.folds import FILES, Fold, Folds, fold_option, fold_word
from training.saved import START_FILE, read_start
from training.train import build, load_split, steps_to

ADOPTED_FILE = "adopted.json"


def adopt(name: str, config: TrainConfig, weights: Path, fold: Fold, data: Path, runs: Path) -> Path:
    """Make the run's folder from weights that ship, and return it.

    Args:
        name, config: of the step.
        weights: their folder.
        fold: for which fold they stand in.
        data: the data folder: the folds file of these runs is made from it where it is missing.
        runs: where trainings write.

    Raises:
        BadData: if there is such a training already, the weights have no `start.npz` or are of another network, their
            folds are others than those of these runs, or they have seen patients whom the fold holds out.
        BadWeights: if their manifest cannot be read.
    """
    run = run_folder(runs, name, fold)
    if run.exists():
        raise BadData(f"{run} is there already: move it away to have weights stand in for it.")
    manifest = read_manifest(weights)
    if not isinstance(manifest, NetworkManifest):
        raise BadData(f"{weights} is an ensemble: name one of its members.")
    load_split(config, fold, data, runs)
    folds = Folds.read(runs / FILES[config.split], config.split)
    if manifest.split_sha256 != folds.sha256:
        raise BadData(f"{weights} was trained on other folds than those of {runs}: who was held out then is not known.")
    if fold is not None and manifest.fold != fold:
        raise BadData(
            f"{weights} was trained on fold {fold_word(manifest.fold)}: fold {fold} holds out patients whom it saw."
        )
    network = build(config)
    read_start(weights / START_FILE, network)
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(asdict(config), indent=2), encoding="utf-8")
    (run / "preprocess.json").write_text(json.dumps(config.preprocess.to_dict(), indent=2), encoding="utf-8")
    folds.sign(run)
    what = {"weights": manifest.name, "version": manifest.version, "fold": fold_word(manifest.fold)}
    (run / ADOPTED_FILE).write_text(json.dumps(what | {"sha256": manifest.sha256}, indent=2), encoding="utf-8")
    save_network(network, run)
    (run / "state.json").write_text(json.dumps(asdict(State(epoch=config.epochs))), encoding="utf-8")
    return run


def adopted(run: Path) -> str | None:
    """Which weights stand in for a training, in words; None where it was trained."""
    path = run / ADOPTED_FILE
    if not path.is_file():
        return None
    what = json.loads(path.read_text(encoding="utf-8"))
    return f"the weights `{what['weights']}` {what['version']}, trained on fold {what['fold']}"


def adopted_steps(name: str, fold: Fold, runs: Path) -> set[str]:
    """The steps of a training that weights stand in for."""
    return {step for step in steps_to(name) if adopted(run_folder(runs, step, fold))}


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(list(CONFIGS)))
@click.option("--weights", type=click.Path(path_type=Path), required=True, help="Folder of weights.")
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@fold_option
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
def main(name: str, weights: Path, data: Path, fold: Fold, runs: Path) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run = adopt(name, CONFIGS[name], weights, fold, data, runs)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{run} holds {adopted(run)}.")


if __name__ == "__main__":
    main()
