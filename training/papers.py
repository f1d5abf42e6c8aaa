"""What the reports say of their networks, and why our figures differ. Words for the page of results.

In: nothing. Out: `REPORTED`, by the name of our configuration.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reported:
    """A report's figures, and what was different there."""

    report: str
    figures: str
    why: str


_FIRST = "one split, no test side, no word of patients; ImageNet weights, whole RSNA 2019 slices on a GPU"
_SECOND = "split by slice, so that slices of one patient stand on both sides; 318 masks, here 55 and boxes"
_THIRD = "all of RSNA 2019, one epoch, 80/20 with no word of patients; the AUC is over all six outputs together"
_FOURTH = (Reported("004", "no figure that can be compared", "its page shows curves without numbers"),)
_ASIP = (
    Reported(
        "001",
        "the best of all its models and ensembles: accuracy 0.949, F1 0.814, recall 0.771, precision 0.862, AUC 0.875",
        "RSNA 2019, ImageNet weights, GPU; 81/9/10 with no word of patients",
    ),
)


def _third(figures: str) -> Reported:
    return Reported("003", figures, _THIRD)


REPORTED: dict[str, tuple[Reported, ...]] = {
    "resnet152": (Reported("000", "validation accuracy 0.916, training accuracy 0.824", _FIRST),),
    "efficientnet_b2": _ASIP,
    "efficientnet_b2_adjacent": _ASIP,
    "resnet50": (*_ASIP, _third("ResNet, ImageNet weights: AUC 0.503")),
    "densenet121": (*_ASIP, _third("DenseNet, ImageNet weights: AUC 0.489")),
    "papers_average": _ASIP,
    "papers_vote": _ASIP,
    "papers_weighted": _ASIP,
    "unet": (Reported("002", "pixel AUC 0.94, IoU 0.32", _SECOND),),
    "two_branch": (Reported("002", "pixel AUC 0.98, IoU 0.56", _SECOND),),
    "two_branch_by_slice": (Reported("002", "pixel AUC 0.98, IoU 0.56", "its split, with 55 masks and boxes"),),
    "plain_cnn": (_third("bone, brain and subdural windows: AUC 0.881"),),
    "plain_cnn_vascular": (_third("vascular, brain and subdural windows: AUC 0.879"),),
    "alexnet": (_third("AUC 0.697"),),
    "inception_v3": (_third("ImageNet weights, all but the last layers frozen: AUC 0.720"),),
    "vgg16": _FOURTH,
    "stn_vgg16": _FOURTH,
    "stn_inception_v3": _FOURTH,
}
