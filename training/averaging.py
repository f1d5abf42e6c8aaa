"""What a training keeps of its weights: the mean over its last epochs, and a share of those that it started from.

In: a network's weights after an epoch. Out: the weights to keep. Both means cost nothing when the network is served.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = list[NDArray[Any]]
START = "start_weights.npz"


def remember_start(weights: Weights, run: Path) -> None:
    """Store what the training starts from, for `with_start`."""
    np.savez(run / START, *weights)


def mean_of_epochs(weights: Weights, count: int, epoch: int, run: Path) -> Weights:
    """The mean of the weights after each of the last `count` epochs, this one included.

    Args:
        weights: after this epoch; they are stored, and those that no later mean needs are removed.
        count: how many epochs.
        epoch: number of this one.
        run: the run's folder.
    """
    np.savez(run / f"epoch_{epoch}.npz", *weights)
    for path in run.glob("epoch_*.npz"):
        if not epoch - count < int(path.stem.removeprefix("epoch_")) <= epoch:
            path.unlink()
    kept = [_read(path) for path in sorted(run.glob("epoch_*.npz"))]
    return _mean(kept, [1 / len(kept)] * len(kept))


def with_start(weights: Weights, share: float, run: Path) -> Weights:
    """The weights, mixed with a share of those that the training started from (Wortsman et al., CVPR 2022: what was
    learnt from other slices before is not all forgotten)."""
    return _mean([_read(run / START), weights], [share, 1 - share])


def _mean(each: Sequence[Weights], shares: Sequence[float]) -> Weights:
    return [_mean_of_one(values, shares) for values in zip(*each, strict=True)]


def _mean_of_one(values: Sequence[NDArray[Any]], shares: Sequence[float]) -> NDArray[Any]:
    if values[-1].dtype.kind != "f":  # whole numbers are the states of random generators: there is no mean of them
        return values[-1]
    return np.average(values, axis=0, weights=shares).astype(values[-1].dtype)


def _read(path: Path) -> Weights:
    with np.load(path) as stored:
        return list(stored.values())
