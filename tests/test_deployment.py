"""The files that install and run Hemoscope agree with each other and with the application: none of them is run here."""

import json
import re
import runpy
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
RENDER = (ROOT / "render.yaml").read_text("utf-8")


def configuration(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, object]:
    for name in ("PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "gunicorn.conf.py"))


def distribution_name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


def test_gunicorn_listens_at_home_unless_a_host_gives_a_port(monkeypatch) -> None:
    assert configuration(monkeypatch)["bind"] == "127.0.0.1:8000"
    assert configuration(monkeypatch, PORT="10000")["bind"] == "0.0.0.0:10000"


def test_gunicorn_takes_its_workers_from_the_environment(monkeypatch) -> None:
    assert configuration(monkeypatch)["workers"] == 1
    assert configuration(monkeypatch, WEB_CONCURRENCY="3")["workers"] == 3


def test_gunicorn_knows_every_setting_and_logs_no_access(monkeypatch) -> None:
    from gunicorn.config import KNOWN_SETTINGS

    known = {setting.name for setting in KNOWN_SETTINGS}
    settings = {name: value for name, value in configuration(monkeypatch).items() if name in known}
    assert {"bind", "workers", "threads", "timeout", "graceful_timeout", "preload_app", "worker_tmp_dir"} <= set(
        settings
    )
    assert settings["accesslog"] is None
    assert settings["preload_app"] is False


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_paths_that_hosts_ask_are_routes(path: str) -> None:
    from app import create_app

    assert path in {rule.rule for rule in create_app({"warm_up": False}).url_map.iter_rules()}
    assert path in DOCKERFILE + RENDER


def test_dockerfile_exposes_the_port_that_gunicorn_takes() -> None:
    assert re.search(r"\bPORT=(\d+)", DOCKERFILE)[1] == re.search(r"^EXPOSE (\d+)", DOCKERFILE, re.M)[1] == "8000"


def test_dockerfile_runs_as_nobody_in_particular_and_starts_the_factory() -> None:
    final = DOCKERFILE.split("\nFROM ")[-1]
    user = re.search(r"^USER (\d+)", final, re.M)[1]
    assert f"--uid {user}" in final
    assert final.index("USER ") > final.index("COPY ")
    assert 'CMD ["gunicorn", "app:create_app()"]' in final


def test_dockerfile_starts_where_the_wheel_puts_gunicorns_settings() -> None:
    (folder,) = PROJECT["tool"]["setuptools"]["data-files"]
    assert PROJECT["tool"]["setuptools"]["data-files"][folder] == ["gunicorn.conf.py"]
    assert f"WORKDIR /opt/hemoscope/{folder}" in DOCKERFILE


def test_dockerfile_copies_only_what_the_builder_is_given() -> None:
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M) for name in line.split()}
    assert copied - {"."} <= given
    assert "training" not in given
    missing = {name for name in given if not (ROOT / name).exists()}
    assert not missing


def test_a_wheel_holds_every_folder_that_serving_reads() -> None:
    packages = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    folders = {name for name in given if (ROOT / name).is_dir()} - {"viewer"}  # whose bundle lies in static
    assert {f"{folder}*" for folder in folders} <= set(packages)


def test_the_weights_that_ship_stay_small() -> None:
    tracked = subprocess.run(["git", "ls-files", "weights"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0 < sum((ROOT / name).stat().st_size for name in tracked.stdout.splitlines()) < 60 * 2**20


def test_the_viewer_is_built_where_it_is_served_from() -> None:
    bundle = re.search(r"^VIEWER := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.M)[1]
    assert bundle == "static/viewer/main.js"
    assert "COPY --from=viewer /src/static/viewer static/viewer" in DOCKERFILE
    assert "filename='viewer/main.js'" in (ROOT / "templates" / "study.html").read_text("utf-8")
    ignored = subprocess.run(["git", "check-ignore", "--quiet", bundle], cwd=ROOT)
    assert ignored.returncode == 0


def test_the_locked_packages_of_the_viewer_name_no_registry() -> None:
    lock = json.loads((ROOT / "viewer" / "package-lock.json").read_text("utf-8"))
    packages = {name: facts for name, facts in lock["packages"].items() if name}
    assert packages
    assert all("resolved" not in facts and facts["integrity"] for facts in packages.values())


def test_a_bundle_that_is_newer_than_its_sources_is_left_alone(tmp_path: Path) -> None:
    bundle = tmp_path / "main.js"
    bundle.write_text("", "utf-8")
    done = subprocess.run(
        ["make", "--dry-run", str(bundle), f"VIEWER={bundle}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "npm" not in done.stdout


def test_render_builds_the_dockerfile_and_waits_until_it_can_read() -> None:
    assert re.search(r"dockerfilePath: \./(\S+)", RENDER)[1] == "Dockerfile"
    assert "healthCheckPath: /readyz" in RENDER


def test_every_dependency_is_locked_to_one_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    locked = {distribution_name(line) for line in lines}
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*( ; .+)?", line) for line in lines)
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(each for extra in extras.values() for each in extra)]
    assert {distribution_name(requirement) for requirement in wanted} <= locked


def test_make_offers_what_the_readme_promises() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    offered = {line.split()[1] for line in done.stdout.splitlines()}
    assert {"serve", "test", "lint", "train", "bench"} <= offered


@pytest.mark.parametrize("target", ["serve", "test", "lint"])
def test_make_builds_the_environment_it_needs(target: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    steps = [
        shlex.split(line, comments=True)
        for line in done.stdout.replace("\\\n", " ").splitlines()
        if " -m venv " in line or " -m pip " in line
    ]
    assert steps[0][1:3] == ["-m", "venv"]
    assert steps[1][steps[1].index("--constraint") + 1] == "constraints.txt"


def test_make_says_that_python_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "serve", "PYTHON=", f"VENV={tmp_path / 'venv'}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr


def test_make_says_which_package_makes_environments(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n", "utf-8")  # as Debian's without python3-venv: `import ensurepip` fails
    bare.chmod(0o755)
    done = subprocess.run(
        ["make", "serve", f"PYTHON={bare}", f"VENV={tmp_path / 'venv'}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr
