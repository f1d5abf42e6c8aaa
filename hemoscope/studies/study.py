"""Files -> studies: sorted by patient, study and series, with one series chosen for reading.

In: paths of folders, files and archives. Out: `Studies`. Patients and studies are kept apart, whatever came together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hemoscope.errors import BadRequest, BadScan
from hemoscope.scan import ScanFacts
from hemoscope.studies.choice import Candidate, Series, candidates_of
from hemoscope.studies.files import File, LeftOut, Received
from hemoscope.studies.headers import Headed, Slice, read_header
from hemoscope.studies.pixels import decoded
from hemoscope.studies.stacks import Stack, refused, stacks_of

SLICES_AT_MOST = 20_000  # in all that comes at once


@dataclass(frozen=True)
class Study:
    """One study of one patient.

    Attributes:
        facts: of its first file; never to be logged.
        candidates: all its series and stacks, one of them chosen where one fits.
        files: all that belong to it, those that are not read among them, in the order in which they came.
    """

    facts: ScanFacts
    candidates: tuple[Candidate, ...]
    files: tuple[File, ...]

    @property
    def chosen(self) -> Candidate | None:
        """The stack that is read unless another is picked."""
        return next((one for one in self.candidates if one.chosen), None)


@dataclass(frozen=True)
class Studies:
    """All that came in, sorted.

    Attributes:
        studies: in the order in which they first came.
        left_out: files that belong to no series, and why.
        notes: what a user should know of it as a whole: several patients or studies.
    """

    studies: tuple[Study, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(one for study in self.studies for one in study.candidates)

    def pick(self, wanted: str = "") -> Candidate:
        """The stack to read.

        Args:
            wanted: a key as listed (`2`, `2.1`) or a Series Instance UID; "" for the chosen one. Of a series that has
                several stacks, its own key or UID means the largest that can be read.

        Raises:
            BadScan: where nothing fits, what is wanted cannot be read, or several studies wait to be picked from.
            BadRequest: where nothing is called so.
        """
        return self._named(wanted) if wanted else self._chosen()

    def _named(self, wanted: str) -> Candidate:
        named = [one for one in self.candidates if wanted in (one.key, one.key.partition(".")[0], one.series.uid)]
        if not named:
            keys = ", ".join(one.key for one in self.candidates) or "none"
            raise BadRequest(f"There is no series {wanted[:64]!r}. The series are: {keys}.")
        readable = [one for one in named if one.readable]
        if not readable:
            raise BadScan(f"Series {named[0].key} cannot be read. {named[0].reason}")
        return readable[0]

    def _chosen(self) -> Candidate:
        chosen = [study.chosen for study in self.studies if study.chosen is not None]
        if len(chosen) == 1:
            return chosen[0]
        if len(chosen) > 1:
            keys = " or ".join(one.key for one in chosen)
            raise BadScan(f"{' '.join(self.notes)} Choose the series to read: {keys}.")
        readable = ", ".join(one.key for one in self.candidates if one.readable)
        if readable:
            raise BadScan(f"No series was chosen by itself; these can be picked: {readable}. See why at each.")
        reasons = [*(one.reason for one in self.candidates), *(one.reason for one in self.left_out)]
        raise BadScan(f"There is no CT series that can be read. {reasons[0] if reasons else 'No files came.'}")


def read_studies(received: Received, progress: Callable[[int, int], object] | None = None) -> Studies:
    """Read all headers, sort them and choose.

    Args:
        received: what came in, still open.
        progress: told how many files of how many were looked at.

    Returns:
        The studies. One bad file loses none of the others: it is listed with its reason.

    Raises:
        BadScan: for more slices than any study has.
    """
    left_out = list(received.left_out)
    sorted_out: dict[tuple[str, ...], list[tuple[File, Headed]]] = {}
    names: dict[tuple[str, ...], set[str]] = {}
    slices = 0
    for done, file in enumerate(received.files, 1):
        try:
            headed = read_header(file)
        except BadScan as error:
            left_out.append(LeftOut(file.name, str(error)))
        else:
            if headed.refusal and not headed.facts.series_uid:
                left_out.append(LeftOut(file.name, headed.refusal))
            else:
                key = _series_key(headed, done)
                sorted_out.setdefault(key, []).append((file, headed))
                names.setdefault(key[:2], set()).add(headed.facts.patient_name.rstrip("^ ").upper())
            slices += len(headed.slices)
            if slices > SLICES_AT_MOST:
                raise BadScan(f"There are more than {SLICES_AT_MOST} slices: choose the folder of one study.")
        if progress is not None:
            progress(done, len(received.files))
    by_study: dict[tuple[str, ...], list[Series]] = {}
    files_of: dict[tuple[str, ...], list[File]] = {}
    for key, files in sorted_out.items():
        by_study.setdefault(key[:-1], []).append(_series(files))
        files_of.setdefault(key[:-1], []).extend(file for file, _ in files)
    studies, number = [], 1
    for key, series in by_study.items():
        series.sort(key=lambda one: (one.series_number is None, one.series_number or 0))
        studies.append(Study(series[0].facts, candidates_of(series, number), tuple(files_of[key])))
        number += len(series)
    return Studies(tuple(studies), tuple(left_out), tuple(_notes(studies, names.values())))


def _series_key(headed: Headed, number: int) -> tuple[str, ...]:
    """Patient, study and series."""
    facts = headed.facts
    is_nifti = bool(headed.slices) and headed.slices[0].kind == "nifti"  # it names nobody: each is a study of its own
    return (*_who(facts), f"file {number}" if is_nifti else facts.study_uid, facts.series_uid)


def _who(facts: ScanFacts) -> tuple[str, str]:
    """A patient by ID and its issuer, by name where there is no ID."""
    return (facts.patient_id, facts.patient_id_issuer) if facts.patient_id else ("", facts.patient_name)


def _series(files: Sequence[tuple[File, Headed]]) -> Series:
    slices = [one for _, headed in files for one in headed.slices]
    heads = [headed for _, headed in files if not headed.refusal] or [files[0][1]]
    return Series(
        uid=heads[0].facts.series_uid,
        series_number=heads[0].series_number,
        facts=heads[0].facts,
        kernel=heads[0].kernel,
        contrast=any(head.contrast for head in heads),
        body_part=heads[0].body_part,
        derived=heads[0].image_type[:1] == ("DERIVED",),
        stacks=tuple(_probed(stack) for stack in stacks_of(slices)) if slices else (),
        left_out=tuple(LeftOut(file.name, headed.refusal) for file, headed in files if headed.refusal),
    )


def _probed(stack: Stack) -> Stack:
    """Look at the pixels of one slice, for headers do not tell a mask from a picture.

    A damaged slice in the middle does not lose the others: then the first and the last are asked too.
    """
    if stack.refusal:
        return stack
    reasons = []
    for one in _probes(stack.slices):
        _, scan = next(decoded([one]))
        if not isinstance(scan, BadScan):
            return stack
        reasons.append(str(scan))
    return refused(stack, reasons[0])


def _probes(slices: Sequence[Slice]) -> list[Slice]:
    places = dict.fromkeys((len(slices) // 2, 0, len(slices) - 1))
    return [slices[place] for place in places]


def _notes(studies: Sequence[Study], names: Iterable[set[str]]) -> list[str]:
    patients = {_who(one.facts) for one in studies}
    said = []
    if len(patients) > 1:
        said.append(f"These are studies of {len(patients)} patients; they are kept apart.")
    elif len(studies) > 1:
        said.append(f"These are {len(studies)} studies; they are kept apart.")
    if any(len(different) > 1 for different in names):
        said.append("One Patient ID (0010,0020) stands under different names: make sure that it is one patient.")
    return said
