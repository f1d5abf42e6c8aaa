"""Make an ensemble of exported networks: weigh its members, calibrate it, judge it, and write its folder of weights.

    python -m training.ensemble NAME --fold K --data DIR

In: an entry of `training.ensembles`, its members' folders in `weights/`, the folds file of these runs and the data. The
members are run as serving runs them. The validation side gives their weights and the ensemble's own calibration and
thresholds, the test side its figures. Out: `weights/NAME/` with `manifest.json` and `README.md` (the model card), no
graph; and in `runs/NAME/fold_K/` what `training.evaluate` leaves of a single network.
"""

import hashlib
import json
import logging
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from hemoscope.ensemble import Combination, Ensemble
from hemoscope.errors import BadData, HemoscopeError
from hemoscope.findings import SliceFindings
from hemoscope.graph import Network, open_graph
from hemoscope.labels import ANY, CLASSES
from hemoscope.manifest import (
    FILE,
    EnsembleManifest,
    Member,
    NetworkManifest,
    TrainingData,
    classes_together,
    manifest_sha256,
    read_graph,
    read_manifest,
    read_members,
    task_together,
)
from hemoscope.metrics import auc, known
from hemoscope.postprocessing import slice_findings
from training.calibrate import read_rule
from training.cards import source_of, write_ensemble_card
from training.datasets import LOADERS, load_samples
from training.datasets.sample import Sample
from training.ensembles import ENSEMBLES, EnsembleConfig, strictest_licence
from training.evaluate import judge_fold, read_evaluation
from training.export import git_commit, installed_packages
from training.fitted_rules import read_context_rule, read_scan_rule
from training.folds import FOLDS, Folds, fold_word
from training.predictions import Collector, Predictions, prepare_slice

CHANCE = 0.5  # the AUC of a coin: a member counts by what it is above that


@dataclass(frozen=True)
class OpenMember:
    """An exported network, ready to run."""

    manifest: NetworkManifest
    network: Network


@dataclass(frozen=True)
class Reading:
    """What the members say of one slice.

    Attributes:
        sample: the slice.
        target: what is known of its pixels, or None, see `Sample.target`.
        members: one finding each, by its own rule and on the slice's own grid.
        network_seconds: of one processor, in the members' networks together.
    """

    sample: Sample
    target: NDArray[np.uint8] | None
    members: tuple[SliceFindings, ...]
    network_seconds: float


def make_ensemble(name: str, fold: int, data: Path, runs: Path, weights: Path, release: str) -> Path:
    """Make the ensemble of that name and return its weights folder.

    Raises:
        BadData: if there is no such ensemble, a member is missing or was trained on another fold or split, or the
            data are missing.
        BadWeights: if a member's folder is incomplete or was changed.
    """
    if name not in ENSEMBLES:
        raise BadData(f"There is no ensemble {name!r}. The ensembles are: {', '.join(ENSEMBLES)}.")
    config, folds = ENSEMBLES[name], Folds.read(runs / "folds.csv")
    members = open_members(config, fold, folds.sha256, weights)
    manifests = [member.manifest for member in members]
    licence = strictest_licence([manifest.licence for manifest in manifests])  # before hours of reading
    split = folds.split(load_samples(data, _sets(manifests)), fold)
    ensemble, weighing = weigh(members, config.combination, split.validation)
    validation, _ = predict(members, ensemble, split.validation, "validation")
    test, milliseconds = predict(members, ensemble, split.test, "test")
    run = runs / name / f"fold_{fold}"
    run.mkdir(parents=True, exist_ok=True)
    parts = tuple(
        Member(manifest.name, manifest_sha256(weights / manifest.name), weight)
        for manifest, weight in zip(manifests, ensemble.weights, strict=True)
    )
    of = hashlib.sha256(json.dumps([config.combination, *map(asdict, parts)]).encode()).hexdigest()
    for side, predictions in (("validation", validation), ("test", test)):
        predictions.save(run / f"{side}.npz", of)
    judge_fold(name, fold, validation, test, run, weighing)
    manifest = _manifest(name, config, fold, folds, run, manifests, parts, milliseconds, licence, release)
    folder = weights / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(manifest.to_dict(), indent=2) + "\n", encoding="utf-8")
    read_members(weights, manifest)  # as serving will
    write_ensemble_card(folder, manifest)
    return folder


def open_members(config: EnsembleConfig, fold: int, split_sha256: str, weights: Path) -> list[OpenMember]:
    """The members, after it was checked that they belong together.

    Raises:
        BadData: if one is missing, is an ensemble itself, or was trained on another fold or split: its training
            patients may be among those that the ensemble is judged on.
        BadWeights: if its folder is incomplete or was changed.
    """
    members = []
    for name in config.members:
        folder = weights / name
        if not (folder / FILE).is_file():
            raise BadData(
                f"There is no model {name} in {weights}: run `python -m training.export {name} --fold {fold}` first."
            )
        manifest = read_manifest(folder)
        if not isinstance(manifest, NetworkManifest):
            raise BadData(f"{name} is an ensemble itself; members are single networks.")
        if manifest.fold != fold:
            raise BadData(
                f"{name} was trained on fold {fold_word(manifest.fold)}, the ensemble is to be of fold {fold}."
            )
        if manifest.split_sha256 != split_sha256:
            raise BadData(
                f"{name} was trained on another split (sha256 {manifest.split_sha256[:12]}) than the folds file of "
                f"these runs ({split_sha256[:12]}): patients that it has seen may stand on the test side."
            )
        members.append(OpenMember(manifest, open_graph(read_graph(folder, manifest), name)))
    return members


def weigh(members: Sequence[OpenMember], combination: Combination, samples: Sequence[Sample]) -> tuple[Ensemble, str]:
    """The members' weights, and a sentence on how they were chosen.

    Equal ones, but for `weighted`: there in proportion to how far each member's AUC of `any` lies above chance.

    Args:
        members: at least two.
        combination: see `hemoscope.ensemble.Ensemble`.
        samples: the validation side; only `weighted` reads it.

    Raises:
        BadData: if a member to be weighted is no better than chance.
    """
    if combination != "weighted":
        return Ensemble(combination, (1 / len(members),) * len(members)), "The members weigh the same."
    readings = list(_any_probabilities(members, samples))
    labels = np.array([label for label, _ in readings])
    scores = np.array([probabilities for _, probabilities in readings], np.float64).reshape(-1, len(members))
    areas = [auc(*known(labels, score)) for score in scores.T]
    for member, area in zip(members, areas, strict=True):
        if not area > CHANCE:
            raise BadData(
                f"{member.manifest.name} is no better than chance on the validation side (AUC of any {area:.3f}): it "
                "has no weight. Leave it out."
            )
    above = [area - CHANCE for area in areas]
    weights = tuple(part / sum(above) for part in above)
    said = ", ".join(
        f"{member.manifest.name} {weight:.3f} (AUC {area:.3f})"
        for member, weight, area in zip(members, weights, areas, strict=True)
    )
    return Ensemble(combination, weights), (
        f"The members weigh in proportion to how far their AUC of any lies above {CHANCE} on the validation patients: "
        f"{said}."
    )


def predict(
    members: Sequence[OpenMember], ensemble: Ensemble, samples: Sequence[Sample], side: str
) -> tuple[Predictions, float]:
    """What the ensemble says of one side of a fold, before its own rule, and the median milliseconds a slice.

    Args:
        members: in the order of the ensemble's weights.
        ensemble: how they are combined.
        samples: the side.
        side: its name, for the progress bar.

    Raises:
        BadData: if not one slice can be read.
    """
    classes = classes_together([member.manifest for member in members])
    collected, seconds = Collector(samples), []
    for reading in read_side(members, samples, side):
        combined = [ensemble.probability([one.probabilities[name] for one in reading.members]) for name in classes]
        mask = ensemble.mask_probability([one.mask_probability for one in reading.members])
        collected.add(reading.sample, ensemble.logits(np.array(combined, np.float64)), reading.target, mask)
        seconds.append(reading.network_seconds)
    predictions = collected.predictions(classes)
    return predictions, statistics.median(seconds) * 1000


def read_side(members: Sequence[OpenMember], samples: Sequence[Sample], side: str) -> Iterator[Reading]:
    """Each slice as every member reads it; those that cannot be read are left out."""
    label = f"Reading {len(samples)} {side} slices with {len(members)} networks"
    with click.progressbar(samples, label=label, file=sys.stderr) as bar:
        for sample in bar:
            found, seconds, target = [], 0.0, None
            for member in members:
                prepared = prepare_slice(sample, member.manifest.preprocess)
                if prepared is None:
                    break
                _, tensor, placement, target = prepared
                # The networks run on this thread: its own time leaves out what else the machine does.
                began = time.thread_time()
                outputs = {name: values[0] for name, values in member.network(tensor[None]).items()}
                seconds += time.thread_time() - began
                found.append(slice_findings(outputs, placement, member.manifest.rule, None))
            else:
                yield Reading(sample, target, tuple(found), seconds)


def _any_probabilities(
    members: Sequence[OpenMember], samples: Sequence[Sample]
) -> Iterator[tuple[float, list[float | None]]]:
    """Each slice's label of `any` and what the members say of it."""
    for reading in read_side(members, samples, "validation"):
        yield reading.sample.labels[CLASSES.index(ANY)], [one.probabilities[ANY] for one in reading.members]


def _sets(manifests: Sequence[NetworkManifest]) -> list[str]:
    """The sets that the members were trained on, by their loaders' names: the ensemble is judged on all of them."""
    titles = {data.set for manifest in manifests for data in manifest.training_data}
    return [name for name in LOADERS if source_of(name).title in titles]


def _manifest(
    name: str,
    config: EnsembleConfig,
    fold: int,
    folds: Folds,
    run: Path,
    manifests: Sequence[NetworkManifest],
    parts: tuple[Member, ...],
    milliseconds: float,
    licence: str,
    release: str,
) -> EnsembleManifest:
    evaluation, rule = read_evaluation(run), read_rule(run)
    return EnsembleManifest(
        name=name,
        version=release,
        title=config.title,
        summary=f"{len(parts)} networks read each slice, each as it was trained to, and one answer is made of theirs.",
        task=task_together(manifests),
        **asdict(rule),
        thresholds_chosen=evaluation.thresholds_chosen,
        training_data=_training_data(manifests),
        metrics=evaluation.metrics,
        config=name,
        fold=fold,
        split_sha256=folds.sha256,
        git_commit=git_commit(),
        packages=installed_packages(),
        created=datetime.now(UTC).date().isoformat(),
        parameters=sum(manifest.parameters for manifest in manifests),
        licence=licence,
        intended_use=" ".join(dict.fromkeys(manifest.intended_use for manifest in manifests)),
        limits=_limits(manifests),
        scan_rule=read_scan_rule(run),
        context_rule=read_context_rule(run),
        members=parts,
        combination=config.combination,
        milliseconds_a_slice=float(f"{milliseconds:.3g}"),
    )


def _training_data(manifests: Sequence[NetworkManifest]) -> tuple[TrainingData, ...]:
    """What the members were trained on; of a set that several know, the entry of the one that saw most of it."""
    largest: dict[str, TrainingData] = {}
    for data in (data for manifest in manifests for data in manifest.training_data):
        if data.set not in largest or data.slices > largest[data.set].slices:
            largest[data.set] = data
    return tuple(largest.values())


def _limits(manifests: Sequence[NetworkManifest]) -> tuple[str, ...]:
    """What limits all members, then what limits one of them."""
    shared = [limit for limit in manifests[0].limits if all(limit in manifest.limits for manifest in manifests)]
    own = [f"{one.name}: {limit}" for one in manifests for limit in one.limits if limit not in shared]
    return (*shared, *own)


@click.command(help=__doc__)
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@click.option("--fold", type=click.IntRange(0, FOLDS - 1), default=0, show_default=True, help="The fold held out.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option(
    "--weights", type=click.Path(path_type=Path), default=Path("weights"), show_default=True, help="Members; output."
)
@click.option("--release", default="0.1.0", show_default=True, help="Version of the ensemble.")
def main(name: str, data: Path, fold: int, runs: Path, weights: Path, release: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        folder = make_ensemble(name, fold, data, runs, weights, release)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Made {folder}. Its figures: {runs / name / f'fold_{fold}' / 'report.html'}")


if __name__ == "__main__":
    main()
