"""Two synthetic studies of one head, read by the default model when they are first asked for and then held.

In: a key, `demo` or `demo-prior`. Out: a `Study`. The later one has the larger bleed.
"""

import threading
from dataclasses import dataclass

from web.engine import Engine
from web.studies.protocol import HeldStudy, Study, UnknownStudy

SIDE_PX, SPACING_MM = 384, 0.6
SLICES, SLICE_SPACING_MM = 60, 2.5


@dataclass(frozen=True)
class Demo:
    """What is drawn for one key: bleeds as (subtype, ml)."""

    title: str
    bleeds: tuple[tuple[str, float], ...]
    prior: str = ""


DEMOS = {
    "demo": Demo("Phantom, second study", (("intraparenchymal", 24.0), ("subdural", 18.0)), prior="demo-prior"),
    "demo-prior": Demo("Phantom, first study", (("intraparenchymal", 9.0),)),
}


class DemoStudies:
    """A `StudySource` of the synthetic studies."""

    def __init__(self, engine: Engine, slices: int = SLICES, side_px: int = SIDE_PX) -> None:
        self._engine = engine
        self._slices = slices
        self._side_px = side_px
        self._held: dict[str, Study] = {}
        self._making = threading.Lock()

    def study(self, key: str) -> Study:
        if key not in DEMOS:
            raise UnknownStudy("There is no such study on this server.")
        with self._making:
            if key not in self._held:
                self._held[key] = self._read(DEMOS[key])
            return self._held[key]

    def _read(self, demo: Demo) -> Study:
        from hemoscope.phantom import Bleed, make_phantom

        scan = make_phantom(
            [Bleed(subtype, volume_ml) for subtype, volume_ml in demo.bleeds],
            slices=self._slices,
            rows=self._side_px,
            columns=self._side_px,
            spacing_mm=SPACING_MM * SIDE_PX / self._side_px,
            slice_spacing_mm=SLICE_SPACING_MM * SLICES / self._slices,
        ).scan
        reader = self._engine.load()
        # Slice by slice, so that what a reading holds beside the mask is let go at once: some seven bytes a pixel.
        found = [reader.read_slice(scan, index)[0] for index in range(len(scan.hu))]
        named = f"{reader.manifest.name} {reader.manifest.version}"
        return HeldStudy(demo.title, scan, found, named, demo.prior, ("This is a synthetic head, not a patient.",))
