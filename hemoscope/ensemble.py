"""The arithmetic of ensembles: several models' answers to one slice become one answer.

In: what each member says, by its own rule and on the scan's own grid. Out: combined probabilities, logits for the
ensemble's own rule, and `SliceFindings`. Serving and evaluation call this and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import SliceFindings
from hemoscope.labels import CLASSES
from hemoscope.postprocessing import EPSILON, Rule, ruled_findings

Combination = Literal["average", "vote", "weighted"]
COMBINATIONS: tuple[str, ...] = get_args(Combination)

VOTES_FROM = 0.5  # a member votes for a class from this probability on
WEIGHTS_TOLERANCE = 1e-6  # of their sum: they are stored as decimals


@dataclass(frozen=True)
class Ensemble:
    """How the members' answers are combined.

    Attributes:
        combination: `average` is the mean of the members' probabilities, `weighted` their weighted mean, `vote` the
            share of members whose probability is at least `VOTES_FROM`.
        weights: one a member, above 0, together 1; equal but for `weighted`.
    """

    combination: Combination
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.combination not in COMBINATIONS:
            raise ValueError(f"combination must be one of {', '.join(COMBINATIONS)}, got {self.combination!r}")
        if len(self.weights) < 2:
            raise ValueError(f"an ensemble has at least two members, got {len(self.weights)}")
        total = sum(self.weights)
        if not all(weight > 0 for weight in self.weights) or not abs(total - 1) <= WEIGHTS_TOLERANCE:
            raise ValueError(f"weights must be above 0 and sum to 1: got {self.weights}")
        if self.combination != "weighted" and max(self.weights) - min(self.weights) > WEIGHTS_TOLERANCE:
            raise ValueError(f"members of an {self.combination} ensemble weigh the same: got {self.weights}")

    def probability(self, members: Sequence[NDArray[np.float64] | float | None]) -> NDArray[np.float64] | None:
        """The combined probability of one class.

        Args:
            members: each one's calibrated probability, a number or an array (slices,); None from a member that does
                not assess the class. Such a member does not count: the weights of the others are scaled up to 1.

        Returns:
            0..1, of the members' shape; None if no member assesses the class.
        """
        return self._mean([answer if answer is None else self._counted(np.asarray(answer)) for answer in members])

    def logits(self, probability: NDArray[np.float64]) -> NDArray[np.float32]:
        """What the ensemble's rule calibrates: the logit of a combined probability, of the same shape.

        Certainty has no finite logit. A mean is clipped at EPSILON, a vote at half a vote from none and from all, so
        that unanimity lies as far from the next vote as a vote can tell.
        """
        edge = 0.5 / len(self.weights) if self.combination == "vote" else EPSILON
        clipped = np.clip(probability, edge, 1 - edge)
        return np.log(clipped / (1 - clipped)).astype(np.float32)

    def mask_probability(self, members: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
        """The mean of the members' pixel probabilities (rows, columns), each on the scan's own grid.

        None from a member that gives no mask; the weights of the others are scaled up to 1. Pixels are averaged by
        weight also where classes are voted on.
        """
        mean = self._mean(members)
        return None if mean is None else mean.astype(np.float32)

    def findings(
        self, members: Sequence[SliceFindings], rule: Rule, spacing_mm: tuple[float, float] | None
    ) -> SliceFindings:
        """What the ensemble says of a slice.

        Args:
            members: what each member says of it, in the order of `weights`.
            rule: the ensemble's own; every class of it is assessed by a member.
            spacing_mm: between rows and between columns, or None.
        """
        combined = [self.probability([one.probabilities[name] for one in members]) for name in rule.classes]
        logits = self.logits(np.array(combined, np.float64))
        mask_probability = self.mask_probability([one.mask_probability for one in members])
        return ruled_findings(logits, mask_probability, MeanMaps([one.heat for one in members]), rule, spacing_mm)

    def _counted(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.combination != "vote":
            return probability
        # What is not a number is no vote against: it stays visible.
        return np.where(np.isnan(probability), np.nan, probability >= VOTES_FROM)

    def _mean(self, members: Sequence[NDArray[Any] | None]) -> NDArray[np.float64] | None:
        """The weighted mean over the members that answer; None if none does."""
        answers = [answer for answer in members if answer is not None]
        weights = [weight for weight, answer in zip(self.weights, members, strict=True) if answer is not None]
        return np.asarray(np.average(np.stack(answers), axis=0, weights=weights)) if answers else None


class MeanMaps(Mapping[str, NDArray[np.float32]]):
    """Class name -> the mean of the members' heat maps of that class, float32 (rows, columns), 0..1.

    Members without a class head have no maps and do not count. Maps are made when they are asked for.
    """

    def __init__(self, members: Sequence[Mapping[str, NDArray[np.float32]]]) -> None:
        having = {name: [heat for heat in members if name in set(heat)] for name in CLASSES}
        self._maps = {name: heats for name, heats in having.items() if heats}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = np.mean([heat[name] for heat in self._maps[name]], axis=0, dtype=np.float32)
        return mean

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)
