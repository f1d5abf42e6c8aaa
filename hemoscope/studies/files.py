"""What came in -> files: from folders, single files and zip archives, archives in archives among them.

In: paths. Out: `File`s that are read when they are needed, and a reason for each that cannot be. Nothing is unpacked
under a name of an archive's choosing: what an archive calls its files is shown to people and used for nothing else.
"""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from hemoscope.errors import BadScan
from hemoscope.inputs import list_files
from hemoscope.readers.limits import MAX_BYTES

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_JUNK_NAMES = frozenset(("thumbs.db", "desktop.ini", "__macosx"))
_SHOWN_CHARACTERS = 120
_DAMAGED = "The archive is damaged or cut off."
_ENTRY_BYTES = 512  # of one file in the list of an archive, its path included
_TAIL_BYTES = 2**16 + 200  # the longest comment, and the records that end an archive: read at once too
_LARGE = 2**20  # below it no ratio is looked at: an empty picture of a hundred kilobytes packs well


@dataclass(frozen=True)
class Limits:
    """What a study may hold. A few kilobytes of archive can state terabytes.

    Attributes:
        files: in all, those in archives and those left out among them.
        total_bytes: of all files in archives together, unpacked.
        file_bytes: of one file, unpacked.
        ratio: of unpacked to packed bytes of a file in an archive; CT slices reach 10, deflate 1032.
        depth: of archives in archives.
    """

    files: int = 20_000
    total_bytes: int = 4 * 2**30
    file_bytes: int = MAX_BYTES
    ratio: int = 400
    depth: int = 3


@dataclass(frozen=True)
class File:
    """One file that came in.

    Attributes:
        name: for messages only: its path in the folder that was given; in an archive `archive.zip/name in it`.
        size: in bytes, as stated.
        open: opens it; the stream can be read once, and can seek.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    def head(self, count: int) -> bytes:
        """Its first bytes.

        Raises:
            BadScan: if it cannot be opened, or its packing is damaged.
        """
        return self._read(count)

    def read(self) -> bytes:
        """All of it.

        Raises:
            BadScan: as `head`; also where it holds other than the stated bytes.
        """
        data = self._read(self.size + 1)
        if len(data) != self.size:
            raise BadScan(f"The file holds other than the {self.size} bytes that are stated: it is damaged.")
        return data

    @contextmanager
    def stream(self) -> Iterator[IO[bytes]]:
        """It, opened; what goes wrong while it is read is said in a sentence.

        Raises:
            BadScan: as `head`.
        """
        with _said_in_words():
            stream = self.open()
        with stream:
            try:
                yield stream
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
                raise BadScan(_DAMAGED) from None

    def _read(self, count: int) -> bytes:
        with _said_in_words(), self.open() as stream:
            return stream.read(count)


@dataclass(frozen=True)
class LeftOut:
    """A file that is not read, and why, in a sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class Received:
    """All files that came in, those of archives among them, and those that cannot be read."""

    files: tuple[File, ...]
    left_out: tuple[LeftOut, ...]


@contextmanager
def received(
    paths: Iterable[str | Path], limits: Limits = Limits(), names: Mapping[Path, str] | None = None
) -> Iterator[Received]:
    """Open what came in: folders are walked, archives are looked into; files that systems leave behind are passed over.

    Args:
        paths: files and folders.
        limits: what is refused before it is unpacked.
        names: what to call files in messages that do not lie here under the names that their sender knows.

    Yields:
        The files; they can be read as long as the context lasts.

    Raises:
        BadScan: for more files or bytes than the limits allow.
    """
    with ExitStack() as kept:
        opening = _Opening(limits, kept)
        for given in map(Path, paths):
            for path in map(Path, list_files([str(given)])):
                inside = path.relative_to(given) if path != given else Path(path.name or str(path))
                opening.take_path(path, (names or {}).get(path, inside.as_posix()))
        yield Received(tuple(opening.files), tuple(opening.left_out))


class _Opening:
    """Counts while files and archives are taken."""

    def __init__(self, limits: Limits, kept: ExitStack) -> None:
        self.limits, self.kept = limits, kept
        self.files: list[File] = []
        self.left_out: list[LeftOut] = []
        self.count = self.bytes = 0

    def take_path(self, path: Path, name: str) -> None:
        if is_junk(name.replace("\\", "/").rpartition("/")[2]):
            return
        name = shown(name)
        try:
            with _said_in_words():
                size = path.stat().st_size
        except BadScan as error:
            self.left_out.append(LeftOut(name, str(error)))
            return
        self.take(File(name, size, lambda: path.open("rb")), depth=0)

    def take(self, file: File, depth: int) -> None:
        self._count()
        try:
            is_archive = file.head(4) in _ZIP
            if file.size > self.limits.file_bytes and not (is_archive and depth == 0):
                raise BadScan(f"The file has {_mib(file.size)}: up to {_mib(self.limits.file_bytes)} are read.")
            if not is_archive:
                self.files.append(file)
                return
            if depth >= self.limits.depth:
                raise BadScan(f"Archives lie in archives: {self.limits.depth} of them are opened, not more.")
            archive = self._archive(file, depth)
        except BadScan as error:
            self.left_out.append(LeftOut(file.name, str(error)))
            return
        for member in archive.infolist():
            parts = member.filename.replace("\\", "/").split("/")  # old programs on Windows write backslashes
            if not (member.is_dir() or any(map(is_junk, parts))):
                self._take_member(file, archive, member, depth)

    def _take_member(self, file: File, archive: zipfile.ZipFile, member: zipfile.ZipInfo, depth: int) -> None:
        name = f"{file.name}/{shown(member.filename)}"
        if member.flag_bits & 1:
            self._count()
            self.left_out.append(LeftOut(name, "The archive is locked with a password: unpack it with the password."))
            return
        if member.file_size > _LARGE and member.file_size > self.limits.ratio * max(member.compress_size, 1):
            self._count()
            reason = f"It unpacks to more than {self.limits.ratio} times its size, as no CT slice does: a zip bomb."
            self.left_out.append(LeftOut(name, reason))
            return
        self.bytes += member.file_size
        if self.bytes > self.limits.total_bytes:
            raise BadScan(f"The archives unpack to more than {_mib(self.limits.total_bytes)}: nothing was read.")
        self.take(File(name, member.file_size, lambda: archive.open(member)), depth + 1)

    def _archive(self, file: File, depth: int) -> zipfile.ZipFile:
        """Open an archive; one within an archive goes to a temporary file without a name first, to seek in it."""
        with _said_in_words():
            stream = self.kept.enter_context(file.open())
            if depth > 0:
                packed, stream = stream, self.kept.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
                shutil.copyfileobj(packed, stream, 2**20)
            listed = _Listed(stream, self.limits)
            archive = self.kept.enter_context(zipfile.ZipFile(cast("IO[bytes]", listed)))
            listed.opened = True
            return archive

    def _count(self) -> None:
        self.count += 1
        if self.count > self.limits.files:
            raise BadScan(f"There are more than {self.limits.files} files: choose the folder of one study.")


@contextmanager
def _said_in_words() -> Iterator[None]:
    """Turn what files and archives raise into a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise BadScan("There is no such file or folder.") from None
    except IsADirectoryError:
        raise BadScan("This folder holds no files.") from None
    except NotImplementedError:
        raise BadScan("The archive is packed in a way that is not read: pack it as an ordinary ZIP.") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, RuntimeError, ValueError):
        raise BadScan(_DAMAGED) from None
    except OSError as error:
        raise BadScan(f"The file cannot be opened: {error.strerror or 'it is damaged'}.") from None


class _Listed:
    """An archive's stream that gives no more at once than the list of its files may be long.

    `zipfile` reads the list as a whole, however long the archive says that it is.
    """

    def __init__(self, stream: IO[bytes], limits: Limits) -> None:
        self.stream, self.limits = stream, limits
        self.opened = False
        self.seek, self.tell, self.seekable, self.close = stream.seek, stream.tell, stream.seekable, stream.close

    def read(self, count: int = -1) -> bytes:
        if not self.opened and count > self.limits.files * _ENTRY_BYTES + _TAIL_BYTES:
            raise BadScan(f"The archive lists more than {self.limits.files} files: choose the folder of one study.")
        return self.stream.read(count)


def is_junk(name: str) -> bool:
    """Whether a name is that of something systems leave behind: hidden files, thumbnails, macOS's resource forks."""
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in _JUNK_NAMES


def shown(name: str) -> str:
    """A name as one printable line, its end where it is too long."""
    line = "".join(character for character in name if character.isprintable())
    return line if len(line) <= _SHOWN_CHARACTERS else "..." + line[-_SHOWN_CHARACTERS:]


def _mib(count: int) -> str:
    return f"{count // 2**20} MiB"
