"""Train one network on one fold.

    python -m training.train NAME --data DIR --fold K [--resume]

In: a configuration's name, the data folder, the fold; `--fold all` holds nobody out and trains on all patients. Out:
`runs/NAME/fold_K/`: `network.keras` with `preprocess.json` beside it, `state.weights.h5` and `state.json` (to resume),
`log.csv`, TensorBoard events. Every epoch ends with a checkpoint; a training killed in the middle of an epoch repeats
that epoch on `--resume`.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.labels import CLASSES
from training import checkpoints
from training.augment import Augment
from training.batches import Batches, Draw, balanced_copies, epoch_of, weighted_draws
from training.cache import KnownFits, Prepared, prepare
from training.configs import CONFIGS, TrainConfig
from training.datasets import LOADERS, load_samples
from training.datasets.lookalikes import lookalike_samples
from training.datasets.pasting import pasted_samples
from training.datasets.sample import Sample
from training.datasets.synthesis import NO_NEIGHBOURS, synthetic_samples
from training.distribution import CHOICES, Engine, choose_engine
from training.folds import FILES, Fold, Folds, fold_option, fold_seed, fold_word, make_folds
from training.losses import MaskedClassLoss, MaskedKindLoss, MaskedPixelLoss, MaskedSubtypeLoss
from training.networks import NETWORKS
from training.networks.fused import fuse_normalisation
from training.optimizers import optimizer
from training.teaching import taught_samples


class Diverged(BadData):
    """A training whose loss, or a weight of whose network, is no number any more."""


def train(
    config: TrainConfig,
    name: str,
    fold: Fold,
    data: Path,
    runs: Path,
    resume: bool,
    workers: int = 1,
    engine: Engine | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """Train and return the run's folder.

    Args:
        config, name, fold: what is trained; the name is the run's.
        data, runs: folders.
        resume: go on with what was stopped.
        workers: threads that prepare batches.
        engine: on what it runs; None is one device.
        on_epoch: called after each epoch with the number of epochs that are done and the row of the log; it may raise
            to stop the training.

    Raises:
        BadData: if the data, the folds, the weights to start from or the state to resume are missing, or made slices
            and adjacent slices are asked for together; if nobody is held out and the configuration needs validation
            patients; or another process trains the same already.
        Diverged: if a loss or a weight is no number any more; what was checkpointed before stays.
    """
    if (config.synthetic or config.pasted or config.lookalikes) and config.preprocess.neighbours:
        raise BadData(NO_NEIGHBOURS)
    if fold is None:
        check_without_validation(config, name)
    engine, run = engine or Engine(), checkpoints.run_folder(runs, name, fold)
    with checkpoints.alone(runs, name, fold) if engine.first else nullcontext():
        _train(config, name, fold, data, runs, resume, workers, engine, on_epoch)
    return run


def _train(
    config: TrainConfig,
    name: str,
    fold: Fold,
    data: Path,
    runs: Path,
    resume: bool,
    workers: int,
    engine: Engine,
    on_epoch: Callable[[int, dict[str, float]], None] | None,
) -> None:
    run = checkpoints.run_folder(runs, name, fold)
    keras.utils.set_random_seed(config.seed + fold_seed(fold))
    keras.mixed_precision.set_global_policy(config.precision)
    sides = engine.in_turn(load_split)(config, fold, data, runs)
    cache, preprocess = runs / "cache", config.preprocess
    learnt = usable(sides.train, config, config.outline_boxes)
    if config.teacher:
        learnt = engine.in_turn(taught_samples)(learnt, config.teacher, fold, runs)
    learnt += engine.in_turn(_made_samples)(sides.train, config, cache)
    train_set = engine.in_turn(prepare)(learnt, preprocess, cache, 2, config.outline_boxes)
    network = build(config)
    validation = None
    if fold is not None:
        validation_set = engine.in_turn(prepare)(usable(sides.validation, config), preprocess, cache)
        validation = engine.share(_in_order(validation_set, config, loss_outputs(network), fold, workers))
    folds = _folds(config, runs)
    begin = checkpoints.resume if resume else partial(checkpoints.start, runs=runs, fold=fold)
    state = begin(network, config, run, folds, engine.first)
    fit = engine.fitter(network, lambda: build(config))

    def reseed(epoch: int) -> None:  # inside `fit`: on PyTorch its preparations draw random numbers too
        _reseed_dropout(reseeding.model, config.seed + fold_seed(fold), epoch)

    reseeding = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: reseed(epoch))

    while not checkpoints.finished(config, state):
        began = time.monotonic()
        batches = _epoch(train_set, config, loss_outputs(network), state.epoch, fold, workers)
        logs = fit(
            engine.share(batches),
            validation_data=validation,
            initial_epoch=state.epoch,
            epochs=state.epoch + 1,
            callbacks=[reseeding],
            verbose="auto" if sys.stderr.isatty() else 2,
            shuffle=False,
        ).history
        row = {key: float(values[-1]) for key, values in logs.items()}
        if lost := without_number(row, network):
            raise Diverged(
                f"After epoch {state.epoch + 1} of {name} {lost} is no number any more: a lower learning rate may help."
            )
        row["learning_rate"] = float(keras.ops.convert_to_numpy(network.optimizer.learning_rate))
        state.seconds += time.monotonic() - began
        if engine.first:
            checkpoints.end_epoch(network, config, state, row, run)
        else:
            checkpoints.judge(state, row)
            state.epoch += 1
        if on_epoch is not None:
            on_epoch(state.epoch, row)


def steps_to(name: str, given: Collection[str] = ()) -> list[str]:
    """The configurations that are trained one after the other for this one, the first one first.

    Args:
        name: of the last one.
        given: configurations that others stand in for, see `adopt`: what would lead to them is left out.
    """
    before = [] if name in given else [CONFIGS[name].teacher, CONFIGS[name].initial]
    steps = [step for one in before if one in CONFIGS for step in steps_to(one, given)]
    return list(dict.fromkeys([*steps, name]))


def without_number(row: Mapping[str, float], network: keras.Model) -> str:
    """A loss or a weight that is no number any more; empty where all are.

    Args:
        row: of the log.
        network: as the epoch left it. The loss alone does not tell: a ReLU can turn what is no number into 0.
    """
    losses = [f"its {loss}" for loss in ("loss", "val_loss") if loss in row and not math.isfinite(row[loss])]
    weights = zip(network.weights, network.get_weights(), strict=True)
    return next(iter(losses), "") or next((one.path for one, value in weights if not np.isfinite(value).all()), "")


def check_without_validation(config: TrainConfig, name: str) -> None:
    """Check that a configuration can be trained with nobody held out.

    Raises:
        BadData: if its validation patients choose what is kept, or when it stops.
    """
    if config.keep != "last" or config.patience is not None:
        raise BadData(
            f"{name} cannot train on all patients: its validation patients choose the epoch that is kept or when it "
            "stops. That needs keep='last' and no patience."
        )


def load_split(config: TrainConfig, fold: Fold, data: Path, runs: Path) -> Any:
    """The sides of a fold over the configuration's sets, by the one folds file of these runs (made if missing)."""
    path = runs / FILES[config.split]
    if not path.is_file():
        sets = [name for name in LOADERS if (data / name).is_dir()]
        make_folds(load_samples(data, sets), unit=config.split).write(path)
    return _folds(config, runs).split(load_samples(data, config.sets), fold)


def _made_samples(samples: Sequence[Sample], config: TrainConfig, cache: Path) -> list[Sample]:
    """The slices with drawn and pasted bleeds, and with what looks like them, that the configuration asks for."""
    fits = KnownFits(cache)
    made = [
        *synthetic_samples(samples, config.synthetic, config.seed, fits),
        *pasted_samples(samples, config.pasted, config.seed, fits),
        *lookalike_samples(samples, config.lookalikes, config.seed, fits),
    ]
    fits.save()
    return made


def _folds(config: TrainConfig, runs: Path) -> Folds:
    return Folds.read(runs / FILES[config.split], config.split)


def usable(samples: list[Sample], config: TrainConfig, boxes: bool = False) -> list[Sample]:
    """The samples that this configuration can be judged on; with `boxes`, also those that it can learn from."""
    if config.needs == "any":
        return samples
    return [s for s in samples if s.mask is not None or s.blood_free or (boxes and s.boxes)]


def build(config: TrainConfig) -> keras.Model:
    """The configuration's network, compiled."""
    network = NETWORKS[config.network](config.preprocess.size, config.preprocess.channels, **config.arguments)
    fuse_normalisation(network)
    losses: dict[str, keras.losses.Loss | None] = dict.fromkeys(network.output_names)
    if "mask" in losses:
        losses["mask"] = MaskedPixelLoss(
            config.cross_entropy, config.dice, config.box, config.slice_dice, config.pixel_focal
        )
    if "logits" in loss_outputs(network):
        positive = [config.positive_weights.get(name, 1.0) for name in CLASSES] if config.positive_weights else []
        losses["logits"] = MaskedClassLoss(config.any_weight, config.smoothing, config.focal, positive)
    if "kinds" in losses:
        losses["kinds"] = MaskedKindLoss()
    if "subtypes" in losses:
        losses["subtypes"] = MaskedSubtypeLoss()
    weights = {
        "mask": config.pixel_weight,
        "subtypes": config.subtype_weight,
        "logits": config.class_weight,
        "kinds": config.class_weight,
    }
    network.compile(
        optimizer=optimizer(config),
        loss=losses,
        loss_weights={output: weights.get(output, 0.0) for output in losses},
        jit_compile=keras.backend.backend() == "jax",
    )
    return network


def loss_outputs(network: keras.Model) -> list[str]:
    """The outputs that are learnt from targets; logits that follow from kinds are not."""
    learnt = ("mask", "subtypes", "kinds" if "kinds" in network.output_names else "logits")
    return [output for output in network.output_names if output in learnt]


def draw_weights(samples: list[Sample], config: TrainConfig) -> NDArray[np.float64]:
    """How often each slice is drawn, relative to the others."""
    weights = []
    for sample in samples:
        negative, positive = config.weights.get(sample.source, (1.0, 1.0))
        rare = [config.rare.get(name, 1.0) for name, label in zip(CLASSES, sample.labels, strict=True) if label == 1]
        weights.append(positive * max(rare) if rare else negative)
    return np.array(weights)


def _in_order(prepared: Prepared, config: TrainConfig, outputs: list[str], fold: Fold, workers: int) -> Batches:
    """The validation side as it is, slice by slice."""
    if config.needs == "mask" and not any(sample.mask for sample in prepared.samples):
        raise BadData(
            f"No validation slice of fold {fold} has a mask: the best epoch would be the one that marks nothing. "
            "Choose another fold."
        )
    draws = [Draw(index) for index in range(len(prepared.samples))]
    return Batches(prepared, draws, config.preprocess, outputs, config.batch, workers=workers)


def _epoch(
    prepared: Prepared, config: TrainConfig, outputs: list[str], epoch: int, fold: Fold, workers: int
) -> Batches:
    seed = config.seed + 1_000_003 * fold_seed(fold) + 10_007 * epoch
    if config.sampling == "copies":
        positive = np.array([not sample.blood_free for sample in prepared.samples])
        draws = epoch_of(balanced_copies(positive, config.seed), config.slices_per_epoch, seed)
    else:
        draws = weighted_draws(draw_weights(prepared.samples, config), config.slices_per_epoch, seed)
    return Batches(
        prepared,
        draws,
        config.preprocess,
        outputs,
        config.batch,
        augment=Augment(config.augment, config.preprocess),
        offline=Augment("report", config.preprocess),
        seed=seed,
        workers=workers,
    )


def _reseed_dropout(network: keras.Model, seed: int, epoch: int) -> None:
    keras.utils.set_random_seed((seed + 10_007 * epoch) % 2**32)  # PyTorch draws from here, not from the layers' states
    # Of all layers, those of networks inside the network included; each has a stream of its own.
    states = [variable for variable in network.variables if variable.name == "seed_generator_state"]
    for place, state in enumerate(states):
        state.assign(np.array([seed + place, epoch], state.dtype))


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(list(CONFIGS)))
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@fold_option
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Output folder.")
@click.option("--resume", is_flag=True, help="Go on from the last finished epoch.")
@click.option("--workers", default=1, show_default=True, help="Threads that prepare batches.")
@click.option("--distribute", type=click.Choice(CHOICES), default="none", show_default=True, help="Over what.")
def main(name: str, data: Path, fold: Fold, runs: Path, resume: bool, workers: int, distribute: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run = train(CONFIGS[name], name, fold, data, runs, resume, workers, choose_engine(distribute))
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Trained {name} on fold {fold_word(fold)}: {run}")


if __name__ == "__main__":
    main()
