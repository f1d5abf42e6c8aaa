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


PLANS: dict[str, Plan] = {
    "papers": Plan(
        title="Every network of the reports, compared",
        fold=0,
        configurations=(
            "reader",
            "plain_cnn",
            "plain_cnn_vascular",
            "alexnet",
            "vgg16",
            "inception_v3",
            "resnet50",
            "resnet152",
            "densenet121",
            "efficientnet_b2",
            "efficientnet_b2_adjacent",
            "stn_vgg16",
            "stn_inception_v3",
            "unet",
            "two_branch",
            "two_branch_by_slice",
        ),
        ensembles=("papers_average", "papers_vote", "papers_weighted", "best_weighted"),
    ),
}
