"""The way into the history: a study's files, without its patient's identity where the setting says so.

In: streams and the facts of their headers as they were sent. Out: `KeptStudy`, whose facts are those of the kept files.
"""

from collections.abc import Iterable, Iterator
from typing import IO

from web.history.keeping import keep_arrived, keep_study
from web.history.opening import Store
from web.history.records import KeptStudy, SeriesFacts, StudyFacts


def keep_upload(
    store: Store, streams: Iterable[IO[bytes]], facts: StudyFacts, series: tuple[SeriesFacts, ...] = ()
) -> KeptStudy:
    """Keep a study that was sent.

    Args:
        streams: of its files, in any order; each is closed.
        facts, series: as the sent files state them.

    Raises:
        BadScan: for a file from which the identity cannot be removed; nothing of the study is kept then.
        ValueError: where there is no file.
        OSError: where the folder cannot be written.
    """
    if store.deidentifier is None:
        return keep_study(store.database, store.files, streams, facts, series)
    deidentifier = store.deidentifier
    warnings: dict[str, None] = {}

    def clean() -> Iterator[IO[bytes]]:
        for stream in streams:
            done = deidentifier.deidentify(stream)
            if done.warning:
                warnings[done.warning] = None
            yield done.stream

    return keep_arrived(
        store.database,
        store.files,
        store.files.receive(clean()),
        deidentifier.study_facts(facts),
        tuple(deidentifier.series_facts(one) for one in series),
        deidentified=True,
        warnings=tuple(warnings),
    )
