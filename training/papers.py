"""What the reports say of their networks, and why our figures differ. Words for the page of results.

In: nothing. Out: `REPORTED`, by the name of our configuration.
"""

from dataclasses import dataclass

OTHER_DATA = "its data (the whole of RSNA 2019 or a part that is not named), ImageNet weights, hours on GPUs"
BY_SLICE = "split by slice, so that slices of one patient stand on both sides"
ONE_EPOCH = "one epoch, backbones frozen; 80/20 with no word of patients"


@dataclass(frozen=True)
class Reported:
    """One line: the report, its figures, and what was different there."""

    report: str
    figures: str
    why: str


_FIRST = Reported("000", "accuracy 0.916 on validation slices", f"{OTHER_DATA}; one split without a test side")
_ENSEMBLES = Reported(
    "001",
    "best of all its models and ensembles: accuracy 0.949, F1 0.814, recall 0.771, precision 0.862, AUC 0.875",
    f"{OTHER_DATA}; 81/9/10 with no word of patients",
)
_FOURTH = Reported("004", "no figure that can be compared", "its page shows curves without numbers")

REPORTED: dict[str, Reported] = {
    "resnet152": _FIRST,
    "efficientnet_b2": _ENSEMBLES,
    "efficientnet_b2_adjacent": _ENSEMBLES,
    "resnet50": _ENSEMBLES,
    "densenet121": _ENSEMBLES,
    "papers_average": _ENSEMBLES,
    "papers_vote": _ENSEMBLES,
    "papers_weighted": _ENSEMBLES,
    "unet": Reported("002", "pixel AUC 0.94, IoU 0.32", f"{BY_SLICE}; 318 masks, here 55 and boxes"),
    "two_branch": Reported("002", "pixel AUC 0.98, IoU 0.56", f"{BY_SLICE}; 318 masks, here 55 and boxes"),
    "two_branch_by_slice": Reported("002", "pixel AUC 0.98, IoU 0.56", "the same split by slice; 318 masks"),
    "plain_cnn": Reported("003", "AUC 0.8785 to 0.8808", ONE_EPOCH),
    "plain_cnn_vascular": Reported("003", "AUC 0.8785 to 0.8808", ONE_EPOCH),
    "alexnet": Reported("003", "AUC 0.697", ONE_EPOCH),
    "inception_v3": Reported("003", "AUC 0.7195 (DenseNet 0.489, ResNet 0.503)", ONE_EPOCH),
    "vgg16": _FOURTH,
    "stn_vgg16": _FOURTH,
    "stn_inception_v3": _FOURTH,
}
