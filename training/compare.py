"""Train, evaluate and export a plan of configurations one after another, and write the page that compares them.

    python -m training.compare PLAN --data DIR

In: a plan's name (see `training.plans`). What is done is skipped, what was stopped is resumed, and after each one its
result is written to `docs/results/` and the page `docs/results.md` anew; a failure is noted there and the rest goes on.
Out of the way of the weights that ship, everything is exported to `runs/weights/`; ensembles are made of those.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import shorten

import click
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.graph import open_graph
from hemoscope.manifest import FILE, EnsembleManifest, Metric, NetworkManifest, read_graph, read_manifest
from hemoscope.metrics import auc, bootstrap_interval
from training.alignment import PICTURE, draw_alignment
from training.checkpoints import read_state, run_folder
from training.configs import CONFIGS, TrainConfig
from training.datasets.sample import read_table
from training.ensemble import make_ensemble
from training.ensembles import ENSEMBLES
from training.evaluate import METRICS_FILE, read_evaluation
from training.export import export
from training.plans import PLANS, Plan
from training.results import Result, kept_curves, read_log, read_result
from training.results_page import ALIGNMENT_SUFFIX, describe, write_page
from training.saved import older
from training.stages import evaluate_rest, train_rest
from training.train import steps_to

log = logging.getLogger(__name__)

RELEASE = "0.0.0"  # of weights that are exported for the comparison and do not ship
ALIGNING = ("stn_vgg16", "stn_inception_v3")  # networks with a spatial transformer
WARM_UPS, TIMED_RUNS = 3, 20
LONGEST_REASON = 300  # characters of a failure on the page; the log has all of it


def compare(plan: Plan, data: Path, runs: Path, page: Path, only: tuple[str, ...] = ()) -> Path:
    """Work through a plan and return the page.

    Args:
        plan: what is compared.
        data: the data folder.
        runs: where trainings write.
        page: the page to write; results lie in the folder of its name beside it.
        only: work on these configurations alone; the page shows the others as they are.

    Raises:
        BadData: if there is no data folder.
    """
    if not data.is_dir():
        raise BadData(f"There is no data folder {data}. Name one with --data or HEMOSCOPE_DATA.")
    results = page.with_suffix("")
    names = [name for name in (*plan.configurations, *plan.ensembles) if not only or name in only]
    for number, name in enumerate(names, start=1):
        click.echo(f"[{number} of {len(names)}] {name}")
        work = _ensemble if name in plan.ensembles else _configuration
        _noted(name, results, lambda work=work, name=name: work(name, plan.fold, data, runs))
        _show_alignment(name, plan.fold, runs, results)
        write_page(plan, _read(plan, results), page)
    write_page(plan, _read(plan, results), page)
    return page


def milliseconds_a_slice(folder: Path, manifest: NetworkManifest) -> float:
    """The median processor time of the exported graph for one slice, on one thread, warm."""
    network = open_graph(read_graph(folder, manifest), manifest.name)
    side, channels = manifest.preprocess.size, manifest.preprocess.channels
    slice_ = np.random.default_rng(0).random((1, side, side, channels), np.float32)
    seconds = []
    for _ in range(WARM_UPS + TIMED_RUNS):
        # It runs on this thread: its own time leaves out what else the machine does.
        began = time.thread_time()
        network(slice_)
        seconds.append(time.thread_time() - began)
    return 1000 * float(np.median(seconds[WARM_UPS:]))


def _configuration(name: str, fold: int, data: Path, runs: Path) -> Result:
    for step in steps_to(name):
        train_rest(step, fold, data, runs)
    evaluate_rest(name, fold, data, runs)
    run, weights = run_folder(runs, name, fold), runs / "weights"
    if older(weights / name / FILE, run / METRICS_FILE):
        export(name, fold, data, runs, weights, RELEASE)
    if CONFIGS[name].network in ALIGNING:
        draw_alignment(name, fold, runs)
    return _result(name, fold, runs, weights)


def _ensemble(name: str, fold: int, data: Path, runs: Path) -> Result:
    run, weights = run_folder(runs, name, fold), runs / "weights"
    members = ENSEMBLES[name].members
    if any(older(weights / name / FILE, weights / member / FILE) for member in members):
        make_ensemble(name, fold, data, runs, weights, RELEASE)
    evaluation, manifest = read_evaluation(run), read_manifest(weights / name)
    assert isinstance(manifest, EnsembleManifest)
    return Result(
        name=name,
        network=manifest.combination,
        members=members,
        sets=tuple(dict.fromkeys(source for member in members for source in CONFIGS[member].sets)),
        fold=fold,
        date=_date(run / METRICS_FILE),
        parameters=manifest.parameters,
        milliseconds=manifest.milliseconds_a_slice,
        metrics=(*evaluation.metrics, *gains(run, {member: run_folder(runs, member, fold) for member in members})),
        curves=kept_curves(evaluation.curves),
    )


def gains(run: Path, members: Mapping[str, Path]) -> tuple[Metric, ...]:
    """By how much an ensemble's AUC of `any` exceeds that of its best member on the same slices, set by set.

    Args:
        run: the ensemble's evaluation.
        members: each member's evaluation. The best is the best on these very slices, which favours it.
    """
    own, others = _answers(run), {name: _answers(folder) for name, folder in members.items()}
    found = []
    for source in dict.fromkeys(row["source"] for row in own.values()):
        keys = [key for key, row in own.items() if row["source"] == source and row["label_any"]]
        keys = [key for key in keys if all(key in answers for answers in others.values())]
        truth = np.array([own[key]["label_any"] == "1" for key in keys], np.bool_)
        if truth.all() or not truth.any():
            continue
        groups = np.array([own[key]["group"] for key in keys])
        ours = _scores(own, keys)
        best = max(others, key=lambda name: auc(truth, _scores(others[name], keys)))
        columns = (truth, ours, _scores(others[best], keys))
        low, high = bootstrap_interval(_auc_gain, groups, *columns)
        ends = [None if np.isnan(end) else end for end in (low, high)]
        name = f"AUC any minus that of {best}"
        found.append(Metric(source, name, truth.size, int(truth.sum()), _auc_gain(*columns), *ends))
    return tuple(found)


def _auc_gain(truth: NDArray[np.bool_], ours: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return auc(truth, ours) - auc(truth, other)


def _answers(run: Path) -> dict[str, dict[str, str]]:
    return {row["key"]: row for row in read_table(run / "test.csv")}


def _scores(answers: Mapping[str, Mapping[str, str]], keys: Sequence[str]) -> NDArray[np.float64]:
    return np.array([float(answers[key]["probability_any"]) for key in keys])


def _result(name: str, fold: int, runs: Path, weights: Path) -> Result:
    run, config = run_folder(runs, name, fold), CONFIGS[name]
    evaluation, manifest = read_evaluation(run), read_manifest(weights / name)
    assert isinstance(manifest, NetworkManifest)
    trained = [(CONFIGS[step], read_state(CONFIGS[step], run_folder(runs, step, fold))) for step in steps_to(name)]
    return Result(
        name=name,
        network=config.network,
        preparation=describe(config.preprocess),
        sets=config.sets,
        fold=fold,
        date=_date(run / METRICS_FILE),
        split=config.split,
        slices_seen=sum(_slices(step) * state.epoch for step, state in trained if state),
        minutes=sum(state.seconds for _, state in trained if state) / 60,
        parameters=manifest.parameters,
        milliseconds=milliseconds_a_slice(weights / name, manifest),
        metrics=evaluation.metrics,
        curves=kept_curves(evaluation.curves),
        log=read_log(run / "log.csv"),
    )


def _slices(config: TrainConfig) -> int:
    return config.slices_per_epoch // config.batch * config.batch


def _date(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()


def _show_alignment(name: str, fold: int, runs: Path, results: Path) -> None:
    """Put the picture of what a spatial transformer has learnt beside the results, where there is one."""
    drawn = run_folder(runs, name, fold) / PICTURE
    if drawn.is_file():
        shutil.copy(drawn, results / f"{name}{ALIGNMENT_SUFFIX}")


def _noted(name: str, results: Path, work: Callable[[], Result]) -> None:
    """Write the result, or why there is none; an earlier one keeps its figures beside what failed now."""
    try:
        work().write(results)
    except Exception as error:  # hours of others must not be lost to one: what broke is said on the page
        log.exception("%s failed.", name)
        reason = str(error) if isinstance(error, HemoscopeError) else f"{type(error).__name__}: {error}"
        reason = shorten(reason, LONGEST_REASON, placeholder=" ...")
        stored = results / f"{name}.json"
        network = CONFIGS[name].network if name in CONFIGS else "ensemble"
        before = read_result(stored) if stored.is_file() else Result(name, network)
        replace(before, failure=reason).write(results)


def _read(plan: Plan, results: Path) -> list[Result]:
    paths = [results / f"{name}.json" for name in (*plan.configurations, *plan.ensembles)]
    return [read_result(path) for path in paths if path.is_file()]


@click.command(help=__doc__)
@click.argument("name", metavar="PLAN", type=click.Choice(list(PLANS)))
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", help="Data folder.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option(
    "--page", type=click.Path(path_type=Path), default=Path("docs/results.md"), show_default=True, help="The page."
)
@click.option("--only", multiple=True, help="Work on this configuration alone; may be repeated.")
@click.option("--draw", is_flag=True, help="Train nothing: draw the page anew from the results that are there.")
def main(name: str, data: Path | None, runs: Path, page: Path, only: tuple[str, ...], draw: bool) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    unknown = sorted(set(only) - set(PLANS[name].configurations) - set(PLANS[name].ensembles))
    if unknown:
        raise click.BadParameter(f"{name} has no {', '.join(unknown)}.", param_hint="--only")
    if data is None and not draw:
        raise click.UsageError("Name the data folder with --data or HEMOSCOPE_DATA.")
    try:
        if data is None or draw:
            write_page(PLANS[name], _read(PLANS[name], page.with_suffix("")), page)
        else:
            compare(PLANS[name], data, runs, page, only)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The page: {page}")


if __name__ == "__main__":
    main()
