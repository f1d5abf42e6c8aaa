"""From a scan to the network's input, and back. Training and serving call this and nothing else.

In: a `Scan` and the index of a slice. Out: uint8 pixels (size, size, channels), their float32 scaling, and a
`Placement` that carries masks between the network's square and the scan's own rows and columns.

The order is fixed: windows -> intracranial mask -> frame (whole image, head crop or canvas) -> resize -> 8 bits ->
equalise -> stretch -> CLAHE -> scale. Eight bits lose at most width/510 HU a pixel (0.16 HU for the brain window) and
make a training set a third of the size on disk; augmentation works on them, and serving takes the same path.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadWeights
from hemoscope.scan import BRAIN, Scan, Window

# Names as in the field. Brain, subdural, soft and bone as in the reports that the networks follow;
# stroke after Lev et al., Radiology 1999;213:150-155; vascular as used for CT angiography.
WINDOWS: dict[str, Window] = {
    "brain": BRAIN,
    "subdural": Window(80, 200),
    "subdural_wide": Window(80, 400),
    "soft": Window(30, 30),
    "bone": Window(600, 2800),
    "vascular": Window(300, 600),
    "stroke": Window(40, 40),
}

TISSUE_HU = 8.0  # above air, fat and the table's foam; below brain and blood
BONE_HU = 200.0  # above clotted blood, which stays below 100 HU
BONE_TOLERANCE_HU = 3.0  # pictures in a narrow window end below bone: there bone is what comes this near to the end
BONE_SHARE = 0.3  # of a reduced pixel: thin bone fills it only in part
HEAD_MARGIN = 0.03  # of the head's larger side, on each side
SMALLEST_HEAD = 0.02  # of the image's area; below it there is no head to crop to
DETECTION_PX = 160  # the head and the skull are looked for on an image reduced to this side
NUMBERED_SLICES = 8  # as many are named in one sentence
BACKGROUND_GREY = 5  # of 255: air, and what JPEG makes of it; left out of the equalisation


@dataclass(frozen=True)
class Placement:
    """Which square of the scan the network saw.

    Attributes:
        top, left, height, width: the box in scan pixels; it may reach past the scan's edges.
        rows, columns: the scan's own grid.
        size: the side of the network's input in pixels.
    """

    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int
    size: int

    def forward(self, image: NDArray[Any], interpolation: int | None = None) -> NDArray[Any]:
        """Take an image (rows, columns) into the network's square (size, size); outside the scan is 0.

        Args:
            image: (rows, columns), any dtype that OpenCV resizes.
            interpolation: an OpenCV constant; by default area averaging to shrink and bilinear to grow.
        """
        if image.shape != (self.rows, self.columns):
            raise ValueError(f"image {image.shape} is not on the scan's grid {(self.rows, self.columns)}")
        inner = image[max(self.top, 0) : self.top + self.height, max(self.left, 0) : self.left + self.width]
        above, before = max(-self.top, 0), max(-self.left, 0)
        below, after = self.height - above - inner.shape[0], self.width - before - inner.shape[1]
        if above or before or below or after:
            inner = cv2.copyMakeBorder(inner, above, below, before, after, cv2.BORDER_CONSTANT, value=0)
        if interpolation is None:
            interpolation = cv2.INTER_AREA if self.height > self.size else cv2.INTER_LINEAR
        return cv2.resize(inner, (self.size, self.size), interpolation=interpolation)

    def inverse(self, output: NDArray[np.float32], interpolation: int = cv2.INTER_LINEAR) -> NDArray[np.float32]:
        """Take a network output (any square, usually size x size) to the scan's (rows, columns); 0 outside the box."""
        box = cv2.resize(output, (self.width, self.height), interpolation=interpolation)
        onto: NDArray[np.float32] = np.zeros((self.rows, self.columns), np.float32)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.height, self.rows), min(self.left + self.width, self.columns)
        onto[top:bottom, left:right] = box[top - self.top : bottom - self.top, left - self.left : right - self.left]
        return onto


@dataclass(frozen=True)
class Preprocess:
    """How a slice becomes a network's input. Frozen and stored in the manifest, so serving rebuilds the very same.

    Attributes:
        size: side of the square input in pixels.
        windows: one channel a window, in this order.
        neighbours: slices on each side that join as channels (previous ... core ... next, each with all windows);
            at the ends of a scan, and for single slices, the nearest slice stands in.
        frame: `whole` stretches the image to the square; `head` crops to a square around the head;
            `canvas` pads with zeros or truncates to a centred square of `canvas_px`.
        canvas_px: side of the canvas in scan pixels, for `canvas` only.
        intracranial: blacken what lies outside the skull's inner surface.
        equalise: histogram equalisation of each channel's foreground, see `equalise_histogram`.
        stretch: (low, high) percentiles of each channel that become 0 and 255, or None.
        clahe_clip: clip limit of contrast limited adaptive histogram equalisation on an 8 x 8 grid, or None.
        scale: `unit` for 0..1, `signed` for -1..1.
    """

    size: int
    windows: tuple[Window, ...] = (BRAIN,)
    neighbours: int = 0
    frame: Literal["whole", "head", "canvas"] = "whole"
    canvas_px: int | None = None
    intracranial: bool = False
    equalise: bool = False
    stretch: tuple[float, float] | None = None
    clahe_clip: float | None = None
    scale: Literal["unit", "signed"] = "unit"

    def __post_init__(self) -> None:
        # Settings come from files too, where 1.5 neighbours or a text for a number can stand.
        if type(self.size) is not int or not 16 <= self.size <= 2048:
            raise ValueError(f"size must be a whole number of 16..2048 px, got {self.size!r}")
        if not self.windows:
            raise ValueError("at least one window is needed")
        if not all(np.isfinite(w.level) and np.isfinite(w.width) and w.width > 0 for w in self.windows):
            raise ValueError(f"windows need a finite level and a finite width above 0, got {self.windows}")
        if type(self.neighbours) is not int or not 0 <= self.neighbours <= 5:
            raise ValueError(f"neighbours must be a whole number of 0..5, got {self.neighbours!r}")
        if self.frame not in ("whole", "head", "canvas"):
            raise ValueError(f"frame must be whole, head or canvas, got {self.frame!r}")
        if (self.frame == "canvas") != (self.canvas_px is not None):
            raise ValueError("canvas_px goes with frame 'canvas', and only with it")
        if self.canvas_px is not None and (type(self.canvas_px) is not int or not 16 <= self.canvas_px <= 8192):
            raise ValueError(f"canvas_px must be a whole number of 16..8192 px, got {self.canvas_px!r}")
        if type(self.intracranial) is not bool or type(self.equalise) is not bool:
            raise ValueError(f"intracranial and equalise are yes or no, got {self.intracranial!r}, {self.equalise!r}")
        if self.stretch is not None and not 0 <= self.stretch[0] < self.stretch[1] <= 100:
            raise ValueError(f"stretch must be two rising percentiles, got {self.stretch}")
        clip = self.clahe_clip
        if clip is not None and (type(clip) not in (int, float) or not (np.isfinite(clip) and clip > 0)):
            raise ValueError(f"clahe_clip must be a number above 0, got {clip!r}")
        if self.scale not in ("unit", "signed"):
            raise ValueError(f"scale must be unit or signed, got {self.scale!r}")

    @property
    def channels(self) -> int:
        return len(self.windows) * (2 * self.neighbours + 1)

    def tensor(self, scan: Scan, index: int) -> tuple[NDArray[np.float32], Placement]:
        """The network's input for one slice: float32 (size, size, channels), and where it lies in the scan."""
        pixels, placement = self.pixels(scan, index)
        return self.scaled(pixels), placement

    def pixels(self, scan: Scan, index: int) -> tuple[NDArray[np.uint8], Placement]:
        """The input before scaling: uint8 (size, size, channels). Training stores and augments this.

        Args:
            scan: the scan.
            index: which slice, 0..slices-1.

        Raises:
            IndexError: if there is no such slice.
        """
        if not 0 <= index < len(scan.hu):
            raise IndexError(f"slice {index} of {len(scan.hu)}")
        placement = self._placement(scan.hu[index])
        channels = []
        for offset in range(-self.neighbours, self.neighbours + 1):
            hu = scan.hu[min(max(index + offset, 0), len(scan.hu) - 1)]
            inside = intracranial_mask(hu) if self.intracranial else None
            for window in self.windows:
                channels.append(self._channel(hu, window, inside, placement))
        return np.stack(channels, axis=-1), placement

    def scaled(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 pixels of any shape to float32 in 0..1 or -1..1."""
        unit = pixels.astype(np.float32) / np.float32(255)
        return unit if self.scale == "unit" else unit * np.float32(2) - np.float32(1)

    def lost_windows(self, scan: Scan) -> tuple[Window, ...]:
        """The windows that a picture cannot give in full because its own window is narrower."""
        if scan.window is None:
            return ()
        return tuple(window for window in self.windows if not scan.window.holds(window))

    def misfits(self, scan: Scan, model: str) -> tuple[str, ...]:
        """Where a scan does not give what is asked of it, and something else is read, in sentences for people.

        Args:
            scan: what is read.
            model: the name of the model that reads it.
        """
        sentences = []
        if self.lost_windows(scan):
            sentences.append(f"The picture's window is narrower than what {model} looks at: values are missing.")
        if self.frame == "head":
            headless = [index for index, hu in enumerate(scan.hu) if find_head(hu) is None]
            if headless:
                sentences.append(f"No head was found in {_numbered(headless)}: the whole image was read instead.")
        if self._loses_edges(scan):
            side = self.canvas_px
            sentences.append(
                f"The image is larger than the {side} x {side} pixels in its middle that {model} looks at, and is not "
                "empty outside: its edges were not read."
            )
        if self.neighbours and len(scan.hu) == 1:
            sentences.append(
                f"{model} reads a slice together with its neighbours; this one came alone, and copies of it stood in."
            )
        return tuple(sentences)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary with every field."""
        return asdict(self) | {"windows": [[window.level, window.width] for window in self.windows]}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`'s form.

        Raises:
            BadWeights: for unknown or missing keys, or values that make no sense.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(stored, dict):
            raise BadWeights(f"The preprocessing must be an object of settings, got {type(stored).__name__}.")
        if set(stored) != known:
            unknown, missing = sorted(set(stored) - known), sorted(known - set(stored))
            raise BadWeights(f"The preprocessing has unknown keys {unknown} and lacks {missing}.")
        try:
            windows = tuple(Window(float(level), float(width)) for level, width in stored["windows"])
            stretch = stored["stretch"]
            if stretch is not None:
                low, high = stretch
                stretch = (float(low), float(high))
            return cls(**(stored | {"windows": windows, "stretch": stretch}))
        except (TypeError, ValueError, OverflowError) as error:
            raise BadWeights(f"The preprocessing cannot be read: {error}.") from error

    def _loses_edges(self, scan: Scan) -> bool:
        """Whether the canvas leaves out pixels that are not black in all of the windows, as air is."""
        if self.canvas_px is None or max(scan.hu.shape[1:]) <= self.canvas_px:
            return False
        box = self._placement(scan.hu[0])
        outside = np.ones(scan.hu.shape[1:], np.bool_)
        outside[max(box.top, 0) : box.top + box.height, max(box.left, 0) : box.left + box.width] = False
        black = np.float32(BACKGROUND_GREY / 255)
        return any(bool((apply_window(hu[outside], window) > black).any()) for hu in scan.hu for window in self.windows)

    def _placement(self, hu: NDArray[np.float32]) -> Placement:
        rows, columns = hu.shape
        top, left, height, width = 0, 0, rows, columns
        if self.frame == "head":
            top, left, height, width = head_box(hu)
        elif self.canvas_px is not None:
            top, left = (rows - self.canvas_px) // 2, (columns - self.canvas_px) // 2
            height = width = self.canvas_px
        return Placement(top, left, height, width, rows, columns, self.size)

    def _channel(
        self, hu: NDArray[np.float32], window: Window, inside: NDArray[np.bool_] | None, placement: Placement
    ) -> NDArray[np.uint8]:
        grey = apply_window(hu, window)
        if inside is not None:
            grey = grey * inside
        channel: NDArray[np.uint8] = np.rint(placement.forward(grey) * np.float32(255)).astype(np.uint8)
        if self.equalise:
            channel = equalise_histogram(channel)
        if self.stretch is not None:
            channel = stretch_contrast(channel, *self.stretch)
        if self.clahe_clip is not None:
            channel = cv2.createCLAHE(self.clahe_clip, (8, 8)).apply(channel).astype(np.uint8)
        return channel


def apply_window(hu: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Hounsfield units to 0..1: `lowest_hu` and below is 0, `highest_hu` and above is 1 (linear in between)."""
    grey = (hu - np.float32(window.lowest_hu)) * np.float32(1 / window.width)
    return np.clip(grey, 0, 1, out=grey)


def equalise_histogram(channel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Spread the foreground's grey values evenly over 0..255; the background becomes 0.

    Air around the head is half of a slice. Equalised with the rest it is black where it is exactly 0 and middle grey
    where a JPEG made it 1, and then leaves the head half of the contrast.

    Args:
        channel: uint8, any shape; values up to `BACKGROUND_GREY` are background.
    """
    counts = np.bincount(channel.ravel(), minlength=256)
    counts[: BACKGROUND_GREY + 1] = 0
    total, present = int(counts.sum()), np.flatnonzero(counts)
    if len(present) < 2:
        return np.where(channel > BACKGROUND_GREY, 255, 0).astype(np.uint8)
    darkest = int(counts[present[0]])
    table = np.rint(np.clip(counts.cumsum() - darkest, 0, None) * (255 / (total - darkest)))
    equalised: NDArray[np.uint8] = table.astype(np.uint8)[channel]
    return equalised


def stretch_contrast(channel: NDArray[np.uint8], low: float, high: float) -> NDArray[np.uint8]:
    """Stretch uint8 grey values so that the `low` and `high` percentiles become 0 and 255; flat images stay."""
    darkest, brightest = np.percentile(channel, (low, high))
    if brightest <= darkest:
        return channel
    table = np.rint(np.clip((np.arange(256) - darkest) * (255 / (brightest - darkest)), 0, 255))
    stretched: NDArray[np.uint8] = table.astype(np.uint8)[channel]
    return stretched


def head_box(hu: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """The square (top, left, height, width) in pixels around the head, with a margin.

    The box is centred on the head and may reach past the image. Where there is no head, it is the smallest square that
    holds the whole image.
    """
    top, left, height, width = find_head(hu) or (0.0, 0.0, *map(float, hu.shape))
    side = max(round(max(height, width)), 1)
    return round(top + height / 2 - side / 2), round(left + width / 2 - side / 2), side, side


def find_head(hu: NDArray[np.float32]) -> tuple[float, float, float, float] | None:
    """The rectangle (top, left, height, width) in pixels of the largest connected piece of tissue, with a margin.

    A thin table is opened away. None where there is no head: less than 2 % of the image.
    """
    rows, columns = hu.shape
    reduction = max(rows, columns) / DETECTION_PX
    # Clipping first makes pictures in the brain window and full Hounsfield units see the same edges.
    reduced = _reduced(np.clip(hu, 0, 80), reduction)
    tissue = cv2.morphologyEx((reduced > TISSUE_HU).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, pieces, _ = cv2.connectedComponentsWithStats(tissue, connectivity=4)
    if len(pieces) < 2:
        return None
    head = pieces[1 + int(np.argmax(pieces[1:, cv2.CC_STAT_AREA]))]
    if head[cv2.CC_STAT_AREA] < SMALLEST_HEAD * tissue.size:
        return None
    top, left = head[cv2.CC_STAT_TOP] * reduction, head[cv2.CC_STAT_LEFT] * reduction
    height, width = head[cv2.CC_STAT_HEIGHT] * reduction, head[cv2.CC_STAT_WIDTH] * reduction
    margin = HEAD_MARGIN * max(height, width)
    return top - margin, left - margin, height + 2 * margin, width + 2 * margin


def intracranial_mask(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What lies inside the skull: threshold bone, close its gaps, fill, take what the skull encloses, open.

    Args:
        hu: (rows, columns) in Hounsfield units.

    Returns:
        bool (rows, columns). Where no skull encloses anything (a slice above the brain, a skull cut by the edge of the
        picture, a wide craniectomy) it is the whole image: hiding a bleed would be worse than showing the scalp.
        In Hounsfield units no blood counts as bone. In a picture, blood that touches the skull and is as bright as the
        window's upper end cannot be told from it and is lost.
    """
    rows, columns = hu.shape
    solid = hu >= min(float(hu.max()), BONE_HU) - BONE_TOLERANCE_HU
    skull = (_reduced(solid.astype(np.float32), max(rows, columns) / DETECTION_PX) >= BONE_SHARE).astype(np.uint8)
    bone = cv2.morphologyEx(skull, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    surroundings = cv2.copyMakeBorder(1 - bone, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(surroundings, None, (0, 0), 0)
    enclosed = surroundings[1:-1, 1:-1]
    enclosed = cv2.morphologyEx(enclosed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    count, labels, pieces, _ = cv2.connectedComponentsWithStats(enclosed, connectivity=4)
    if count < 2 or pieces[1:, cv2.CC_STAT_AREA].max() < SMALLEST_HEAD * enclosed.size:
        return np.ones((rows, columns), np.bool_)
    largest = pieces[1:, cv2.CC_STAT_AREA].max()
    kept = [piece for piece in range(1, count) if pieces[piece, cv2.CC_STAT_AREA] >= 0.1 * largest]
    inside = cv2.dilate(np.isin(labels, kept).astype(np.uint8), np.ones((3, 3), np.uint8))
    return cv2.resize(inside, (columns, rows), interpolation=cv2.INTER_NEAREST).astype(np.bool_)


def _numbered(indices: list[int]) -> str:
    """`slice 3`, or `slices 1, 2, 3`, counted from 1; of many the first ones are named."""
    named = ", ".join(str(index + 1) for index in indices[:NUMBERED_SLICES])
    more = len(indices) - NUMBERED_SLICES
    return f"slice{'s' * (len(indices) > 1)} {named}" + (f" and {more} more" if more > 0 else "")


def _reduced(image: NDArray[np.float32], reduction: float) -> NDArray[np.float32]:
    rows, columns = image.shape
    size = (max(round(columns / reduction), 1), max(round(rows / reduction), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
