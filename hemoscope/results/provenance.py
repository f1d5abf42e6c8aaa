"""Who made an object, when and of what: the same for all DICOM objects.

In: the model and the time. Out: `Provenance`, and UIDs that the same input gives again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

from hemoscope.findings import Findings

MANUFACTURER = "Hemoscope"
RESEARCH_USE = "Research use. Not a medical device."


@dataclass(frozen=True)
class Provenance:
    """What made an object.

    Attributes:
        model: name of the weights.
        version: of the weights.
        made: local time at which the object is made; a part of its UIDs.
    """

    model: str
    version: str
    made: datetime

    @classmethod
    def of(cls, findings: Findings, made: datetime) -> Self:
        return cls(findings.model, findings.version, made)

    def uid(self, *parts: object) -> str:
        """A UID under the root for UUIDs (PS3.5 B.2) that follows from the model, the time and `parts`."""
        text = " ".join(map(str, ("hemoscope result", self.model, self.version, self.made.isoformat(), *parts)))
        return f"2.25.{uuid5(NAMESPACE_URL, text).int}"

    def series(self, kind: str) -> dict[str, Any]:
        """What highdicom's objects take of series and equipment (PS3.3 C.7.3.1 and C.7.5.2)."""
        return {
            "series_description": f"Hemoscope {kind}: research use, not a medical device",
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": f"Hemoscope {self.model}",
            "software_versions": f"{self.model} {self.version}",
            "device_serial_number": "software",
            "content_date": self.made.date(),
            "content_time": self.made.time(),
            "series_date": self.made.date(),
            "series_time": self.made.time(),
        }
