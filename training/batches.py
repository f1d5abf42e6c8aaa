"""Batches of one epoch, drawn and augmented by seed.

In: prepared slices, which of them, how often each is drawn, and the epoch. Out: (inputs, targets) as the networks
name them. The draw depends on the seed and the epoch alone, so a resumed training goes on as it would have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from hemoscope.preprocessing import Preprocess
from training.augment import Augment
from training.cache import Prepared

CODES = 4  # of a target map, see `datasets.sample`


@dataclass(frozen=True)
class Draw:
    """One place in an epoch: which slice, and the seed of its fixed offline copy (None for the slice itself)."""

    index: int
    copy: int | None = None


class Batches(keras.utils.PyDataset):
    """The batches of one epoch.

    Args:
        prepared: slices and target maps.
        draws: what comes, in order; a last short batch is dropped in training and kept otherwise.
        preprocess: gives the scaling.
        outputs: the network's output names; `mask` gets float32 (n, size, size, 1) codes of
            `datasets.sample`, `subtypes` float32 (n, size, size, 1) sums of its SUBTYPE_BITS, `logits` and `kinds` the
            labels, float32 (n, 6) with NaN for unknown.
        batch: slices a batch.
        augment: online augmentation, or None.
        offline: the augmentation behind `Draw.copy`.
        seed: of the online augmentation.
        workers: threads that prepare batches ahead.

    `share`, set by the engine, is (process, processes): each process prepares its part of every batch only.
    """

    def __init__(
        self,
        prepared: Prepared,
        draws: Sequence[Draw],
        preprocess: Preprocess,
        outputs: Sequence[str],
        batch: int,
        augment: Augment | None = None,
        offline: Augment | None = None,
        seed: int = 0,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=8)
        self.prepared, self.draws, self.preprocess = prepared, draws, preprocess
        self.outputs, self.batch, self.augment, self.offline, self.seed = outputs, batch, augment, offline, seed
        self.labels = np.array([sample.labels for sample in prepared.samples], np.float32)
        self.share = (0, 1)

    def __len__(self) -> int:
        return len(self.draws) // self.batch if self.augment else -(-len(self.draws) // self.batch)

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        whole = range(number * self.batch, min((number + 1) * self.batch, len(self.draws)))
        process, processes = self.share
        places = whole[process * len(whole) // processes : (process + 1) * len(whole) // processes]
        slices = [self._slice(place) for place in places]
        inputs = self.preprocess.scaled(np.stack([pixels for pixels, _ in slices]))
        targets: dict[str, NDArray[np.float32]] = {}
        maps = np.stack([both for _, both in slices])[..., None]
        if "mask" in self.outputs:
            targets["mask"] = (maps % CODES).astype(np.float32)
        if "subtypes" in self.outputs:
            targets["subtypes"] = (maps // CODES).astype(np.float32)
        for output in ("logits", "kinds"):
            if output in self.outputs:
                targets[output] = self.labels[[self.draws[place].index for place in places]]
        return inputs, targets

    def _slice(self, place: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        draw = self.draws[place]
        # Both maps travel as one number a pixel, so that they are moved as one.
        pixels = self.prepared.pixels[draw.index]
        both = self.prepared.targets[draw.index] + CODES * self.prepared.candidates[draw.index]
        if draw.copy is not None and self.offline is not None:
            pixels, both = self.offline(pixels, both, draw.copy)
        if self.augment is not None:
            pixels, both = self.augment(pixels, both, self.seed + place)
        return pixels, both


def weighted_draws(weights: NDArray[np.float64], count: int, seed: int) -> list[Draw]:
    """`count` draws with replacement, each slice in proportion to its weight, as even as can be.

    Systematic resampling: a slice of expected count 2.3 comes two or three times, never seven.

    Args:
        weights: one a slice, at least one above zero.
        count: how many.
        seed: of the offset and the order.
    """
    random = np.random.default_rng(seed)
    points = (np.arange(count) + random.random()) / count
    order = random.permutation(len(weights))
    edges = np.cumsum(weights[order]) / np.sum(weights)
    chosen = order[np.minimum(np.searchsorted(edges, points, side="right"), len(weights) - 1)]
    return [Draw(int(index)) for index in random.permutation(chosen)]


def balanced_copies(positive: NDArray[np.bool_], seed: int) -> list[Draw]:
    """The report's offline balancing: every slice once, and fixed augmented copies of the fewer kind until the
    positive and the negative slices are equally many.

    Args:
        positive: one a slice.
        seed: of the copies.
    """
    draws = [Draw(index) for index in range(len(positive))]
    fewer = np.flatnonzero(positive if positive.sum() * 2 < len(positive) else ~positive)
    missing = len(positive) - 2 * len(fewer)
    if len(fewer):
        draws += [Draw(int(fewer[copy % len(fewer)]), seed + copy) for copy in range(missing)]
    return draws


def epoch_of(draws: Sequence[Draw], count: int, seed: int) -> list[Draw]:
    """Up to `count` of the draws in a new order, without repeats."""
    order = np.random.default_rng(seed).permutation(len(draws))[:count]
    return [draws[index] for index in order]
