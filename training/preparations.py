"""The preparations of the papers, as `Preprocess` objects with names, and what pictures can give of them.

In: a preparation and the samples of data sets. Out: which windows the sets give exactly and which only in part.

DICOM gives every window exactly. Pictures end where the window ends that they were drawn in. A wider window is still
made from them: what lies beyond has the value of the end, so that the channel holds the part that is there. The network
learns from that part, and the model card says so (`cards.preparation_limits`).

The sizes are those of the papers, or 224 where a paper names none: `at_size` changes them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hemoscope.preprocessing import WINDOWS, Preprocess
from hemoscope.scan import BRAIN, Window
from training.datasets.sample import Sample

# Paper 001 (EfficientNetB2, ResNet50, DenseNet121), section 3.2.1: brain 40/80, subdural 80/400 ("-120 to 280"), soft
# tissue 30/30 as three channels, scaled to 0..1. It names no size: 224 is what its backbones were made for.
THREE_WINDOWS = Preprocess(224, (BRAIN, WINDOWS["subdural_wide"], WINDOWS["soft"]))

# Paper 001, section 3.2.2 (adjacent slice image preprocess): previous, core and next slice as three channels in one
# window. The text says "a range of 40-80", its discussion that "values below 0 and above 80" are lost: brain, 40/80.
ASIP = Preprocess(224, (BRAIN,), neighbours=1)

# Paper 003 (plain CNN, AlexNet, InceptionV3, ResNet, DenseNet): bone or vascular, with brain and subdural, at 512 px by
# zero padding and truncation. It names the windows and not their figures. Brain 40/80, subdural 80/200 and bone
# 600/2800 are those in common use for heads (bone: temporal bones); vascular 300/600 is the preset for CT angiography
# in DICOM viewers. The paper cuts off the end of larger images; here both sides share what is padded or cut, so that
# the head stays in the middle.
BONE_BRAIN_SUBDURAL = Preprocess(512, (WINDOWS["bone"], BRAIN, WINDOWS["subdural"]), frame="canvas", canvas_px=512)
VASCULAR_BRAIN_SUBDURAL = Preprocess(
    512, (WINDOWS["vascular"], BRAIN, WINDOWS["subdural"]), frame="canvas", canvas_px=512
)

# Paper 000 (ResNet-152): thresholding, closing, opening and filling keep what lies in the skull, then CLAHE. It names
# neither window nor clip limit nor size: brain, 2 on 8 x 8 tiles, 224.
CLAHE_INTRACRANIAL = Preprocess(224, (BRAIN,), intracranial=True, clahe_clip=2.0)

# Paper 002 (U-Net, two-branch network): 160 x 160 x 1, divided by 255, equalised, stretched between the 2nd and the
# 98th percentile. It works on CT-ICH's pictures as they are: window 40/120.
EQUALISED_STRETCHED = Preprocess(160, (Window(40, 120),), equalise=True, stretch=(2, 98))

PREPARATIONS: dict[str, Preprocess] = {
    "three_windows": THREE_WINDOWS,
    "asip": ASIP,
    "bone_brain_subdural": BONE_BRAIN_SUBDURAL,
    "vascular_brain_subdural": VASCULAR_BRAIN_SUBDURAL,
    "clahe_intracranial": CLAHE_INTRACRANIAL,
    "equalised_stretched": EQUALISED_STRETCHED,
}


def at_size(preprocess: Preprocess, size: int) -> Preprocess:
    """The same preparation with an input of `size` x `size` pixels. A canvas stays as large and is scaled to it."""
    return replace(preprocess, size=size)


@dataclass(frozen=True)
class Coverage:
    """What slices of one set that were drawn alike give of a preparation.

    Attributes:
        source: name of the set.
        drawn_in: the window of its pictures; None for DICOM.
        slices: how many there are.
        alone: how many of them have no known neighbour, where the preparation asks for neighbours; 0 otherwise.
        exact: the preparation's windows that are given in full.
        clipped: those that reach beyond the pictures' ends.
    """

    source: str
    drawn_in: Window | None
    slices: int
    alone: int
    exact: tuple[Window, ...]
    clipped: tuple[Window, ...]


def coverage(preprocess: Preprocess, samples: Sequence[Sample]) -> tuple[Coverage, ...]:
    """What these samples give of a preparation: one entry for each set and each window that it was drawn in."""
    alike: dict[tuple[str, Window | None], list[Sample]] = defaultdict(list)
    for sample in samples:
        alike[sample.source, sample.window].append(sample)
    found = []
    for (source, drawn_in), members in sorted(alike.items(), key=lambda item: (item[0][0], str(item[0][1]))):
        clipped = tuple(w for w in preprocess.windows if drawn_in is not None and not drawn_in.holds(w))
        exact = tuple(window for window in preprocess.windows if window not in clipped)
        reach = preprocess.neighbours
        alone = sum(not sample.neighbours(reach) for sample in members) if reach else 0
        found.append(Coverage(source, drawn_in, len(members), alone, exact, clipped))
    return tuple(found)
