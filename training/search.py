"""Search for better settings of a configuration.

    python -m training.search NAME --data DIR --fold K --trials N [--resume]

In: a configuration's name, the data folder, the fold. Each trial trains the configuration with other settings (see
`training.search_space`) for a few epochs on few slices, and is judged on the fold's validation side; the test side is
never read. Out: `runs/NAME/search.journal`, the study as Optuna stores it, and `runs/NAME/search.csv`, a row a trial;
the best settings are printed as they would stand in `training/configs.py`.

The score is the AUC of `any` over the validation slices, or for a network that gives a mask alone the Dice over all
their known pixels. It is not the loss: `any_weight` and the batch change what a loss means, and losses of different
trials cannot be compared.
"""

import csv
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.labels import ANY, CLASSES
from hemoscope.metrics import Counts, auc, known
from training.batches import Batches, Draw
from training.cache import prepare
from training.checkpoints import run_folder
from training.configs import CONFIGS, TrainConfig
from training.datasets.sample import BLOOD, NO_BLOOD
from training.folds import FOLDS
from training.saved import NETWORK_FILE, load_network
from training.search_space import FEWEST_SLICES, Between, OneOf, Space, Value, change, changed, own_values, space_of
from training.train import Diverged, build, load_split, loss_outputs, train, usable

JOURNAL, TABLE, TRIALS = "search.journal", "search.csv", "search"
STUDY, SETTINGS, OWN = "search", "settings", "own"
UNPRUNED = 4  # trials that run to their end before the median can end one
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
WORST = 0.0  # of an AUC and of a Dice


@dataclass(frozen=True)
class Search:
    """What all trials of one search have in common.

    Attributes:
        config: the configuration that is searched from.
        name: its name.
        fold: whose validation side judges.
        epochs, slices: of each trial; `slices` an epoch.
    """

    config: TrainConfig
    name: str
    fold: int
    epochs: int
    slices: int

    def trial(self, values: Mapping[str, Value]) -> TrainConfig:
        """The configuration that a trial trains: short, and with its last weights kept after every epoch."""
        short = replace(
            self.config,
            epochs=self.epochs,
            slices_per_epoch=self.slices,
            warmup=self.config.warmup * self.epochs / self.config.epochs,
            keep="last",
            mean_of_last=0,
            patience=None,
            mirror=False,
        )
        return changed(short, values)


def search(what: Search, trials: int, data: Path, runs: Path, resume: bool = False, workers: int = 1) -> optuna.Study:
    """Try settings until that many trials are done, and return the study. The first trial has the settings as they are.

    Args:
        what: the search.
        trials: how many are done at the end, those of an earlier call among them.
        data, runs: folders.
        resume: go on with the search that is there; a trial that was cut is tried again.
        workers: threads that prepare batches.

    Raises:
        BadData: if the data are missing or cannot judge, or there is a search already, none, or another one.
    """
    if what.slices < FEWEST_SLICES or what.epochs < 1:
        raise BadData(f"A trial needs at least one epoch and {FEWEST_SLICES} slices.")
    sides = load_split(what.config, what.fold, data, runs)
    prepared = prepare(usable(sides.validation, what.config), what.config.preprocess, runs / "cache")
    outputs = loss_outputs(build(what.config))
    judge = Batches(prepared, [Draw(n) for n in range(len(prepared.samples))], what.config.preprocess, outputs, 16)
    _check_judge(judge, what.fold)
    space = space_of(what.config, outputs, what.slices)
    study = _open(what, runs, resume)
    _put_back(study)
    shutil.rmtree(runs / what.name / TRIALS, ignore_errors=True)
    if not any(OWN in trial.user_attrs and trial.state != TrialState.FAIL for trial in study.trials):
        study.enqueue_trial(own_values(what.config, space), {OWN: True})
    while (done := len(study.get_trials(states=DONE))) < trials:
        click.echo(f"Trial {done + 1} of {trials}")
        try:
            study.optimize(lambda trial: _objective(trial, what, space, judge, data, runs, workers), n_trials=1)
        except KeyboardInterrupt:
            _again(study, study.trials[-1])
            raise
        _write_table(study, runs / what.name / TABLE)
        _say(study)
    return study


def score(network: keras.Model, judge: Batches) -> float:
    """How well a network does on the validation side, see the module; 0 for one that gives no numbers any more."""
    answers = [network.predict_on_batch(judge[number][0]) for number in range(len(judge))]
    outputs = {name: np.concatenate([np.asarray(answer[name]) for answer in answers]) for name in answers[0]}
    if not all(np.isfinite(values).all() for values in outputs.values()):
        return WORST
    if "logits" in outputs:
        return auc(*known(judge.labels[:, CLASSES.index(ANY)], outputs["logits"][:, CLASSES.index(ANY)]))
    if "kinds" in outputs:  # the odds of not being the first kind, no hemorrhage
        kinds = outputs["kinds"].astype(np.float64)
        return auc(*known(judge.labels[:, CLASSES.index(ANY)], np.logaddexp.reduce(kinds[:, 1:], axis=1) - kinds[:, 0]))
    found, targets = outputs["mask"][..., 0] >= 0.5, judge.prepared.targets
    blood, none = targets == BLOOD, targets == NO_BLOOD
    hits, misses, false = (int(np.sum(pixels)) for pixels in (found & blood, ~found & blood, found & none))
    return Counts(hits, false, misses, 0).dice


def _check_judge(judge: Batches, fold: int) -> None:
    labels, _ = known(judge.labels[:, CLASSES.index(ANY)], judge.labels[:, CLASSES.index(ANY)])
    if "logits" in judge.outputs or "kinds" in judge.outputs:
        if len(set(labels.tolist())) < 2:
            raise BadData(f"The validation side of fold {fold} needs slices with and without blood to judge by.")
    elif not (judge.prepared.targets == BLOOD).any():
        raise BadData(f"No validation slice of fold {fold} has a mask to judge by. Choose another fold.")


def _open(what: Search, runs: Path, resume: bool) -> optuna.Study:
    path = runs / what.name / JOURNAL
    if resume and not path.is_file():
        raise BadData(f"{path.parent} holds no search to resume.")
    if not resume and path.is_file():
        raise BadData(f"{path.parent} holds a search already: go on with --resume, or move {JOURNAL} away.")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A lock by opening works where symbolic links need rights, and on network disks.
    storage = JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
    study = optuna.create_study(
        storage=storage,
        study_name=STUDY,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
    )
    # Seeded anew by what is there: a search that goes on must not draw its first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=what.config.seed + len(study.trials), n_startup_trials=UNPRUNED)
    now = json.loads(json.dumps(asdict(what)))
    before = study.user_attrs.get(SETTINGS, now)
    other = sorted(key for key in before | now if before.get(key) != now.get(key))
    if other:
        raise BadData(f"{path} was begun with other settings ({', '.join(other)}). Take them back to go on with it.")
    study.set_user_attr(SETTINGS, now)
    return study


def _put_back(study: optuna.Study) -> None:
    """Queue the trials again that a kill has cut."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        _again(study, trial)


def _again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    study.enqueue_trial(trial.params, trial.user_attrs)


def _objective(
    trial: optuna.Trial, what: Search, space: Space, judge: Batches, data: Path, runs: Path, workers: int
) -> float:
    values = {name: _suggest(trial, name, space[name]) for name in space}
    click.echo("  " + ", ".join(_written(change(what.config, values))))
    place = f"{what.name}/{TRIALS}/trial_{trial.number}"
    run, scores = run_folder(runs, place, what.fold), []

    def on_epoch(done: int, row: Mapping[str, float]) -> None:
        scores.append(score(load_network(run / NETWORK_FILE), judge))
        click.echo(f"  epoch {done} of {what.epochs}: score {scores[-1]:.4f}, validation loss {row['val_loss']:.4g}")
        trial.report(scores[-1], done)
        if done < what.epochs and trial.should_prune():
            raise optuna.TrialPruned

    try:
        train(what.trial(values), place, what.fold, data, runs, resume=False, workers=workers, on_epoch=on_epoch)
    except Diverged as error:
        click.echo(f"  {error}")
        return WORST
    finally:
        shutil.rmtree(runs / place, ignore_errors=True)  # the journal has what counts
        keras.utils.clear_session()
    return scores[-1]


def _suggest(trial: optuna.Trial, name: str, choice: Between | OneOf) -> Value:
    if isinstance(choice, OneOf):
        return trial.suggest_categorical(name, choice.choices)
    return trial.suggest_float(name, choice.lowest, choice.highest, log=choice.log)


def _written(settings: Mapping[str, Any]) -> list[str]:
    """As a configuration has them."""
    return [f"{name}={json.dumps(value) if isinstance(value, str) else value}" for name, value in settings.items()]


def _write_table(study: optuna.Study, path: Path) -> None:
    """A row a trial that is done, the best first."""
    trials = sorted(study.get_trials(states=DONE), key=lambda trial: -trial.value)
    names = list(trials[0].params)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("trial", "state", "epochs", "score", *names))
        for trial in trials:
            values = (trial.params[name] for name in names)
            written = (f"{value:.3g}" if isinstance(value, float) else value for value in values)
            state = "finished" if trial.state == TrialState.COMPLETE else "pruned"
            table.writerow((trial.number, state, len(trial.intermediate_values), f"{trial.value:.6g}", *written))


def _say(study: optuna.Study) -> None:
    last = study.get_trials(states=DONE)[-1]
    best = [trial.value for trial in study.get_trials(states=(TrialState.COMPLETE,))]
    pruned = ", pruned" if last.state == TrialState.PRUNED else ""
    click.echo(f"  score {last.value:.4f}{pruned}; the best so far: {max(best):.4f}")


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(list(CONFIGS)))
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@click.option("--fold", type=click.IntRange(0, FOLDS - 1), default=0, show_default=True, help="Whose validation side.")
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True, help="How many are done at the end.")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True, help="Of a trial.")
@click.option("--slices", type=click.IntRange(FEWEST_SLICES), default=1200, show_default=True, help="Of an epoch.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Output folder.")
@click.option("--resume", is_flag=True, help="Go on with the search that is there.")
@click.option("--workers", default=1, show_default=True, help="Threads that prepare batches.")
def main(
    name: str, data: Path, fold: int, trials: int, epochs: int, slices: int, runs: Path, resume: bool, workers: int
) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = CONFIGS[name]
    try:
        study = search(Search(config, name, fold, epochs, slices), trials, data, runs, resume, workers)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    done, best = study.get_trials(states=DONE), study.best_trial
    own = next(trial for trial in done if OWN in trial.user_attrs)
    click.echo(f"\nThe best of {len(done)} trials is trial {best.number} with a score of {best.value:.4f}; the")
    click.echo(f"configuration as it is has {own.value:.4f}. As settings of {name}:\n")
    for line in _written(change(config, best.params)):
        click.echo(f"    {line},")
    click.echo(f"\nAll trials: {runs / name / TABLE}")


if __name__ == "__main__":
    main()
