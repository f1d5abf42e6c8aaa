"""Real data: a folder -> samples. One module a data set, in the layout of its publisher and in the compact one.

In: `HEMOSCOPE_DATA` or `--data`, a folder with some of `ct_ich`, `phe_sich` and `rsna`, each in the compact layout
(`images/`, `labels.csv`) or the publisher's, and `own`, any slices with a table. Out: `Sample`s, which know where a
slice lies and what is known of it; no pixels are read here.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from hemoscope.errors import BadData
from training.datasets.ct_ich import load_ct_ich
from training.datasets.own import load_own
from training.datasets.phe_sich import load_phe_sich
from training.datasets.rsna import load_rsna
from training.datasets.sample import Sample

LOADERS: dict[str, Callable[[Path], list[Sample]]] = {
    "ct_ich": load_ct_ich,
    "phe_sich": load_phe_sich,
    "rsna": load_rsna,
    "own": load_own,
}


def load_samples(data: Path, sets: Iterable[str]) -> list[Sample]:
    """All samples of the named sets below `data`, in a fixed order.

    Raises:
        BadData: if the folder, a set or one of its tables is missing or malformed.
    """
    if not data.is_dir():
        raise BadData(f"There is no data folder {data}. Name one with --data or HEMOSCOPE_DATA.")
    samples: list[Sample] = []
    for name in sets:
        if name not in LOADERS:
            raise BadData(f"There is no data set {name!r}; there are {', '.join(LOADERS)}.")
        if not (data / name).is_dir():
            raise BadData(f"{data} has no folder {name}; docs/how-to/data.md says how to lay it out.")
        try:
            samples += LOADERS[name](data / name)
        except (KeyError, ValueError, TypeError, AttributeError) as error:  # a column or a value that is not there
            raise BadData(f"A table of {data / name} cannot be understood: {type(error).__name__}, {error}.") from None
    return samples
