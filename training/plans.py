"""The registry of comparisons: a name -> what is trained and compared on one footing.

In: nothing. Out: `PLANS`, for `training.compare`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """One comparison.

    Attributes:
        title: of its page.
        fold: the fold held out; the same for all.
        configurations: names in `configs.CONFIGS`; what they start from is trained before them.
        ensembles: names in `ensembles.ENSEMBLES`, made of these.
    """

    title: str
    fold: int
    configurations: tuple[str, ...]
    ensembles: tuple[str, ...] = ()


PLANS: dict[str, Plan] = {}
