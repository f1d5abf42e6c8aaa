"""A whole study -> the `Scan` that a model reads.

In: folders, files, zip archives and NIfTI volumes. Out: studies and their series with what is read and why; then the
pixels of one of them. Nothing here writes, logs or connects.
"""

from hemoscope.studies.choice import Candidate, Series
from hemoscope.studies.files import File, LeftOut, Limits, Received, received
from hemoscope.studies.geometry import Course, Turn
from hemoscope.studies.headers import Slice
from hemoscope.studies.pixels import decoded
from hemoscope.studies.slabs import Slabs, slabs_of
from hemoscope.studies.stacks import Stack
from hemoscope.studies.study import Studies, Study, read_studies
from hemoscope.studies.volume import Volume, read_volume

__all__ = [
    "Candidate",
    "Course",
    "File",
    "LeftOut",
    "Limits",
    "Received",
    "Series",
    "Slabs",
    "Slice",
    "Stack",
    "Studies",
    "Study",
    "Turn",
    "Volume",
    "decoded",
    "read_studies",
    "read_volume",
    "received",
    "slabs_of",
]
