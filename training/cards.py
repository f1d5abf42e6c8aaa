"""What the model cards say that no measurement can: titles, summaries, limits, and whom to cite.

In: a manifest. Out: `weights/<name>/README.md`, and the sources' licences for the manifest. What the preparation alone
limits is worked out from it and from the slices that were learnt from. A name without words of its own gets a card from
its configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hemoscope.errors import BadData
from hemoscope.manifest import EnsembleManifest, Manifest, Metric, NetworkManifest
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import Window
from training.configs import TrainConfig
from training.datasets.sample import Sample
from training.folds import fold_word
from training.preparations import Coverage, coverage
from training.saved import START_FILE


@dataclass(frozen=True)
class Source:
    """A data set: its licence, and whom to cite."""

    title: str
    licence: str
    citation: str


@dataclass(frozen=True)
class Card:
    """The words of one model card."""

    title: str
    summary: str
    limits: tuple[str, ...]


OUT_OF_FOLD = (
    "The figures are not of this network: it was trained on all patients, so nobody is left to measure it on. They are "
    "of the networks of the folds, trained by the same recipe, each judged on patients that it never saw, by a rule "
    "fitted on other patients. The calibration and thresholds of this network were fitted on the out-of-fold "
    "predictions of those networks; whether they suit it as well was not measured."
)

SOURCES = {
    "ct_ich": Source(
        "CT-ICH 1.3.0",
        "CC BY 4.0",
        "Hssayeni et al., Intracranial Hemorrhage Segmentation Using a Deep Convolutional Model, Data 2020, 5(1):14",
    ),
    "phe_sich": Source(
        "PHE-SICH-CT-IDS",
        "non-commercial, attribution, share-alike",
        "Ma et al., PHE-SICH-CT-IDS, 2023",
    ),
    "rsna": Source(
        "RSNA 2019 Intracranial Hemorrhage Detection",
        "non-commercial research and education, with citation",
        "Flanders et al., Radiology: Artificial Intelligence 2020, 2(3):e190211",
    ),
}

_EVERY_MODEL = (
    "Trained on a few thousand slices from a few scanners: other scanners, children, contrast, post-operative heads "
    "and motion are not validated.",
)
_BOXES_TRIED = (
    "How boxes become training targets was tried on all masks of CT-ICH, those of the test patients among them: the "
    "Dice on CT-ICH may be slightly hopeful."
)
_CT_ICH_ONLY = (
    _BOXES_TRIED,
    "Learnt from the masks and boxes of one hospital's patients, few of whom bleed, in the window 40/120: on pictures "
    "in a narrower window it is out of its range.",
    "Says whether and where there is blood, not of which subtype.",
)

_RULE_OF_FIGURES = "|---|---|---|---|---|---|---|"  # the line below the head of the card's table of figures
_SAYS = {"logits": "the six classes", "mask": "a mask of the blood"}
_LACKS = {
    "logits": "Says whether and where there is blood, not of which subtype.",
    "mask": "Says whether there is blood and of which subtype; where, only by coarse heat maps: no areas, no volumes.",
}

CARDS = {
    "reader": Card(
        "Reader: six classes and a mask",
        "Hemoscope's own network: one residual encoder, a mask and the six classes, trained on CT-ICH, PHE-SICH-CT-IDS "
        "and RSNA 2019 at once.",
        (
            *_EVERY_MODEL,
            "Epidural bleeds are rare in the data (see the figures' n): their probability is weakly supported.",
            "Masks were learnt from one hospital's masks, fewer than a hundred slices, from masks derived with Otsu's "
            "method, and from what an earlier network marked; thin extra-axial, faint subarachnoid and old, dark blood "
            "is often missed by the mask.",
            "Which subtype a pixel of the mask has was learnt from drawn bleeds, boxes, and slices of one subtype; few "
            "slices tell how well (see the figures).",
            "A seventh of the slices that it was shown in its last step are made: two thirds of these carry bleeds "
            "that were drawn or pasted, one third what was drawn to look like blood and is none.",
            "Its first four steps are those of 0.3.0, trained on the training patients of fold 0; the two last ones "
            "saw everyone. Fold 0's test patients had been read for 0.2.0, 0.3.0 and 0.4.0, and for the choice of how "
            "neighbouring slices count; what else is new was chosen on validation patients.",
            "One fold stands for all: on the other four the same recipe was trained in a ninth of its time, and "
            "reached less (`reader_brief`, docs/experiments.md).",
            _BOXES_TRIED,
        ),
    ),
    "reader_open": Card(
        "Open reader: six classes and a mask",
        "Hemoscope's own network, trained on CT-ICH alone: for those who need weights under CC BY 4.0.",
        (
            *_EVERY_MODEL,
            "Learnt from one hospital's patients, few of whom bleed. Subdural, intraventricular and subarachnoid blood "
            "come from four to seven patients each: their probabilities lean on bleeds that were drawn.",
            "A fifth of the slices that it was shown carry bleeds that were drawn, not real ones.",
            "Masks were learnt from fewer than a hundred slices and from the bright part of boxes.",
            _BOXES_TRIED,
        ),
    ),
    "unet": Card(
        "U-Net of the report",
        "The four-level U-Net of the report on binary segmentation (160 x 160, equalised and stretched), retrained on "
        "CT-ICH with a patient-wise split.",
        (
            *_EVERY_MODEL,
            *_CT_ICH_ONLY,
            "The test patients had been read once before, for 0.1.0; nothing was chosen by that but to train longer.",
        ),
    ),
    "two_branch": Card(
        "Two-branch network of the report",
        "The two-branch network of the report on binary segmentation (160 x 160, equalised and stretched), retrained "
        "on CT-ICH with a patient-wise split.",
        (*_EVERY_MODEL, *_CT_ICH_ONLY),
    ),
}


def source_of(name: str) -> Source:
    """A data set by its loader's name; of slices of one's own only their owner knows more."""
    return SOURCES.get(name, Source(f"slices of one's own ({name})", "as their owner says", "their owner"))


def preparation_limits(preprocess: Preprocess, samples: Sequence[Sample]) -> tuple[str, ...]:
    """What a network cannot know because of how its slices were prepared, in sentences.

    Args:
        preprocess: the network's.
        samples: the slices that it learnt from.
    """
    given = coverage(preprocess, samples)
    limits = [_clipped(one, one.drawn_in) for one in given if one.drawn_in is not None and one.clipped]
    if not preprocess.neighbours:
        return (*limits, "Reads slice by slice: a bleed that only neighbouring slices reveal is missed.")
    limits.append(
        "Sees each slice between its neighbours in the scan. The command line, the pages and the API read files one by "
        "one: each file's slice then stands in for its own neighbours, which is not what the figures were measured on."
    )
    limits += [
        f"{source_of(one.source).title}: {one.alone} of {one.slices} slices have no known neighbours; each stood in "
        "for its own."
        for one in given
        if one.alone
    ]
    return tuple(limits)


def _clipped(given: Coverage, pictures: Window) -> str:
    windows = ", ".join(f"{w} ({w.lowest_hu:g} to {w.highest_hu:g} HU)" for w in given.clipped)
    return (
        f"{source_of(given.source).title} ({given.slices} slices) is drawn in {pictures} and ends at "
        f"{pictures.lowest_hu:g} and {pictures.highest_hu:g} HU: of the windows {windows} the network saw only that "
        "part. DICOM shows them whole, which is more than these slices taught."
    )


def card_of(name: str, config: TrainConfig, outputs: Sequence[str]) -> Card:
    """The words for a name: those in CARDS, or what its configuration and its outputs say.

    Args:
        name: of the configuration.
        config: as it was trained.
        outputs: of the network, by name.
    """
    if name in CARDS:
        return CARDS[name]
    says = " and ".join(text for output, text in _SAYS.items() if output in outputs)
    sets = ", ".join(source_of(source).title for source in config.sets)
    preprocess = config.preprocess
    summary = (
        f"The network `{config.network}`, {preprocess.size} x {preprocess.size} x {preprocess.channels}, trained on "
        f"{sets}: {says}."
    )
    limits = [*_EVERY_MODEL]
    limits += [text for output, text in _LACKS.items() if output not in outputs]
    if config.outline_boxes:
        limits.append(_BOXES_TRIED)
    if config.split == "slice":
        limits.append(
            "Split by slice: slices of its test patients were trained on. Its figures show what such a leak adds, and "
            "say nothing of new patients."
        )
    limits.append("Trained for a comparison of networks (docs/results.md), not for the best that the network can do.")
    return Card(name.replace("_", " "), summary, tuple(limits))


@dataclass(frozen=True)
class Check:
    """What the export measured.

    Attributes:
        slices: real slices on which the graphs were compared.
        keras: largest difference of the float32 graph from Keras.
        half: largest difference in a probability that storing float16 weights makes; 0 if they are not stored so.
    """

    slices: int
    keras: float
    half: float


def write_card(
    folder: Path,
    manifest: NetworkManifest,
    trainings: Sequence[tuple[str, float]],
    given: Sequence[str],
    check: Check,
) -> None:
    """Write `folder/README.md` from the manifest and what the export measured.

    Args:
        folder: the weights folder.
        manifest: its facts.
        trainings: the configurations that were trained one after the other, and the seconds that each took.
        given: which weights stood in for configurations that these start from or learn from, in words.
        check: what the export measured.
    """
    sides = "float16 weights, float32 arithmetic" if check.half else "float32"
    lines = [
        *_head(manifest),
        f"- Network: `{manifest.architecture}`, {manifest.parameters:,} parameters; `{manifest.graph}` holds {sides}",
        f"- Input: {manifest.preprocess.size} x {manifest.preprocess.size} x {manifest.preprocess.channels}, windows "
        + ", ".join(str(window) for window in manifest.preprocess.windows)
        + f", frame `{manifest.preprocess.frame}`",
        "- Made with: "
        + ", ".join(f"`python -m training.train {name} --fold {fold_word(manifest.fold)}`" for name, _ in trainings)
        + (", the same on the folds" if manifest.fold is None else "")
        + ", then `training.evaluate` and `training.export`",
        *(f"- Not trained for this release, but taken from an earlier one: {words}" for words in given),
        f"- Training time: {sum(seconds for _, seconds in trainings) / 60:.0f} minutes on `{manifest.backend}`"
        + (", this network alone" if manifest.fold is None else ""),
        f"- The graph differs from Keras by at most {check.keras:.1e} on {check.slices} real slices; storing float16 "
        f"changes a probability by at most {check.half:.1e}",
        f"- `{START_FILE}` holds the weights in float16 for a training that starts from them; they have seen "
        + (
            "every patient of these sets, so only others can judge such a training"
            if manifest.fold is None
            else f"the training patients of fold {manifest.fold}, so no other fold can judge such a training"
        ),
        f"- Thresholds: {manifest.thresholds_chosen}",
        *_scan_line(manifest),
        *_facts(manifest, f"python -m training.evaluate {manifest.name} --fold {fold_word(manifest.fold)}"),
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def write_ensemble_card(folder: Path, manifest: EnsembleManifest) -> None:
    """Write `folder/README.md` of an ensemble from its manifest."""
    command = f"python -m training.ensemble {manifest.name} --fold {manifest.fold}"
    lines = [
        *_head(manifest),
        "- Members: "
        + ", ".join(f"`{one.name}` (weight {one.weight:.3f})" for one in manifest.members)
        + "; they are loaded from their own folders, and only as they were when the ensemble was made",
        f"- Combination: {manifest.combination}",
        f"- Cost: {manifest.cost} (the networks alone, on one processor, median over the test slices)",
        f"- Made with: `{command}`",
        f"- Weights and thresholds: {manifest.thresholds_chosen}",
        *_scan_line(manifest),
        "- The licence is the strictest of its members', by the order in `training/ensembles.py`",
        *_facts(manifest, command),
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def rewrite_card(text: str, before: Manifest, after: Manifest) -> str:
    """A model card whose scan rule and figures are another's, and whose other lines stay as they are.

    Args:
        text: the card of `before`.
        before, after: the same model; the latter with another rule for whole scans, other figures, or both.

    Raises:
        BadData: if the card does not say what `before` does.
    """
    lines = text.split("\n")
    for one in (f"- Thresholds: {before.thresholds_chosen}", *_scan_line(before), *map(_row, before.metrics)):
        if one not in lines:
            raise BadData(f"The model card lacks a line of its manifest: {one}")
    lines = [line for line in lines if line not in _scan_line(before)]
    at = lines.index(f"- Thresholds: {before.thresholds_chosen}") + 1
    lines[at:at] = _scan_line(after)
    rows = set(map(_row, before.metrics))
    lines = [line for line in lines if line not in rows]
    first = lines.index(_RULE_OF_FIGURES) + 1
    lines[first:first] = map(_row, after.metrics)
    return "\n".join(lines)


def _scan_line(manifest: Manifest) -> list[str]:
    rules = (("Whole scans", manifest.scan_rule), ("Slices of whole scans", manifest.context_rule))
    return [f"- {of}: {rule.chosen}" for of, rule in rules if rule is not None]


def _head(manifest: Manifest) -> list[str]:
    return [
        f"# {manifest.title}",
        "",
        f"`{manifest.name}` {manifest.version}, {manifest.created}. {manifest.summary}",
        "",
        f"**{manifest.intended_use}**",
        "",
        f"- Licence of the weights: {manifest.licence}",
    ]


def _figures_head(manifest: Manifest) -> list[str]:
    if manifest.fold is None:
        return ["## Figures of the networks of the folds, not of this one", "", OUT_OF_FOLD]
    return [f"## Figures on the test side of fold {manifest.fold}, on which it was not trained"]


def _row(metric: Metric) -> str:
    interval = "-" if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"
    positives = "-" if metric.positives is None else metric.positives
    return (
        f"| {metric.set} | {metric.name} | {metric.value:.3f} | {interval} | {metric.n} | {positives} | {metric.note} |"
    )


def _facts(manifest: Manifest, command: str) -> list[str]:
    """Data, figures and limits; `command` made the figures."""
    return [
        "",
        "## Trained on",
        "",
        "| set | patients | slices | licence | cite |",
        "|---|---|---|---|---|",
        *(
            f"| {data.set} | {data.patients} | {data.slices} | {data.licence} | {data.citation} |"
            for data in manifest.training_data
        ),
        "",
        *_figures_head(manifest),
        "",
        f"`{command}`, {manifest.created}; 95 % intervals by bootstrap over patients.",
        "",
        "| set | figure | value | 95 % interval | n | positive | note |",
        _RULE_OF_FIGURES,
        *map(_row, manifest.metrics),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in manifest.limits),
        "",
    ]
