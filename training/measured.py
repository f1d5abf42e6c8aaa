"""What all figures have in common: the slices that they are of, and a number with its interval over patients.

In: `Judged` slices. Out: `Metric`s as the manifest stores them; a figure that cannot be said is left out, never 0.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import ANY, CLASSES
from hemoscope.manifest import Metric
from hemoscope.metrics import bootstrap_interval, known
from training.predictions import Judged

FEW = 10  # positives; below it a figure says little, whatever its interval


@dataclass(frozen=True)
class Part:
    """The n slices of one set (or of all) whose label of `any` or of another class is asked for.

    Attributes:
        set: its name.
        judged: the whole side.
        chosen: bool, which of the side's slices these are.
    """

    set: str
    judged: Judged
    chosen: NDArray[np.bool_]

    @property
    def groups(self) -> NDArray[np.str_]:
        """Their patients, str (n,)."""
        return self.judged.predictions.groups[self.chosen]

    @property
    def sources(self) -> NDArray[np.str_]:
        """Their sets, str (n,)."""
        return self.judged.predictions.sources[self.chosen]

    def labels(self, name: str) -> NDArray[np.float64]:
        """Of a class: 1, 0 or NaN, float64 (n,)."""
        return self.judged.predictions.labels[self.chosen, CLASSES.index(name)]

    def probabilities(self, name: str) -> NDArray[np.float64]:
        """Of a class, calibrated, float64 (n,)."""
        return self.judged.probabilities[self.chosen, self.judged.predictions.classes.index(name)]

    def uncalibrated(self) -> NDArray[np.float64]:
        """Of `any`, the plain sigmoid, float64 (n,)."""
        logits = self.judged.predictions.logits[self.chosen, self.judged.predictions.classes.index(ANY)]
        return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60)))


def ranked(
    set_name: str,
    name: str,
    statistic: Callable[..., float],
    labels: NDArray[np.float64],
    scores: NDArray[np.float64],
    groups: NDArray[np.str_],
    resamples: int,
    note: str = "",
    interval: Callable[..., tuple[float, float]] = bootstrap_interval,
) -> Iterator[Metric]:
    """A metric of how scores fit labels, over the slices whose label is known; see `measured`."""
    truth, score, group = known(labels, scores, groups)
    yield from measured(set_name, name, statistic, (truth, score), group, truth, resamples, note, interval)


def measured(
    set_name: str,
    name: str,
    statistic: Callable[..., float],
    columns: tuple[NDArray[Any], ...],
    groups: NDArray[np.str_],
    truth: NDArray[np.bool_],
    resamples: int,
    note: str,
    interval: Callable[..., tuple[float, float]] = bootstrap_interval,
) -> Iterator[Metric]:
    """A metric with its interval over the groups; nothing where it cannot be said."""
    value = float(statistic(*columns)) if truth.size else np.nan
    if np.isnan(value):
        return
    low, high = interval(statistic, groups, *columns, resamples=resamples)
    positives = int(truth.sum())
    ends = [None if np.isnan(end) else end for end in (low, high)]
    yield Metric(set_name, name, int(truth.size), positives, value, *ends, with_remark(note, positives))


def with_remark(note: str, positives: int) -> str:
    """The note, after a warning where the positives are few."""
    few = f"not validated: fewer than {FEW} positives" if positives < FEW else ""
    return "; ".join(part for part in (few, note) if part)
