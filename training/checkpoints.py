"""What a training leaves on disk to go on from: its settings, its state after each epoch, the network that is kept.

In: a network, its configuration and the run's folder. Out: `config.json`, `preprocess.json` and `split.sha256` when it
starts; after each epoch `state.json` with the weights that it names, a row of `log.csv`, TensorBoard's events and,
where the epoch is worth keeping, `network.keras`.
"""

import csv
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import keras

from hemoscope.errors import BadData
from training.averaging import mean_of_epochs, remember_start, with_start
from training.configs import TrainConfig
from training.folds import Fold, Folds, fold_word
from training.saved import NETWORK_FILE, read_config, read_start, start_from


@dataclass
class State:
    """What a training must remember beside its weights to go on."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    seconds: float = 0.0


def run_folder(runs: Path, name: str, fold: Fold) -> Path:
    """Where a training writes."""
    return runs / name / f"fold_{fold_word(fold)}"


@contextmanager
def alone(runs: Path, name: str, fold: Fold) -> Iterator[None]:
    """Inside, no other process on this machine runs this training; on Windows nothing sees to that.

    Raises:
        BadData: if one does.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = runs / "locks" / f"{name}_fold_{fold_word(fold)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The system lets go of the lock when the process ends, however it ends.
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadData(
                f"Another process trains {name} on fold {fold_word(fold)} already: wait for it, or stop it."
            ) from None
        yield


def read_state(config: TrainConfig, run: Path) -> State | None:
    """How far a training is, or None where it was not begun.

    Raises:
        BadData: if it was begun with other settings than the configuration's.
    """
    if not (run / "state.json").is_file():
        return None
    now = json.loads(json.dumps(asdict(config)))
    other = other_settings(now | settings(run), now)
    if other:
        raise BadData(
            f"{run} was begun with other settings ({', '.join(other)}). Take them back to resume it, or move it away "
            "to begin anew."
        )
    return State(**json.loads((run / "state.json").read_text()))


def settings(run: Path) -> dict[str, Any]:
    """The settings that a training was begun with; one that came later was at its default then.

    Raises:
        BadWeights: if `config.json` is missing or garbled.
    """
    return _defaults() | read_config(run)


def other_settings(one: dict[str, Any], two: dict[str, Any]) -> list[str]:
    """The names of the settings that differ, sorted."""
    return sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))


def trained_seconds(run: Path) -> float:
    """What a training took so far; 0 where none was begun."""
    state = run / "state.json"
    return float(json.loads(state.read_text(encoding="utf-8"))["seconds"]) if state.is_file() else 0.0


def finished(config: TrainConfig, state: State) -> bool:
    """Whether nothing is left to train: all epochs are done, or no better one came for long enough."""
    impatient = config.patience is not None and state.epoch - 1 - state.best_epoch >= config.patience
    return state.epoch >= config.epochs or impatient


def start(
    network: keras.Model, config: TrainConfig, run: Path, folds: Folds, writes: bool, runs: Path, fold: Fold
) -> State:
    """Give the network the weights that it starts from, and write what it is, if this process `writes`.

    Raises:
        BadData: if there is a training already, what this one starts from is missing, or that was on other folds.
    """
    if (run / "state.json").exists():
        raise BadData(f"{run} holds a training already: go on with --resume, or move it away.")
    if config.initial is not None and config.initial.endswith(".npz"):
        read_start(Path(config.initial), network)
    elif config.initial is not None:
        initial = run_folder(runs, config.initial, fold) / NETWORK_FILE
        if not initial.is_file():
            raise BadData(
                f"This training starts from {config.initial}: run `python -m training.train {config.initial} "
                f"--fold {fold_word(fold)}` first."
            )
        folds.check(initial.parent)
        start_from(initial, network.get_layer(config.initial_layer) if config.initial_layer else network)
    if writes:
        run.mkdir(parents=True, exist_ok=True)
        (run / "config.json").write_text(json.dumps(asdict(config), indent=2))
        folds.sign(run)
        (run / "preprocess.json").write_text(json.dumps(config.preprocess.to_dict(), indent=2))
        if config.share_of_start:
            remember_start(network.get_weights(), run)
    return State()


def resume(network: keras.Model, config: TrainConfig, run: Path, folds: Folds, writes: bool) -> State:
    """Bring the network and its optimizer to where the training stopped.

    Raises:
        BadData: if there is nothing to resume, or it has other settings or other folds.
    """
    state = read_state(config, run)
    if state is None:
        raise BadData(f"{run} holds no training to resume.")
    folds.check(run)
    network.optimizer.build(network.trainable_variables)
    network.load_weights(run / f"state_{state.epoch}.weights.h5")
    if writes:
        _forget_unfinished(state.epoch, run)
    return state


def _defaults() -> dict[str, Any]:
    """The settings that a configuration need not name, as they are stored."""
    plain = {f.name: f.default for f in fields(TrainConfig) if f.default is not MISSING}
    made = {f.name: f.default_factory() for f in fields(TrainConfig) if f.default_factory is not MISSING}
    return plain | made


def _forget_unfinished(epoch: int, run: Path) -> None:
    """Drop what the CSV log holds of an epoch that was logged but not checkpointed before a kill."""
    path = run / "log.csv"
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([head, *rows[:epoch]]) + "\n", encoding="utf-8")


def judge(state: State, row: dict[str, float]) -> bool:
    """Whether this epoch is the best so far; the state remembers it. Without a validation side none is."""
    better = row.get("val_loss", math.inf) < state.best_loss
    if better:
        state.best_loss, state.best_epoch = row["val_loss"], state.epoch
    return better


def end_epoch(network: keras.Model, config: TrainConfig, state: State, row: dict[str, float], run: Path) -> None:
    """Keep the network if the epoch is worth it, log its row, and checkpoint; the state counts the epoch."""
    better = judge(state, row)
    if better or config.keep == "last":
        with _kept_weights(network, config, state.epoch, run):
            save_network(network, run)
    _log(row, state.epoch, run)
    state.epoch += 1
    network.save_weights(run / f"state_{state.epoch}.weights.h5")
    # The state names its weights, and is replaced in one move: a kill leaves either the old pair or the new one.
    temporary = run / "state.json.new"
    temporary.write_text(json.dumps(asdict(state)))
    temporary.replace(run / "state.json")
    for old in run.glob("state_*.weights.h5"):
        if old.name != f"state_{state.epoch}.weights.h5":
            old.unlink()


def save_network(network: keras.Model, run: Path) -> None:
    """The network in float32 and without the optimizer, whose state triples a file and is of use to `resume` alone."""
    optimizer, network.optimizer = network.optimizer, None
    try:
        network.save(run / NETWORK_FILE)
    finally:
        network.optimizer = optimizer


@contextmanager
def _kept_weights(network: keras.Model, config: TrainConfig, epoch: int, run: Path) -> Iterator[None]:
    """Inside, the network has the weights that are kept, see `averaging`."""
    own = network.get_weights()
    kept = mean_of_epochs(own, config.mean_of_last, epoch, run) if config.mean_of_last else own
    network.set_weights(with_start(kept, config.share_of_start, run) if config.share_of_start else kept)
    try:
        yield
    finally:
        network.set_weights(own)


def _log(row: dict[str, float], epoch: int, run: Path) -> None:
    path = run / "log.csv"
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        if fresh:
            table.writerow(("epoch", *row))
        table.writerow((epoch, *(f"{value:.6g}" for value in row.values())))
    try:
        from tensorboard.summary import Writer
    except ImportError:
        return  # the CSV log holds the same
    writer = Writer(str(run / "events"))
    for key, value in row.items():
        writer.add_scalar(key, value, step=epoch)
    writer.close()
