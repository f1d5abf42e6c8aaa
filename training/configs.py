"""The registry of training configurations: a name -> everything that decides the result.

A network joins with one builder in `networks` and one entry here. Costs and results are in docs/experiments.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Window
from training.preparations import (
    ASIP,
    BONE_BRAIN_SUBDURAL,
    CLAHE_INTRACRANIAL,
    EQUALISED_STRETCHED,
    THREE_WINDOWS,
    VASCULAR_BRAIN_SUBDURAL,
    at_size,
)


@dataclass(frozen=True)
class TrainConfig:
    """One training.

    Attributes:
        network: name in `networks.NETWORKS`.
        preprocess: how slices become inputs; stored in the manifest.
        sets: data sets, by their loaders' names.
        split: `patient`, or `slice` to show what a leak is worth: slices of one patient then stand on several sides.
        needs: which slices take part: `mask` those whose every pixel is known, `any` all.
        arguments: of the builder, besides size and channels.
        sampling: `copies` is the report's offline balancing; `weights` draws by `weights`.
        weights: (negative, positive) draw weight by set; the rarest class of a slice multiplies it by `rare`.
        rare: factor by class for positive slices; the largest that applies counts.
        slices_per_epoch, epochs, batch: how much.
        learning_rate: the peak, after `warmup` epochs of linear rise.
        schedule: what follows: `cosine` and `exponential` fall to `final_rate` of the peak at the end, `steps` is a
            tenth from half of the epochs on and a hundredth from three quarters on, `constant` stays.
        optimizer: with `weight_decay` (decoupled); `momentum` is that of `sgd` and `rmsprop`.
        class_weight, any_weight, positive_weights, smoothing, focal: of the class loss; `positive_weights` by class.
        pixel_weight, cross_entropy, dice, slice_dice, box, pixel_focal: of the pixel loss.
        subtype_weight: of the loss of the pixels' subtypes, for networks that give them.
        synthetic: slices with drawn bleeds added to the training side, see `datasets.synthesis`; `weights` knows them
            as the set `synthetic`.
        pasted: slices with pasted bleeds added to the training side, see `datasets.pasting`; the set `pasted`.
        lookalikes: slices with what looks like blood and is none, see `datasets.lookalikes`; the set `lookalike`.
        teacher: name of a training whose masks stand in where slices are only labelled, see `teaching`; or None.
        outline_boxes: learn from the bright part of a box where no mask was drawn, see `datasets.pseudo`.
        augment: name in `augment.PIPELINES`.
        patience: epochs without a better validation loss before the training stops; None never stops.
        keep: `best` keeps the weights of the lowest validation loss, `last` the last.
        mean_of_last: what is kept has the mean of the weights after each of that many epochs; 0 takes no mean.
        share_of_start: what is kept is mixed with this share of the weights that the training started from.
        precision: Keras' policy.
        initial: name of the training to start from, or the path of exported weights (`weights/reader/start.npz`), or
            None for random weights.
        initial_layer: the nested network that takes them; None: the whole one.
        mirror: evaluate and serve the mean over a slice and its mirror image: twice the network's time.
        licence: of the weights, from the data used.
        seed: of everything.
    """

    network: str
    preprocess: Preprocess
    sets: tuple[str, ...]
    needs: Literal["mask", "any"]
    slices_per_epoch: int
    epochs: int
    licence: str
    split: Literal["patient", "slice"] = "patient"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sampling: Literal["copies", "weights"] = "weights"
    weights: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rare: Mapping[str, float] = field(default_factory=dict)
    batch: int = 16
    learning_rate: float = 1e-3
    warmup: float = 0.0
    final_rate: float = 0.0
    schedule: Literal["cosine", "exponential", "steps", "constant"] = "cosine"
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    class_weight: float = 1.0
    any_weight: float = 1.0
    positive_weights: Mapping[str, float] = field(default_factory=dict)
    smoothing: float = 0.0
    focal: float = 0.0
    pixel_weight: float = 1.0
    cross_entropy: float = 1.0
    dice: float = 0.0
    slice_dice: float = 0.0
    box: float = 0.0
    pixel_focal: float = 0.0
    subtype_weight: float = 1.0
    outline_boxes: bool = False
    synthetic: int = 0
    pasted: int = 0
    lookalikes: int = 0
    teacher: str | None = None
    augment: str = "report"
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    mean_of_last: int = 0
    share_of_start: float = 0.0
    precision: str = "mixed_bfloat16"
    initial: str | None = None
    initial_layer: str | None = None
    mirror: bool = False
    seed: int = 2019


# Brain, and its two halves where blood and where edema and clots differ: all lie inside 0..80 HU, which is what every
# set here can give.
READER_WINDOWS = (BRAIN, Window(40, 40), Window(60, 40))

CC_BY = "CC-BY-4.0"
RESEARCH = "Non-commercial research and education only (from RSNA 2019 and PHE-SICH-CT-IDS); share alike"

# Adam's rate of 1e-5 in the report would need days here: it is 1e-3 with a cosine. Cross-entropy alone, as in the
# report, had learnt nothing but background after 9,600 slices; Dice a slice is added to it, the batches are halved for
# twice the steps, and boxes stand in for the masks that this copy of CT-ICH lacks (docs/experiments.md).
_REPORT = {
    "preprocess": EQUALISED_STRETCHED,
    "sets": ("ct_ich",),
    "needs": "mask",
    "sampling": "copies",
    "augment": "report",
    "outline_boxes": True,
    "slice_dice": 1.0,
    "batch": 8,
    "warmup": 1,
    "final_rate": 0.01,
    "keep": "last",
    "mean_of_last": 4,
    "slices_per_epoch": 1200,
    "licence": CC_BY,
}

_READER = {
    "network": "reader",
    "sets": ("ct_ich", "phe_sich", "rsna"),
    "needs": "any",
    "sampling": "weights",
    "weights": {"ct_ich": (0.5, 4.0), "phe_sich": (0.3, 0.7), "rsna": (1.0, 3.0)},
    "rare": {"epidural": 2.0, "subarachnoid": 1.5, "intraventricular": 1.5, "subdural": 1.3},
    "batch": 32,
    "optimizer": "adamw",
    "weight_decay": 0.02,
    "any_weight": 2.0,
    "smoothing": 0.01,
    "cross_entropy": 5.0,
    "dice": 0.5,
    "slice_dice": 1.0,
    "box": 0.1,
    "outline_boxes": True,
    "augment": "anatomical",
    "keep": "last",
    "licence": RESEARCH,
}

# Drawn and pasted bleeds among the reader's slices.
_WITH_BLEEDS = _READER["weights"] | {"synthetic": (0.0, 0.4), "pasted": (0.0, 0.4)}

_BRIEF_96: dict[str, Any] = {
    "slices_per_epoch": 6000,
    "epochs": 10,
    "learning_rate": 2e-3,
    "warmup": 1,
    "final_rate": 0.1,
    "mean_of_last": 2,
}

_BRIEF: dict[str, Any] = {
    "arguments": {"subtypes": True},
    "slices_per_epoch": 6000,
    "epochs": 4,
    "learning_rate": 1e-3,
    "warmup": 0.5,
    "final_rate": 0.02,
    "subtype_weight": 0.3,
    "synthetic": 1000,
    "pasted": 500,
    "mean_of_last": 2,
    "weights": _WITH_BLEEDS,
}

# The reader on CT-ICH alone, where three of the subtypes come from four to seven patients each: bleeds are drawn in
# every step, about a fifth of what is seen. A slice is seen some sixty times in all, as often as by the reader.
_READER_OPEN = _READER | {
    "sets": ("ct_ich",),
    "weights": {"ct_ich": (1.0, 3.0), "synthetic": (0.0, 0.4)},
    "rare": {"subarachnoid": 2.0, "intraventricular": 2.0, "subdural": 1.5},
    "slices_per_epoch": 3000,
    "synthetic": 1000,
    "mean_of_last": 4,
    "licence": CC_BY,
}

_CLASSIFIER = {
    "sets": ("ct_ich", "phe_sich", "rsna"),
    "needs": "any",
    "sampling": "weights",
    "weights": {"ct_ich": (0.5, 2.0), "phe_sich": (0.3, 0.7), "rsna": (1.0, 3.0)},
    "slices_per_epoch": 2000,
    "epochs": 10,
    "batch": 16,
    "warmup": 0.5,
    "final_rate": 0.02,
    "augment": "anatomical",
    "keep": "best",
    "licence": RESEARCH,
}

KINDS_KNOWN = ("ct_ich", "rsna")  # PHE-SICH says nothing of four of the five subtypes, so a slice of it has no kind

CONFIGS: dict[str, TrainConfig] = {
    "unet": TrainConfig(network="unet", epochs=20, **_REPORT),
    "two_branch": TrainConfig(network="two_branch", epochs=20, **_REPORT),
    # As the report splits, once, to show what the leak is worth.
    "two_branch_by_slice": TrainConfig(network="two_branch", epochs=20, split="slice", **_REPORT),
    # The reader grows up in steps: most of the slices are seen small, which costs a third, and the last ones at the
    # size that it serves. 133 minutes to reader_160, 93 to reader_drawn (the weights 0.3.0) and 45 to reader_taught
    # (0.4.0) on two cores that another training shared.
    "reader_96": TrainConfig(
        preprocess=Preprocess(size=96, windows=READER_WINDOWS, frame="head"),
        slices_per_epoch=6000,
        epochs=24,
        learning_rate=2e-3,
        warmup=1,
        final_rate=0.1,
        mean_of_last=4,
        **_READER,
    ),
    "reader_128": TrainConfig(
        preprocess=Preprocess(size=128, windows=READER_WINDOWS, frame="head"),
        slices_per_epoch=6000,
        epochs=20,
        learning_rate=1e-3,
        warmup=0.5,
        final_rate=0.05,
        mean_of_last=4,
        initial="reader_96",
        **_READER,
    ),
    "reader_160": TrainConfig(
        preprocess=Preprocess(size=160, windows=READER_WINDOWS, frame="head"),
        slices_per_epoch=6000,
        epochs=5,
        learning_rate=5e-4,
        warmup=0.25,
        final_rate=0.02,
        mean_of_last=4,
        initial="reader_128",
        mirror=True,
        **_READER,
    ),
    "reader_drawn": TrainConfig(
        preprocess=Preprocess(size=160, windows=READER_WINDOWS, frame="head"),
        slices_per_epoch=6000,
        epochs=30,
        learning_rate=1e-3,
        warmup=0.5,
        final_rate=0.02,
        synthetic=2500,
        mean_of_last=6,
        share_of_start=0.5,
        initial="reader_160",
        mirror=True,
        **_READER | {"weights": _READER["weights"] | {"synthetic": (0.0, 0.4)}},
    ),
    # Learns where the slices of RSNA bleed from the network before it, and of which subtype a pixel's blood is. The
    # mirror image doubled the time and gave nothing; it stays in what teaches.
    "reader_taught": TrainConfig(
        preprocess=Preprocess(size=160, windows=READER_WINDOWS, frame="head"),
        arguments={"subtypes": True},
        slices_per_epoch=6000,
        epochs=9,
        learning_rate=6e-4,
        warmup=0.5,
        final_rate=0.02,
        subtype_weight=0.3,
        synthetic=2500,
        pasted=1500,
        teacher="reader_drawn",
        mean_of_last=4,
        share_of_start=0.3,
        initial="reader_drawn",
        **_READER | {"weights": _WITH_BLEEDS},
    ),
    # Shown what looks like blood and is none: the one before it took calcium on both sides, dense sinuses and streaks
    # for blood far too often.
    "reader": TrainConfig(
        preprocess=Preprocess(size=160, windows=READER_WINDOWS, frame="head"),
        arguments={"subtypes": True},
        slices_per_epoch=6000,
        epochs=3,
        learning_rate=4e-4,
        warmup=0.25,
        final_rate=0.02,
        subtype_weight=0.3,
        synthetic=1000,
        pasted=600,
        lookalikes=1200,
        teacher="reader_drawn",
        mean_of_last=2,
        share_of_start=0.4,
        initial="reader_taught",
        **_READER | {"weights": _WITH_BLEEDS | {"lookalike": (0.4, 0.0)}},
    ),
    # The reader's recipe in a ninth of its time: what judges it on every fold, and on a hospital that it never saw,
    # where the whole recipe would take days.
    "reader_brief_96": TrainConfig(
        preprocess=Preprocess(size=96, windows=READER_WINDOWS, frame="head"), **_READER | _BRIEF_96
    ),
    "reader_brief": TrainConfig(
        preprocess=Preprocess(size=160, windows=READER_WINDOWS, frame="head"),
        teacher="reader_brief_96",
        initial="reader_brief_96",
        **_READER | _BRIEF,
    ),
    # Without CT-ICH: how the recipe does on scanners and patients of another hospital.
    "reader_outside_96": TrainConfig(
        preprocess=Preprocess(size=96, windows=READER_WINDOWS, frame="head"),
        **_READER | _BRIEF_96 | {"sets": ("phe_sich", "rsna"), "epochs": 8, "mean_of_last": 4},
    ),
    "reader_outside": TrainConfig(
        preprocess=Preprocess(size=160, windows=READER_WINDOWS, frame="head"),
        teacher="reader_outside_96",
        initial="reader_outside_96",
        **_READER | _BRIEF | {"sets": ("phe_sich", "rsna")},
    ),
    # Rates and sizes are the reader's, the epochs follow from the slices there are.
    "reader_open_96": TrainConfig(
        preprocess=Preprocess(size=96, windows=READER_WINDOWS, frame="head"),
        epochs=18,
        learning_rate=2e-3,
        warmup=1,
        final_rate=0.1,
        **_READER_OPEN,
    ),
    "reader_open_128": TrainConfig(
        preprocess=Preprocess(size=128, windows=READER_WINDOWS, frame="head"),
        epochs=10,
        learning_rate=1e-3,
        warmup=0.5,
        final_rate=0.05,
        initial="reader_open_96",
        **_READER_OPEN,
    ),
    "reader_open": TrainConfig(
        preprocess=Preprocess(size=160, windows=READER_WINDOWS, frame="head"),
        epochs=7,
        learning_rate=5e-4,
        warmup=0.5,
        final_rate=0.02,
        initial="reader_open_128",
        **_READER_OPEN,
    ),
    # The classifiers of the reports, on one footing: the same slices, drawn alike, 20,000 of them, the same
    # augmentation, random weights. What differs is what each report says of its network: preparation, size (smaller
    # here where the report's would take days), loss, optimizer.
    "plain_cnn": TrainConfig(network="plain_cnn", preprocess=BONE_BRAIN_SUBDURAL, learning_rate=1e-3, **_CLASSIFIER),
    "plain_cnn_vascular": TrainConfig(
        network="plain_cnn", preprocess=VASCULAR_BRAIN_SUBDURAL, learning_rate=1e-3, **_CLASSIFIER
    ),
    "alexnet": TrainConfig(
        network="alexnet", preprocess=at_size(VASCULAR_BRAIN_SUBDURAL, 227), learning_rate=3e-4, **_CLASSIFIER
    ),
    "inception_v3": TrainConfig(
        network="inception_v3", preprocess=at_size(VASCULAR_BRAIN_SUBDURAL, 160), learning_rate=1e-3, **_CLASSIFIER
    ),
    "resnet152": TrainConfig(
        network="resnet152", preprocess=at_size(CLAHE_INTRACRANIAL, 128), learning_rate=5e-4, **_CLASSIFIER
    ),
    "resnet50": TrainConfig(
        network="resnet50", preprocess=at_size(THREE_WINDOWS, 128), learning_rate=5e-4, any_weight=5.0, **_CLASSIFIER
    ),
    "densenet121": TrainConfig(
        network="densenet121", preprocess=at_size(THREE_WINDOWS, 128), learning_rate=5e-4, any_weight=5.0, **_CLASSIFIER
    ),
    "efficientnet_b2": TrainConfig(
        network="efficientnet_b2",
        preprocess=at_size(THREE_WINDOWS, 128),
        learning_rate=1e-3,
        any_weight=5.0,
        **_CLASSIFIER | {"precision": "float32"},  # faster here than in bfloat16
    ),
    "efficientnet_b2_adjacent": TrainConfig(
        network="efficientnet_b2",
        preprocess=at_size(ASIP, 128),
        learning_rate=1e-3,
        any_weight=5.0,
        **_CLASSIFIER | {"precision": "float32"},
    ),
    "vgg16": TrainConfig(network="vgg16", preprocess=at_size(THREE_WINDOWS, 128), learning_rate=1e-4, **_CLASSIFIER),
    # Two stages share the 20,000 slices: first the kinds of slice that exclude each other, then the six labels.
    "stn_vgg16_kinds": TrainConfig(
        network="stn_vgg16_kinds",
        preprocess=at_size(THREE_WINDOWS, 128),
        learning_rate=1e-4,
        **_CLASSIFIER | {"epochs": 5, "sets": KINDS_KNOWN},
    ),
    "stn_vgg16": TrainConfig(
        network="stn_vgg16",
        preprocess=at_size(THREE_WINDOWS, 128),
        learning_rate=1e-4,
        initial="stn_vgg16_kinds",
        initial_layer="stage_1",
        **_CLASSIFIER | {"epochs": 5},
    ),
    # Without a bound its transformer looked beside the slice after two epochs; in bfloat16 the gradient of one
    # convolution came out as no number now and then (docs/experiments.md).
    "stn_inception_v3_kinds": TrainConfig(
        network="stn_inception_v3_kinds",
        preprocess=at_size(THREE_WINDOWS, 128),
        learning_rate=5e-4,
        precision="float32",
        arguments={"largest_change": 0.5},
        **_CLASSIFIER | {"epochs": 5, "sets": KINDS_KNOWN},
    ),
    "stn_inception_v3": TrainConfig(
        network="stn_inception_v3",
        preprocess=at_size(THREE_WINDOWS, 128),
        learning_rate=5e-4,
        precision="float32",
        arguments={"largest_change": 0.5},
        initial="stn_inception_v3_kinds",
        initial_layer="stage_1",
        **_CLASSIFIER | {"epochs": 5},
    ),
}
