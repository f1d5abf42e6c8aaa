"""Which files a run reads, and what it must not write over.

In: paths as a user wrote them, and where results are to go. Out: the files behind the paths, or `BadRequest`.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hemoscope.errors import BadRequest


def list_files(paths: Sequence[str], skip: Sequence[Path] = ()) -> Iterator[str]:
    """The files behind the paths: files as given, folders walked in order of name, hidden names left out.

    In folders, what is no file (a socket, a link to a folder) is left out too. A link that leads nowhere and a folder
    that cannot be opened are listed: they count as not read.

    Args:
        paths: as the user wrote them. What does not exist, and a folder without files, stands for itself.
        skip: files and folders that this run writes; they are left out of walked folders.
    """
    skipped = {os.path.realpath(path) for path in skip}

    def wanted(path: Path) -> bool:
        return not path.name.startswith(".") and os.path.realpath(path) not in skipped

    for given in paths:
        found: list[Path] = []
        refused: list[OSError] = []
        # Of a file, and of what does not exist, walking gives nothing but an error: it stands for itself below.
        for folder, folders, names in os.walk(given, onerror=refused.append):
            inside = Path(folder)
            folders[:] = [name for name in folders if wanted(inside / name)]
            found += [inside / name for name in names if wanted(inside / name) and is_file_or_lost(inside / name)]
        found += [Path(error.filename) for error in refused if error.filename != given]
        yield from (str(path) for path in sorted(found, key=lambda path: path.parts)) if found else (given,)


def is_file_or_lost(path: Path) -> bool:
    """Whether a name in a folder is a file, or leads to nothing that could be looked at: a broken link."""
    try:
        return path.is_file() or not path.exists()
    except OSError:  # in a folder that may be listed, but not entered
        return True


def holds_records(path: Path) -> bool:
    """Whether a file can be what an earlier run wrote with `--json`: it begins as JSON lines do, or is empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) in (b"", b"{")


def refuse_overwriting(inputs: Sequence[str], json_path: Path | None, folders: Sequence[Path]) -> None:
    """Refuse to write over what is to be read, be it by another name or through a link.

    Args:
        inputs: the files to read.
        json_path: the file of `--json`.
        folders: where pictures are written. Their names depend on what is read, so no PNG there may be an input.

    Raises:
        BadRequest: names the file.
    """
    read = {identity(Path(path)) for path in inputs} - {None}
    if json_path is not None and identity(json_path) in read:
        raise BadRequest(f"--json would overwrite {json_path}, which is to be read: choose another file.")
    for folder in folders:
        for file in folder.iterdir() if folder.is_dir() else ():
            if file.suffix.lower() == ".png" and identity(file) in read:
                raise BadRequest(
                    f"Pictures written into {folder} could overwrite {file.name} there, which is to be read: choose "
                    "another folder."
                )


def identity(path: Path) -> tuple[int, int] | None:
    """What tells one file from all others, whatever it is called; None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
