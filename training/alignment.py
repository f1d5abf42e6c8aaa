"""Draw what a spatial transformer has learnt: slices as they come, and as it hands them to the backbone.

    python -m training.alignment NAME --fold K

In: `runs/NAME/fold_K/` with a network that has a spatial transformer. Out: `alignment.png` in the same folder: in each
column a slice with the outline of what the transformer takes of it, and below it the aligned slice. The slices are
those of a phantom, upright and turned, so that the picture can be shown to anyone; `--data` takes slices of the test
side instead, which can show a patient's face and belong into no document.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import Scan
from training.datasets import load_samples
from training.folds import FOLDS, Folds
from training.networks.transformer import alignment
from training.saved import NETWORK_FILE, load_network, read_config, read_preprocess

PICTURE = "alignment.png"
SLICES = (12, 15)  # of a phantom of 24: at the ventricles and above them
TURNS_DEGREES = (-20, 0, 20)
AIR_HU = -1000
DPI = 110


def draw_alignment(name: str, fold: int, runs: Path, data: Path | None = None) -> Path:
    """Draw the picture and return its path.

    Args:
        name, fold: of the training.
        runs: where trainings write.
        data: the data folder for slices of the test side, or None for a phantom.

    Raises:
        BadData, BadWeights: if the run or the data are missing, or the network has no spatial transformer.
    """
    run = runs / name / f"fold_{fold}"
    network, preprocess = load_network(run / NETWORK_FILE), read_preprocess(run)
    if data is None:
        titles, images = phantom_slices(preprocess)
    else:
        titles, images = _test_slices(run, fold, data, runs, preprocess)
    aligned, theta = alignment(network, images)
    shown = preprocess.neighbours * len(preprocess.windows)  # the slice itself, in the first window
    return _picture(f"{name}, fold {fold}", titles, images[..., shown], aligned[..., shown], theta, run / PICTURE)


def phantom_slices(preprocess: Preprocess) -> tuple[list[str], NDArray[np.float32]]:
    """Slices of a phantom with a bleed, each turned by TURNS_DEGREES, as the network takes them, and their titles."""
    scan = make_phantom([Bleed("intraparenchymal", 30)], rows=256, columns=256, spacing_mm=0.9).scan
    titles, tensors = [], []
    for index in SLICES:
        for turn in TURNS_DEGREES:
            titles.append(f"slice {index}, turned by {turn}°")
            tensors.append(preprocess.tensor(_turned(scan, turn), index)[0])
    return titles, np.stack(tensors)


def outline(theta: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float64]:
    """The frame of the aligned image in the input: its corners (5, 2) as (column, row) in pixels, the first one twice.

    Args:
        theta: (2, 3), see `networks.transformer`.
        rows, columns: of the input.
    """
    corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1]], np.float64)
    places: NDArray[np.float64] = ((corners @ theta.T + 1) * (columns, rows) - 1) / 2
    return places


def _turned(scan: Scan, degrees: float) -> Scan:
    rows, columns = scan.hu.shape[1:]
    turn = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, 1.0)
    turned = [cv2.warpAffine(hu, turn, (columns, rows), flags=cv2.INTER_LINEAR, borderValue=AIR_HU) for hu in scan.hu]
    return replace(scan, hu=np.stack(turned))


def _test_slices(
    run: Path, fold: int, data: Path, runs: Path, preprocess: Preprocess
) -> tuple[list[str], NDArray[np.float32]]:
    samples = Folds.read(runs / "folds.csv").split(load_samples(data, read_config(run)["sets"]), fold).test
    count = len(SLICES) * len(TURNS_DEGREES)
    if len(samples) < count:
        raise BadData(f"The test side of fold {fold} has {len(samples)} slices; the picture shows {count}.")
    chosen = samples[:: len(samples) // count][:count]
    return [sample.source for sample in chosen], np.stack([preprocess.tensor(one.scan(), 0)[0] for one in chosen])


def _picture(
    title: str,
    titles: Sequence[str],
    images: NDArray[np.float32],
    aligned: NDArray[np.float32],
    theta: NDArray[np.float32],
    path: Path,
) -> Path:
    figure, grid = pyplot.subplots(2, len(titles), figsize=(2.4 * len(titles), 5.4), squeeze=False)
    for column, (name, image, result, taken) in enumerate(zip(titles, images, aligned, theta, strict=True)):
        above, below = grid[:, column]
        above.imshow(image, cmap="gray", vmin=0, vmax=1)
        above.plot(*outline(taken, *image.shape).T, color="#e69f00", linewidth=1.5)
        above.set_title(name, fontsize=8)
        below.imshow(result, cmap="gray", vmin=0, vmax=1)
        turn, area = np.degrees(np.arctan2(taken[1, 0], taken[0, 0])), np.linalg.det(taken[:, :2])
        below.set_title(f"turned by {turn:.0f}°, {area:.2f} of the area", fontsize=8)
        for axes in (above, below):
            axes.set_axis_off()
    figure.suptitle(f"{title}: slices and what the spatial transformer takes of them", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)
    return path


@click.command(help=__doc__)
@click.argument("name")
@click.option("--fold", type=click.IntRange(0, FOLDS - 1), default=0, show_default=True, help="The fold held out.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Slices of this data folder's test side, not a phantom's."
)
def main(name: str, fold: int, runs: Path, data: Path | None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        path = draw_alignment(name, fold, runs, data)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Drawn: {path}")


if __name__ == "__main__":
    main()
