"""Online augmentation of an image and its target map together. The only module that imports albumentations.

In: uint8 pixels (size, size, channels) from `Preprocess.pixels` and a uint8 target map (size, size). Out: the same
shapes. Each call takes its own seed, so that a resumed training sees what an uninterrupted one would have seen.

Adjacent slices go through the same augmentation one after the other, each with all its windows: they are moved,
jittered and blurred alike, and none is compressed into the colours of another. Noise is the same in all of them.
"""

import copy
import os
import threading
from collections.abc import Sequence

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it looks for a newer release on import otherwise

import albumentations as A  # noqa: N812
import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.preprocessing import Preprocess, apply_window
from hemoscope.scan import Window

JITTER_SHIFT_HU, JITTER_GAIN = 4.0, 0.12


class Augment:
    """A named augmentation: `none`, `report` (the report's rotation 5 degrees, flip, zoom 0.1) or `anatomical`
    (flips, ±15 degrees, scale and shift, Hounsfield jitter, noise, blur, coarse and compressed pictures)."""

    def __init__(self, name: str, preprocess: Preprocess) -> None:
        if name not in PIPELINES:
            raise ValueError(f"There is no augmentation {name!r}; there are {', '.join(PIPELINES)}.")
        self.jitter = name == "anatomical" and _in_hounsfield_units(preprocess)
        self.windows = preprocess.windows
        self.name = name
        # A pipeline holds its random state, so each thread that prepares batches has its own.
        self._of_thread = threading.local()

    def __call__(
        self, pixels: NDArray[np.uint8], target: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Augment one slice with the neighbours among its channels; the same seed gives the same result."""
        slices = np.split(pixels, pixels.shape[-1] // len(self.windows), axis=-1)
        augmented = [self._slice(one, target, seed) for one in slices]
        # Every slice moves by the same seed, so each call gives the same target.
        return np.concatenate([image for image, _ in augmented], axis=-1), augmented[0][1]

    def _slice(
        self, pixels: NDArray[np.uint8], target: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pipeline = self._pipeline()
        pipeline.set_random_seed(seed % 2**31)
        if not self.jitter:
            both = pipeline(image=np.ascontiguousarray(pixels), mask=target)
            return both["image"].reshape(pixels.shape), both["mask"]
        # The other windows lie inside the first: draw them anew from it after it was shifted and stretched.
        both = pipeline(image=np.ascontiguousarray(pixels[..., 0]), mask=target)
        return _jittered(both["image"], self.windows, np.random.default_rng(seed)), both["mask"]

    def _pipeline(self) -> A.Compose:
        if not hasattr(self._of_thread, "pipeline"):
            self._of_thread.pipeline = A.Compose(copy.deepcopy(PIPELINES[self.name]), seed=0)
        return self._of_thread.pipeline


def _in_hounsfield_units(preprocess: Preprocess) -> bool:
    """Whether grey still stands for HU, and the first of the windows holds the others in steps that are fine enough.

    Eight bits of a bone window are 11 HU a step: a brain window drawn from them would have eight levels of grey.
    """
    first, windows = preprocess.windows[0], preprocess.windows
    changed = preprocess.equalise or preprocess.stretch or preprocess.clahe_clip
    return not changed and all(first.holds(window) and first.width <= 2 * window.width for window in windows)


def _jittered(base: NDArray[np.uint8], windows: Sequence[Window], random: np.random.Generator) -> NDArray[np.uint8]:
    first = windows[0]
    hu = base.astype(np.float32) * np.float32(first.width / 255) + np.float32(first.lowest_hu)
    centre = np.float32(35.0)  # about grey matter, so that the gain changes contrast and not brightness
    gain = np.float32(random.uniform(1 - JITTER_GAIN, 1 + JITTER_GAIN))
    shift = np.float32(random.uniform(-JITTER_SHIFT_HU, JITTER_SHIFT_HU))
    # Clipped ends stay clipped: nobody knows what lay beyond them.
    moved = np.where((base > 0) & (base < 255), (hu - centre) * gain + centre + shift, hu)
    channels = [np.rint(apply_window(moved, window) * 255).astype(np.uint8) for window in windows]
    return np.stack(channels, axis=-1)


def _affine(degrees: float, scale: float, shift: float, shear: float = 0.0, probability: float = 1.0) -> A.Affine:
    return A.Affine(
        rotate=(-degrees, degrees),
        scale=(1 - scale, 1 + scale),
        translate_percent=(-shift, shift),
        shear=(-shear, shear),
        border_mode=cv2.BORDER_CONSTANT,
        p=probability,
    )


def _coarser() -> A.Downscale:
    # By default it takes the nearest pixels, which moves the image by more than a pixel away from its target.
    smooth = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    return A.Downscale(scale_range=(0.5, 0.9), interpolation_pair=smooth, p=1)


PIPELINES: dict[str, list[A.BasicTransform]] = {
    "none": [],
    "report": [A.HorizontalFlip(p=0.5), _affine(5, 0.1, 0)],
    "anatomical": [
        A.HorizontalFlip(p=0.5),
        _affine(15, 0.15, 0.05, shear=4, probability=0.9),
        A.OneOf(
            [
                A.GaussianBlur(blur_limit=(3, 3), p=1),
                A.GaussNoise(std_range=(0.01, 0.06), p=1),
                A.Sharpen(alpha=(0.1, 0.3), p=1),
            ],
            p=0.4,
        ),
        A.OneOf([A.ImageCompression(quality_range=(40, 95), p=1), _coarser()], p=0.15),
    ],
}
