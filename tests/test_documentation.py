"""The documents are true where a machine can tell: links lead somewhere, every option is described, versions agree."""

import re
import tomllib
from pathlib import Path

import click
import pytest

import cli
import model

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "weights").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = [match[1] for match in LINK.finditer(document.read_text("utf-8"))]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (name, option)
        for name, command in cli.main.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    ],
)
def test_every_option_of_the_command_line_is_described(command: str, option: str) -> None:
    reference = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
    section = reference.split(f"## hemoscope {command}")[1].split("\n## ")[0]
    assert re.search(rf"^\| `{option}[ `]", section, re.M)


def test_the_limit_of_slices_is_stated() -> None:
    reference = (ROOT / "docs" / "reference" / "readers.md").read_text("utf-8")
    assert f"at most {model.SLICES_AT_MOST} slices of one scan" in reference


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(page.name[:4]) for page in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)[1]
    assert cited == project["version"]


def test_the_readme_says_what_hemoscope_is_not() -> None:
    assert "Not a medical device" in (ROOT / "README.md").read_text("utf-8")


def test_the_index_leads_to_every_document() -> None:
    docs = ROOT / "docs"
    linked = {(docs / match[1]).resolve() for match in LINK.finditer((docs / "README.md").read_text("utf-8"))}
    documents = {page.resolve() for page in docs.rglob("*.md")} - {(docs / "README.md").resolve()}
    assert {page for page in documents if page.parent.name != "decisions"} <= linked
