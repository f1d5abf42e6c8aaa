"""The registry of ensembles: a name -> which exported networks, and how they are combined.

An ensemble joins with one entry here. Its members keep their own preparation; they must be trained on the same fold of
the same split. Their weights are not here: they come from validation patients, see `ensemble`.
"""

from collections.abc import Collection
from dataclasses import dataclass

from hemoscope.ensemble import Combination
from hemoscope.errors import BadData
from training.configs import CC_BY, RESEARCH


@dataclass(frozen=True)
class EnsembleConfig:
    """One ensemble.

    Attributes:
        title: for people.
        members: names of weights folders.
        combination: see `hemoscope.ensemble.Ensemble`.
    """

    title: str
    members: tuple[str, ...]
    combination: Combination


# The four with the highest AUC of `any` on all slices of fold 0's validation side, 2026-11-21.
_BEST = ("reader", "densenet121", "vgg16", "alexnet")

# The three networks of the report on classification, and its three ways to combine them.
_PAPERS = ("efficientnet_b2", "resnet50", "densenet121")

ENSEMBLES: dict[str, EnsembleConfig] = {
    "papers_average": EnsembleConfig("Average of the report's three networks", _PAPERS, "average"),
    "papers_vote": EnsembleConfig("Vote of the report's three networks", _PAPERS, "vote"),
    "papers_weighted": EnsembleConfig("Weighted average of the report's three networks", _PAPERS, "weighted"),
    "best_weighted": EnsembleConfig("Weighted average of the four best networks", _BEST, "weighted"),
}

LICENCES = (CC_BY, RESEARCH)  # each allows less than the one before it


def strictest_licence(licences: Collection[str]) -> str:
    """The licence of what is made of parts under these: that part's which allows least, by the order of LICENCES.

    Raises:
        BadData: if they differ and one of them is not in that order; a person has to decide then.
    """
    unknown = sorted(set(licences) - set(LICENCES))
    if len(set(licences)) > 1 and unknown:
        raise BadData(
            f"Which of the members' licences is the strictest is not known for {', '.join(map(repr, unknown))}: give "
            "it a place in training/ensembles.py."
        )
    return max(licences, key=lambda licence: LICENCES.index(licence) if licence in LICENCES else 0)
