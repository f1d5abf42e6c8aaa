"""`hemoscope`: what it prints, writes and exits with. A rule that a hand can follow stands in for the network."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import cli
import model
from commands import serving
from hemoscope.errors import UnknownModel
from hemoscope.manifest import EnsembleManifest, Member
from tests.test_model import write_weights

ROOT = Path(__file__).parent.parent
BLOOD = 191  # grey in the window 40/80: 191 / 255 * 80 = 59.9 HU
KEYS = ["path", "model", "version", "probabilities", "finding", "area_px", "area_mm2"]
KEYS += ["subtype_areas_px", "seconds", "notes", "decided_by"]
DRAWN = "The file is a picture: its grey values were read as the window 40/80 HU, and what lay outside is lost."


def write_slice(path: Path, *, blood: bool = True, rows: int = 64, columns: int = 80) -> Path:
    """A picture in the brain window; with blood, a rectangle of 10 rows and 20 columns from (20, 30)."""
    grey = np.tile(90 + np.arange(columns, dtype=np.uint8) % 12, (rows, 1))  # 28.2 to 31.7 HU
    if blood:
        grey[20:30, 30:50] = BLOOD
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, grey)[1].tobytes())
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, bright_reader):
    """Run `hemoscope ARGUMENTS` in this process with the bright reader as the model `bright`."""

    def load(name: str = "bright"):
        if name != "bright":
            raise UnknownModel(f"There is no model {name!r}; there are bright.")
        return bright_reader

    monkeypatch.setattr(model, "load", load)

    def run_command(*arguments: object) -> Result:
        named = ["--model", "bright"] if arguments[0] in ("predict", "read") and "--model" not in arguments else []
        result = CliRunner().invoke(cli.main, [*map(str, arguments), *named])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run_command


def test_json_has_the_keys_of_the_contract(run, tmp_path: Path) -> None:
    path = write_slice(tmp_path / "slice.png")
    result = run("predict", path, "--json", "-")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert list(said) == KEYS
    assert said == {
        "path": str(path),
        "model": "bright",
        "version": "1.2.3",
        "probabilities": {
            "any": 0.9375,
            "epidural": 0.0625,
            "intraparenchymal": 0.0625,
            "intraventricular": 0.0625,
            "subarachnoid": 0.0625,
            "subdural": 0.75,
        },
        "finding": "hemorrhage",
        "area_px": 200,
        "area_mm2": None,
        "subtype_areas_px": None,
        "seconds": 0.875,
        "notes": [DRAWN],
        "decided_by": "slice",
    }


def test_json_goes_to_a_file_and_leaves_stdout_empty(run, tmp_path: Path) -> None:
    first, second = write_slice(tmp_path / "a.png"), write_slice(tmp_path / "b.png", blood=False)
    result = run("predict", first, second, "--json", tmp_path / "out.jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["finding"] for line in lines] == ["hemorrhage", "none"]


def test_people_get_one_line_a_file(run, tmp_path: Path) -> None:
    first, second = write_slice(tmp_path / "a.png"), write_slice(tmp_path / "b.png", blood=False)
    result = run("predict", first, second)
    assert result.stdout.splitlines() == [
        f"hemorrhage 0.94       200 px  {first}: subdural 0.75",
        f"none       0.06         0 px  {second}",
    ]
    assert "not a medical device" in result.stderr


def test_people_are_told_a_files_notes_once_and_not_among_the_results(run, tmp_path: Path) -> None:
    paths = [write_slice(tmp_path / name) for name in ("a.png", "b.png")]
    said = run("predict", *paths)
    assert said.stderr.splitlines()[:2] == [f"{path}: {DRAWN}" for path in paths]
    assert DRAWN not in said.stdout
    assert DRAWN not in run("predict", *paths, "--json", "-").stderr


def test_one_bad_file_does_not_stop_the_others_and_exits_with_2(run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"this is not a scan")
    good = write_slice(tmp_path / "good.png")
    result = run("predict", bad, good, "--json", "-")
    assert result.exit_code == 2
    refused, read = (json.loads(line) for line in result.stdout.splitlines())
    assert list(refused) == ["path", "error"]
    assert refused["path"] == str(bad)
    assert read["finding"] == "hemorrhage"
    assert "1 of 2 could not be read" in result.stderr


def test_people_are_told_why_a_file_was_not_read(run, tmp_path: Path) -> None:
    result = run("predict", tmp_path / "gone.dcm")
    assert result.exit_code == 2
    assert result.stdout.split() == f"not read {tmp_path}/gone.dcm: There is no such file or folder.".split()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, "There is no such file or folder."),
        (lambda path: path.mkdir(), "This folder holds no files."),
        (lambda path: os.mkfifo(path), "This is not a file."),
        (lambda path: path.symlink_to("gone"), "There is no such file or folder."),
    ],
)
def test_what_is_no_file_is_said_and_not_waited_for(run, tmp_path: Path, make, error: str) -> None:
    path = tmp_path / "thing"
    make(path)
    result = run("predict", path, "--json", "-")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {"path": str(path), "error": error}


def test_a_path_that_the_system_refuses_is_an_error_of_that_path(run, tmp_path: Path) -> None:
    result = run("predict", "x" * 300, write_slice(tmp_path / "a.png"), "--json", "-")
    assert result.exit_code == 2
    refused, read = (json.loads(line) for line in result.stdout.splitlines())
    assert refused["error"] == "The file cannot be opened: File name too long."
    assert read["finding"] == "hemorrhage"


def test_a_fault_of_the_reader_is_an_error_of_that_file_only(run, tmp_path: Path, monkeypatch, bright_reader) -> None:
    def fail(scan):
        raise ZeroDivisionError("division by zero")

    path = write_slice(tmp_path / "a.png")
    monkeypatch.setattr(bright_reader, "read", fail)
    result = run("predict", path, "--json", "-")
    assert result.exit_code == 2
    assert "ZeroDivisionError: division by zero" in json.loads(result.stdout)["error"]


def test_folders_are_walked_in_order_without_hidden_files(run, tmp_path: Path) -> None:
    for name in ("b.png", "a/2.png", "a/1.png", "c/d/e.png", ".hidden.png", ".cache/x.png", "a/.DS_Store.png"):
        write_slice(tmp_path / name, blood=False)
    result = run("predict", tmp_path, "--json", "-")
    assert result.exit_code == 0
    paths = [json.loads(line)["path"] for line in result.stdout.splitlines()]
    assert paths == [f"{tmp_path}/{name}" for name in ("a/1.png", "a/2.png", "b.png", "c/d/e.png")]


@pytest.mark.parametrize("target", ["gone.dcm", "b.dcm"])
def test_a_broken_link_in_a_folder_counts_as_not_read(run, tmp_path: Path, target: str) -> None:
    write_slice(tmp_path / "a.png")
    (tmp_path / "b.dcm").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")  # no file, and nothing to read
    result = run("predict", tmp_path, "--json", "-")
    assert result.exit_code == 2
    read, lost = (json.loads(line) for line in result.stdout.splitlines())
    assert read["finding"] == "hemorrhage"
    assert lost == {"path": f"{tmp_path}/b.dcm", "error": "There is no such file or folder."}


@pytest.mark.parametrize("given", [".", "locked"])
def test_a_folder_that_cannot_be_opened_counts_as_not_read(run, tmp_path: Path, monkeypatch, given: str) -> None:
    def scandir(folder):  # permissions would not stop root
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    real = os.scandir
    write_slice(tmp_path / "a.png")
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    result = run("predict", tmp_path / given, "--json", "-")
    assert result.exit_code == 2
    said = [json.loads(line) for line in result.stdout.splitlines()]
    refused = {"path": f"{tmp_path}/locked", "error": "The folder cannot be opened: Permission denied."}
    assert said[-1] == refused
    assert len(said) == (2 if given == "." else 1)


def test_what_a_run_writes_is_not_read_by_it(run, tmp_path: Path) -> None:
    write_slice(tmp_path / "a.png")
    arguments = ("predict", tmp_path, "--masks", tmp_path / "masks", "--json", tmp_path / "out.jsonl")
    for _ in range(2):
        assert run(*arguments).exit_code == 0
        assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 1


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("option", ["--masks", "--overlays", "--heatmaps"])
@pytest.mark.parametrize("given", ["a.png", "."])
def test_pictures_are_never_written_over_what_is_read(run, tmp_path: Path, option: str, given: str) -> None:
    write_slice(tmp_path / "a.png")
    before = snapshot(tmp_path)
    result = run("predict", tmp_path / given, option, tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "could overwrite a.png there, which is to be read: choose another folder." in " ".join(result.stderr.split())
    assert snapshot(tmp_path) == before


def test_a_link_to_an_input_is_not_written_through(run, tmp_path: Path) -> None:
    path = write_slice(tmp_path / "in" / "a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").symlink_to(path)
    before = path.read_bytes()
    assert run("predict", tmp_path / "in", "--masks", tmp_path / "masks").exit_code == 2
    assert path.read_bytes() == before


def test_masks_beside_inputs_that_are_no_png_are_written(run, tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.bmp")
    assert run("predict", path, "--masks", tmp_path).exit_code == 0
    assert sorted(snapshot(tmp_path)) == ["a.bmp", "a.png"]


@pytest.mark.parametrize("given", ["a.png", "."])
def test_json_is_never_written_over_what_is_read(run, tmp_path: Path, given: str) -> None:
    path = write_slice(tmp_path / "a.png")
    before = snapshot(tmp_path)
    result = run("predict", tmp_path / given, "--json", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "which is to be read: choose another file." in " ".join(result.stderr.split())
    assert snapshot(tmp_path) == before


def test_an_old_json_file_is_kept_where_nothing_can_be_read(run, tmp_path: Path) -> None:
    old = tmp_path / "out.jsonl"
    old.write_text('{"path": "a.png"}\n', "utf-8")
    write_slice(tmp_path / "a.png")
    assert run("predict", tmp_path / "a.png", "--model", "nine", "--json", old).exit_code == 2
    assert old.read_text("utf-8") == '{"path": "a.png"}\n'


def test_masks_are_0_or_255_on_the_inputs_rows_and_columns(run, tmp_path: Path) -> None:
    path = write_slice(tmp_path / "slice.png", rows=70, columns=90)
    assert run("predict", path, "--masks", tmp_path / "out" / "masks").exit_code == 0
    mask = cv2.imread(str(tmp_path / "out" / "masks" / "slice.png"), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((70, 90), np.uint8)
    expected[20:30, 30:50] = 255
    np.testing.assert_array_equal(mask, expected)


def test_files_of_the_same_name_do_not_overwrite_each_others_masks(run, tmp_path: Path) -> None:
    write_slice(tmp_path / "in/a/slice.png")
    write_slice(tmp_path / "in/b/slice.png", blood=False)
    result = run("predict", tmp_path / "in", "--masks", tmp_path / "masks")
    assert result.exit_code == 0
    sums = {file.name: int(cv2.imread(str(file), 0).sum()) for file in (tmp_path / "masks").iterdir()}
    assert sums == {"slice.png": 200 * 255, "slice~2.png": 0}
    assert f"{tmp_path}/in/b/slice.png: its pictures are named slice~2" in result.stderr


def test_overlays_and_heat_maps_are_written(run, tmp_path: Path) -> None:
    path = write_slice(tmp_path / "slice.png")
    assert run("predict", path, "--overlays", tmp_path / "over", "--heatmaps", tmp_path / "heat").exit_code == 0
    assert cv2.imread(str(tmp_path / "over" / "slice.png"), cv2.IMREAD_UNCHANGED).shape == (64, 80, 3)
    assert (tmp_path / "heat" / "slice_subdural.png").is_file()
    assert len(list((tmp_path / "heat").iterdir())) == 6


def test_a_model_without_a_mask_writes_heat_maps_alone_and_says_so_once(run, tmp_path: Path, bright_reader) -> None:
    bright_reader.gives_mask = False
    paths = [write_slice(tmp_path / name) for name in ("a.png", "b.png")]
    folders = [part for name in ("masks", "overlays", "heatmaps") for part in (f"--{name}", tmp_path / name)]
    result = run("predict", *paths, *folders)
    assert result.exit_code == 0
    assert result.stderr.count("bright gives no mask: --masks and --overlays write no file.") == 1
    assert [len(list((tmp_path / name).iterdir())) for name in ("masks", "overlays", "heatmaps")] == [0, 0, 12]
    assert result.stdout.splitlines()[0] == f"hemorrhage 0.94      no mask  {paths[0]}: subdural 0.75"
    assert "gives no mask" not in run("predict", *paths, "--heatmaps", tmp_path / "again").stderr


def test_the_window_reaches_the_reader_of_pictures(run, tmp_path: Path, bright_reader) -> None:
    path = write_slice(tmp_path / "slice.png")
    assert run("predict", path, "--window", "80/200").exit_code == 0
    assert str(bright_reader.scans[0].window) == "80/200"
    assert bright_reader.scans[0].hu[0, 0, 0] == pytest.approx(-20 + 90 / 255 * 200, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("predict",), "Missing argument"),
        (("predict", "x", "--window", "40x80"), "A window is written LEVEL/WIDTH"),
        (("predict", "x", "--model", "nine"), "There is no model 'nine'; there are bright."),
        (("predict", "x", "--json", "no/such/folder/out"), "No such file or directory"),
        (("predict", "x", "--masks", "same", "--overlays", "same"), "a folder each"),
        (("predict", "x", "--masks", __file__), "is a file"),
        (("phantom", "x", "--bleed", "nasal:3"), "one of epidural, intraparenchymal"),
        (("phantom", "x", "--bleed", "subdural:much"), "SUBTYPE:ML[:SIDE]"),
        (("phantom", "x", "--bleed", "subdural"), "SUBTYPE:ML[:SIDE]"),
        (("phantom", "x", "--bleed", "subdural:20:up"), "left or right"),
        (("serve", "--port", "0"), "1<=x<=65535"),
        (("nothing",), "No such command"),
    ],
)
def test_wrong_options_are_answered_in_a_sentence(run, tmp_path, monkeypatch, arguments, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_a_folder_that_cannot_be_written_is_said(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    result = run("predict", write_slice(tmp_path / "a.png"), "--masks", tmp_path / "file" / "masks")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Not a directory")


def test_an_ensemble_is_listed_with_its_members_and_its_cost(run, monkeypatch) -> None:
    facts = {field.name: None for field in fields(EnsembleManifest)} | {
        "name": "papers_vote",
        "version": "1.0.0",
        "task": "classification",
        "licence": "CC-BY-4.0",
        "summary": "Votes.",
        "members": (Member("a", "", 0.5), Member("b", "", 0.5)),
        "combination": "vote",
        "parameters": 1200,
        "milliseconds_a_slice": 30.0,
    }
    monkeypatch.setattr(model, "manifests", lambda **_: (EnsembleManifest(**facts),))
    assert [said.strip() for said in run("models").stdout.splitlines()] == [
        "papers_vote  1.0.0  classification  CC-BY-4.0",
        "Votes.",
        "vote of a, b: 2 networks, 1,200 parameters together, 30 ms a slice",
    ]


def test_ctrl_c_exits_with_130(run, tmp_path: Path, monkeypatch, bright_reader) -> None:
    def interrupt(scan):
        raise KeyboardInterrupt

    monkeypatch.setattr(bright_reader, "read", interrupt)
    result = run("predict", write_slice(tmp_path / "a.png"))
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr


def test_version_is_the_packages() -> None:
    assert CliRunner().invoke(cli.main, ["--version"]).stdout == f"hemoscope {version('hemoscope')}\n"


def test_models_are_listed_with_what_they_are_for(run, monkeypatch) -> None:
    listed = SimpleNamespace(
        name="reader", version="1.0.0", task="classification+segmentation", licence="CC-BY-NC-SA-4.0", summary="Reads."
    )
    monkeypatch.setattr(model, "manifests", lambda **_: (listed,))
    assert run("models").stdout == ("reader  1.0.0  classification+segmentation  CC-BY-NC-SA-4.0\n        Reads.\n")


def test_a_broken_folder_is_named_and_the_other_models_are_listed(monkeypatch, tmp_path: Path) -> None:
    write_weights(tmp_path, "good")
    write_weights(tmp_path, "old", strange=1)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "manifest.json").write_text("{", "utf-8")
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(tmp_path))
    result = CliRunner().invoke(cli.main, ["models"])
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines() if line.strip()] == ["good"]
    old, torn = result.stderr.splitlines()
    assert old == "Error: In the weights folder old: The manifest has unknown keys ['strange'] and lacks []."
    assert torn.startswith("The manifest of torn is not readable JSON")


def test_no_models_is_an_error(run, monkeypatch) -> None:
    monkeypatch.setattr(model, "manifests", lambda **_: ())
    result = run("models")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no models" in result.stderr


def test_phantom_is_a_series_that_can_be_read_back(run, tmp_path: Path) -> None:
    folder = tmp_path / "head"
    result = run("phantom", folder, "--bleed", "intraparenchymal:20", "--slices", "8")
    assert result.exit_code == 0
    first, second, third = result.stdout.splitlines()
    assert first == f"8 slices in {folder}"
    assert third == "The bleeds push the midline by up to 2.0 mm to the patient's right."
    name, volume, unit = second.split()
    assert (name, unit) == ("intraparenchymal:", "ml")
    assert float(volume) == pytest.approx(20, rel=0.1)
    read = run("predict", folder, "--json", "-")
    assert read.exit_code == 0
    assert len(read.stdout.splitlines()) == 8
    assert all(json.loads(line)["area_mm2"] is not None for line in read.stdout.splitlines())


def test_phantom_leaves_a_folder_with_files_alone(run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    result = run("phantom", tmp_path)
    assert result.exit_code == 1
    assert "not empty" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


# As processes of their own: pipes, terminals, signals and servers.
PATHS = [str(ROOT), str(ROOT / "tests")]
PROGRAM = """
import sys
sys.path[:0] = {folders!r}
import cli, model
from conftest import BrightReader
model.load = lambda name: BrightReader()
cli.main(prog_name="hemoscope")
"""


def start(*arguments: object, folder: Path = ROOT, **options) -> subprocess.Popen:
    command = [sys.executable, "-P", "-c", PROGRAM.format(folders=PATHS), *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, text=True, **options)


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    for index in range(30):
        write_slice(tmp_path / f"{index}.png")
    process = start("predict", tmp_path, "--json", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["finding"] == "hemorrhage"
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(30) == 1


def test_a_progress_bar_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    write_slice(tmp_path / "a.png")
    terminal, other_end = pty.openpty()
    process = start("predict", tmp_path, "--json", "-", stdout=subprocess.PIPE, stderr=other_end)
    said, _ = process.communicate(timeout=30)
    os.close(other_end)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert json.loads(said)["area_px"] == 200
    assert "Reading" in shown
    assert "100%" in shown

    process = start("predict", tmp_path, "--json", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.communicate(timeout=30)[1] == ""


def test_serve_says_that_a_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli.main, ["serve", "--port", str(port)])
    assert result.exit_code == 1
    assert f"127.0.0.1:{port} is taken" in result.stderr


def test_serve_answers_and_stops_when_told_to(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def create_app():\n    raise SystemExit('not this one')\n", "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("serve", "--port", port, stderr=subprocess.PIPE, folder=tmp_path)
    try:
        deadline = time.monotonic() + 30
        answer = b""
        while not answer and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            try:
                answer = urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).read()
            except OSError:
                time.sleep(0.1)
        assert json.loads(answer)["status"] == "alive"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        said = process.communicate()[1]
    assert "not a medical device" in said
    assert "healthz" not in said  # no access log


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """The arguments of the server that `serve` becomes."""
    command: list[str] = []
    monkeypatch.setattr(serving, "port_is_free", lambda host, port: True)
    monkeypatch.setattr(os, "execv", lambda program, arguments: command.extend(arguments))
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    return command


@pytest.mark.parametrize(
    ("environment", "options", "workers"),
    [(None, (), "1"), ("3", (), "3"), ("3", ("--workers", "2"), "2")],
)
def test_serve_takes_its_workers_from_the_option_then_the_environment(
    started: list[str], monkeypatch, environment: str | None, options: tuple[str, ...], workers: str
) -> None:
    if environment is not None:
        monkeypatch.setenv("WEB_CONCURRENCY", environment)
    assert CliRunner().invoke(cli.main, ["serve", *options]).exit_code == 0
    assert started[started.index("--workers") + 1] == workers


@pytest.mark.parametrize(
    ("name", "value", "code", "sentence"),
    [
        ("HEMOSCOPE_MAX_FILES", "abc", 1, "A setting in the environment is wrong: HEMOSCOPE_MAX_FILES must be int"),
        ("HEMOSCOPE_CONTACT", "me", 1, "HEMOSCOPE_CONTACT must start with mailto: or https://, got 'me'."),
        ("WEB_CONCURRENCY", "many", 2, "(env var: 'WEB_CONCURRENCY'): 'many' is not a valid"),
    ],
)
def test_serve_says_which_setting_is_wrong_and_does_not_start(
    started: list[str], monkeypatch, name: str, value: str, code: int, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli.main, ["serve"])
    assert (result.exit_code, started) == (code, [])
    assert sentence in " ".join(result.stderr.split())


def test_without_gunicorn_a_local_server_takes_its_place_and_says_so(monkeypatch) -> None:
    served = []
    monkeypatch.setattr(serving, "has_gunicorn", lambda: False)
    monkeypatch.setattr(serving, "port_is_free", lambda host, port: True)
    monkeypatch.setattr("app.create_app", lambda: "the application")
    monkeypatch.setattr(
        "werkzeug.serving.run_simple", lambda *arguments, **options: served.append((arguments, options))
    )
    result = CliRunner().invoke(cli.main, ["serve", "--port", "8099"])
    assert result.exit_code == 0
    assert served == [(("127.0.0.1", 8099, "the application"), {"threaded": True})]
    assert "for local use only" in result.stderr


def test_without_flask_serve_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "flask", None)
    result = CliRunner().invoke(cli.main, ["serve"])
    assert result.exit_code == 1
    assert "pip install 'hemoscope[serve]'" in result.stderr


def test_the_installed_command_reads_a_phantom_with_the_real_weights(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "hemoscope"
    head, out = tmp_path / "head", tmp_path / "out.jsonl"
    environment = {name: value for name, value in os.environ.items() if name != "HEMOSCOPE_WEIGHTS"}
    for arguments in (
        ["phantom", head, "--bleed", "intraparenchymal:60", "--slices", "9"],
        ["predict", head, "--json", out, "--masks", tmp_path / "masks"],
    ):
        subprocess.run([command, *arguments], check=True, cwd=tmp_path, env=environment, timeout=60)
    said = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert len(said) == 9
    assert all(list(each) == KEYS and each["model"] == "reader" for each in said)
    assert all(0 <= probability <= 1 for each in said for probability in each["probabilities"].values())
    for each in said:
        mask = cv2.imread(str(tmp_path / "masks" / f"{Path(each['path']).stem}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (512, 512)
        assert int((mask == 255).sum()) == each["area_px"] == 512 * 512 - int((mask == 0).sum())
