"""The direction of imports: app, cli -> web -> model -> hemoscope <- training, `commands` as a part of cli. Read from
the source, and run."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each part may import of the project.
ALLOWED = {
    "hemoscope": {"hemoscope"},
    "model": {"model", "hemoscope"},
    "web": {"web", "model", "hemoscope"},
    "app": {"app", "web", "model", "hemoscope"},
    "commands": {"commands", "app", "web", "model", "hemoscope"},
    "cli": {"cli", "commands", "app", "web", "model", "hemoscope"},
    "training": {"training", "hemoscope"},
}
OWN = set(ALLOWED) | {"benchmarks", "tests"}

# The core takes arrays and gives arrays: no web, no networks' library, no database, no connections.
NOT_IN_THE_CORE = {
    "flask", "werkzeug", "gunicorn", "keras", "tensorflow", "torch", "jax", "sqlite3", "sqlalchemy", "socket",
    "http", "requests", "urllib3",
}  # fmt: skip
TRAINING_ONLY = {"keras", "tensorflow", "torch", "jax", "tf2onnx", "onnx", "albumentations", "matplotlib", "training"}


def files_of(part: str) -> list[Path]:
    module = ROOT / f"{part}.py"
    return [module] if module.is_file() else sorted((ROOT / part).rglob("*.py"))


def runs_later(node: ast.AST) -> bool:
    """Whether a module's import leaves this node alone: a function's body, or a branch for type checkers."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def imports_of(source: str, *, module_level: bool = False) -> set[str]:
    """The top-level names that a source imports; `module_level` leaves out imports inside functions and those for
    type checkers only."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name.split(".")[0] for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"line {child.lineno}: a relative import"
                found.add((child.module or "").split(".")[0])
            elif not (module_level and runs_later(child)):
                visit(child)

    visit(ast.parse(source))
    return found


SOURCES = [pytest.param(part, file, id=str(file.relative_to(ROOT))) for part in ALLOWED for file in files_of(part)]


@pytest.mark.parametrize(("part", "file"), SOURCES)
def test_a_module_imports_only_what_lies_below_it(part: str, file: Path) -> None:
    upwards = (imports_of(file.read_text("utf-8")) & OWN) - ALLOWED[part]
    assert not upwards, f"{part} must not import {sorted(upwards)}"


@pytest.mark.parametrize("file", files_of("hemoscope"), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_core_knows_no_web_network_library_or_database(file: Path) -> None:
    assert not imports_of(file.read_text("utf-8")) & NOT_IN_THE_CORE


@pytest.mark.parametrize("file", [param.values[1] for param in SOURCES if param.values[0] != "training"], ids=str)
def test_serving_imports_no_training_library_at_module_level(file: Path) -> None:
    assert not imports_of(file.read_text("utf-8"), module_level=True) & TRAINING_ONLY


def test_the_import_reader_sees_what_it_should() -> None:
    source = (
        "import os.path, keras.ops as ops\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "try:\n    import jax\nexcept ImportError:\n    pass\n"
        "class A:\n    import onnx\n    def f(self):\n        from training.networks import x\n"
    )
    assert imports_of(source) == {"os", "keras", "typing", "torch", "jax", "onnx", "training"}
    assert imports_of(source, module_level=True) == {"os", "keras", "typing", "jax", "onnx"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh process that ran the code."""
    program = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_servers_parts_loads_no_training_library() -> None:
    loaded = loaded_after("import app, cli, model")
    assert {"app", "cli", "model", "flask", "hemoscope"} <= loaded
    assert not loaded & TRAINING_ONLY


def test_the_server_starts_without_its_database() -> None:
    loaded = loaded_after("import app; app.create_app({'warm_up': False})")
    assert not loaded & {"sqlalchemy", "alembic", "psycopg", "sqlite3", "dicomanonymizer"}


def test_the_command_line_starts_without_flask_and_opencv() -> None:
    assert not loaded_after("import cli") & (TRAINING_ONLY | {"flask", "cv2", "pydicom", "onnxruntime"})


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {
    "hemoscope": [],
    "model": [],
    "cli": ["serve"],
    "commands": ["serve"],
    "web": ["serve"],
    "app": ["serve"],
    "training": ["train", "devices"],
    "benchmarks": ["serve", "train", "dev"],
    "tests": ["serve", "train", "dev"],
}
# Modules that come with a declared distribution which is not named after them, or which builds on their own.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "openjpeg": "pylibjpeg-openjpeg",
    "jpeg_ls": "pyjpegls",
    "tensorflow": "tensorflow-cpu",
    "werkzeug": "flask",
    "dicomanonymizer": "dicom-anonymizer",
}


@pytest.mark.parametrize("part", EXTRAS)
def test_every_library_that_is_imported_is_declared(part: str) -> None:
    declared = [
        *PROJECT["dependencies"],
        *(each for extra in EXTRAS[part] for each in PROJECT["optional-dependencies"][extra]),
    ]
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in declared}
    imported = set().union(*(imports_of(file.read_text("utf-8")) for file in files_of(part)))
    foreign = imported - OWN - set(sys.stdlib_module_names) - {"conftest"}
    assert {name for name in foreign if DISTRIBUTIONS.get(name, name.replace("_", "-")).lower() not in names} == set()


def test_the_loader_of_unexported_trainings_is_where_serving_looks_for_it() -> None:
    module, function = PROJECT["entry-points"]["hemoscope.loaders"]["keras"].split(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert 'entry_points(group="hemoscope.loaders", name="keras")' in (ROOT / "model.py").read_text("utf-8")
