"""What the commands share: the terminal, and files that are written beside it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

NOT_A_DEVICE = "Research use, not a medical device."

JsonFile = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


def show_any_name() -> None:
    """Let stdout and stderr take names that the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def open_json(path: Path) -> IO[str]:
    """Open the file of `--json` for writing; `-` is stdout.

    Raises:
        UsageError: if it cannot be opened.
    """
    try:
        return click.open_file(str(path), "w", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--json {path} cannot be written: {error.strerror or error}.") from None


@contextmanager
def progress_of(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr that is told how many of how many are done."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def tell_bar(done: int, whole: int) -> None:
            bar.length = whole
            bar.update(done - bar.pos)

        yield tell_bar
