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


_OURS = "ours: 20,000 slices of three small sets, random weights, small images, split by patient"
_FIRST = (
    "12,000 other pictures of a source that is not named, ImageNet weights, one split without a test side and no word "
    f"of patients; {_OURS}"
)
_RSNA_BY_TENTHS = f"up to 200,000 RSNA slices, trained for hours on a GPU; 81/9/10 with no word of patients; {_OURS}"
_SECOND = (
    "split by slice, so that slices of one patient stand on both sides; 318 masks. Ours: split by patient, 55 masks "
    "and the bright part of boxes"
)
_THIRD = (
    "752,800 RSNA slices seen once, 80/20 with no word of patients; its AUC is over all six outputs together. "
    f"{_OURS.capitalize()}"
)
_THIRD_SUBSET = f"50,000 RSNA slices seen once, vascular, brain and subdural windows. {_OURS.capitalize()}"
_FOURTH = (Reported("004", "no figure that can be compared", "its page shows curves without numbers"),)


def _first(accuracy: float, f1: float, recall: float, precision: float, auc: float) -> Reported:
    """A line of tables 6 and 7 of report 001: its optimised networks, and its ensembles of them."""
    figures = f"accuracy {accuracy}, F1 {f1}, recall {recall}, precision {precision}, AUC {auc}"
    return Reported("001", figures, _RSNA_BY_TENTHS)


REPORTED: dict[str, tuple[Reported, ...]] = {
    "resnet152": (Reported("000", "validation accuracy 0.916, training accuracy 0.824", _FIRST),),
    "efficientnet_b2": (_first(0.950, 0.813, 0.774, 0.856, 0.876),),
    "efficientnet_b2_adjacent": (_first(0.932, 0.751, 0.700, 0.811, 0.836),),
    "resnet50": (
        _first(0.922, 0.706, 0.637, 0.792, 0.804),
        Reported("003", "ResNet, ImageNet weights: AUC 0.503", _THIRD_SUBSET),
    ),
    "densenet121": (
        _first(0.932, 0.750, 0.688, 0.823, 0.831),
        Reported("003", "DenseNet, ImageNet weights: AUC 0.489", _THIRD_SUBSET),
    ),
    "papers_average": (_first(0.944, 0.787, 0.711, 0.879, 0.857),),
    "papers_vote": (_first(0.941, 0.775, 0.699, 0.870, 0.841),),
    "papers_weighted": (_first(0.944, 0.858, 0.813, 0.909, 0.851),),
    "unet": (Reported("002", "pixel AUC 0.94, IoU 0.32", _SECOND),),
    "two_branch": (Reported("002", "pixel AUC 0.98, IoU 0.56", _SECOND),),
    "two_branch_by_slice": (Reported("002", "pixel AUC 0.98, IoU 0.56", "its split, with 55 masks and boxes"),),
    "plain_cnn": (Reported("003", "bone, brain and subdural windows: AUC 0.881", _THIRD),),
    "plain_cnn_vascular": (Reported("003", "vascular, brain and subdural windows: AUC 0.879", _THIRD),),
    "alexnet": (Reported("003", "AUC 0.697", _THIRD),),
    "inception_v3": (Reported("003", "ImageNet weights, all but the last layers frozen: AUC 0.720", _THIRD),),
    "vgg16": _FOURTH,
    "stn_vgg16": _FOURTH,
    "stn_inception_v3": _FOURTH,
}
