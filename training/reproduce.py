"""Go the whole way from data to the weights that ship.

    python -m training.reproduce NAME --data DIR

In: a configuration's name and the data. On each fold the steps that the configuration starts from and the
configuration itself are trained, and its network is judged on the fold's patients; the folds are pooled; then the same
is trained on all patients, and that network is exported with the rule and the figures of the pool. Out: `runs/`, as
`training.train` and `training.evaluate` leave it, and `weights/NAME/`.

It may be stopped at any time and started again: what is done is skipped, what was stopped goes on. Weights that lie
there stay as they are until the new ones passed the checks of `training.export`. At the end it says what the trainings
took.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from hemoscope.errors import BadData, HemoscopeError
from training.checkpoints import run_folder, trained_seconds
from training.configs import CONFIGS
from training.export import export
from training.folds import FOLDS, Fold, fold_word
from training.stages import evaluate_rest, pool_rest, train_rest
from training.train import check_without_validation, steps_to


@dataclass(frozen=True)
class Stage:
    """One stage of the way.

    Attributes:
        title: what it is.
        work: does what is left of it and says whether anything was.
    """

    title: str
    work: Callable[[], bool]


def reproduce(
    name: str, data: Path, runs: Path, weights: Path, release: str, folds: Sequence[int] = range(FOLDS)
) -> Path:
    """Go through all stages and return the weights folder.

    Args:
        name: of a configuration.
        data, runs, weights: folders.
        release: version of the weights.
        folds: at least two; the figures and the rule are of their patients.

    Raises:
        BadData: if there is no data folder, fewer than two folds are named, the folds are by slice, a step cannot be
            trained on all patients, or a stage fails.
    """
    if not data.is_dir():
        raise BadData(f"There is no data folder {data}. Name one with --data or HEMOSCOPE_DATA.")
    if len(folds) < 2:
        raise BadData("Name two folds at least: one alone is a figure of a fifth of the patients.")
    # Before days of training, not after:
    if CONFIGS[name].split == "slice":
        raise BadData(f"{name} is split by slice: it has no figures of patients that it never saw, and does not ship.")
    for step in steps_to(name):
        check_without_validation(CONFIGS[step], step)
    stages = stages_of(name, data, runs, weights, release, folds)
    for number, stage in enumerate(stages, start=1):
        click.echo(f"[{number} of {len(stages)}] {stage.title}")
        began = time.monotonic()
        left = stage.work()
        click.echo(f"  {(time.monotonic() - began) / 60:.1f} minutes" if left else "  done before")
    click.echo(cost(name, runs, folds))
    return weights / name


def stages_of(name: str, data: Path, runs: Path, weights: Path, release: str, folds: Sequence[int]) -> list[Stage]:
    """All stages in their order."""
    stages = []
    for fold in folds:
        stages += _trainings(name, fold, data, runs)
        stages.append(Stage(f"{name} judged on fold {fold}", partial(evaluate_rest, name, fold, data, runs)))
    stages.append(Stage(f"{name}, folds pooled", partial(pool_rest, name, folds, data, runs)))
    stages += _trainings(name, None, data, runs)

    def ship() -> bool:
        export(name, None, data, runs, weights, release)
        return True

    return [*stages, Stage(f"{name} exported", ship)]


def cost(name: str, runs: Path, folds: Sequence[int]) -> str:
    """What the trainings took, in words."""
    each: list[Fold] = [*folds, None]
    minutes = [sum(trained_seconds(run_folder(runs, step, fold)) for step in steps_to(name)) / 60 for fold in each]
    said = ", ".join(f"fold {fold_word(fold)} {took:.1f}" for fold, took in zip(each, minutes, strict=True))
    return f"The trainings took {sum(minutes) / 60:.1f} hours in all; in minutes: {said}."


def _trainings(name: str, fold: Fold, data: Path, runs: Path) -> list[Stage]:
    return [
        Stage(f"{step}, fold {fold_word(fold)}", partial(train_rest, step, fold, data, runs)) for step in steps_to(name)
    ]


def _folds(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    words = text.split(",")
    allowed = list(map(str, range(FOLDS)))
    if not set(words) <= set(allowed) or len(set(words)) < len(words):
        raise click.BadParameter(f"{text!r} is not a list of different folds of {', '.join(allowed)}.")
    return sorted(map(int, words))


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(list(CONFIGS)))
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option("--weights", type=click.Path(path_type=Path), default=Path("weights"), show_default=True, help="Output.")
@click.option("--release", default="0.1.0", show_default=True, help="Version of the weights.")
@click.option(
    "--folds", default=",".join(map(str, range(FOLDS))), show_default=True, callback=_folds,
    help="The folds of the figures and the rule, two at least.",
)  # fmt: skip
def main(name: str, data: Path, runs: Path, weights: Path, release: str, folds: list[int]) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        folder = reproduce(name, data, runs, weights, release, folds)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The weights: {folder}")


if __name__ == "__main__":
    main()
