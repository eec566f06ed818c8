"""What keeps the layout honest: one name a stage, and dependencies that are complete."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tasks.io import params

ROOT = Path(__file__).parent.parent
PIPELINE: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES: dict[str, Any] = PIPELINE["stages"]
README = (ROOT / "README.md").read_text()
SEALED = "data/ingest/test_labels.npy"


def imports(file: Path) -> set[Path]:
    """Return the project's own files that ``file`` imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            names = [(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for module, name in names:
            if module.split(".")[0] not in ("tasks", "flows"):
                continue
            folder = ROOT / module.replace(".", "/")
            candidates = (folder / f"{name}.py", folder.with_suffix(".py"))
            found |= {path for path in candidates if path.is_file()}
    return found


def reached(file: Path) -> set[Path]:
    """Return ``file`` and all of the project's files that it imports, directly or not."""
    seen: set[Path] = set()
    todo = {file}
    while todo:
        seen |= todo
        todo = {path for file in todo for path in imports(file)} - seen
    return seen


def keys(section: dict[str, Any], prefix: str = "") -> set[str]:
    """Return all dotted keys of a mapping, those of mappings included."""
    names = set()
    for key, value in section.items():
        names.add(prefix + key)
        if isinstance(value, dict):
            names |= keys(value, f"{prefix}{key}.")
    return names


def test_every_stage_has_a_module_and_every_module_a_stage():
    modules = {path.stem for path in (ROOT / "tasks").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)


def test_every_stage_has_a_section_of_parameters_and_every_section_a_stage():
    assert set(params.load(ROOT / "params.yaml")) - {*params.SHARED} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_section_is_valid(stage, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(f"tasks.{stage}")
    model = getattr(module, stage.title())
    assert params.section(model, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(stage):
    code = {path.relative_to(ROOT).as_posix() for path in reached(ROOT / f"tasks/{stage}.py")}
    listed = {path for path in STAGES[stage]["deps"] if path.startswith("tasks/")}
    others = {path for path in listed if not path.endswith(".py")}
    assert listed - others == code


@pytest.mark.parametrize("package", ["tasks", "tasks/core", "tasks/io", "flows"])
def test_a_package_file_holds_a_docstring_alone_and_needs_no_dependency(package):
    body = ast.parse((ROOT / package / "__init__.py").read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_parameters_exist(stage):
    known = keys(params.load(ROOT / "params.yaml"))
    listed = {name for name in STAGES[stage].get("params", []) if "${" not in name}
    assert listed <= known


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_own_section(stage):
    roots = {name.split(".")[0] for name in STAGES[stage].get("params", [])}
    assert stage in roots


ASKED = {
    "params.seed": ("seed",),
    "params.data": ("data",),
    "models.members": ("train",),
    "models.baselines": ("baseline",),
    "models.every": ("train", "baseline"),
}
"""What a call reads of params.yaml, beside ``params.section(model, name)``."""


def asked(file: Path) -> set[str]:
    """Return the sections that the calls in ``file`` read; of a computed name its start."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        found |= {*ASKED.get(called, ())}
        if called == "params.section":
            name = node.args[1]
            start = name.values[0] if isinstance(name, ast.JoinedStr) else name
            assert isinstance(start, ast.Constant), f"{file}: {ast.unparse(node)}"
            found.add(str(start.value).rstrip("."))
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_parameters_that_it_reads(stage):
    files = {ROOT / f"tasks/{stage}.py", ROOT / "tasks/io/results.py"}
    read = set().union(*(asked(file) for file in files & reached(ROOT / f"tasks/{stage}.py")))
    listed = {name.partition("${")[0].rstrip(".") for name in STAGES[stage]["params"]}
    uncovered = {
        key
        for key in read
        if not any(
            f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in listed
        )
    }
    assert read
    assert not uncovered


def test_the_core_reads_and_writes_nothing():
    for path in (ROOT / "tasks/core").glob("*.py"):
        used = {other.relative_to(ROOT).parts[1] for other in imports(path)}
        assert used <= {"core"}, path
        assert not re.search(r"\bopen\(|\.read_|\.write_", path.read_text()), path


def test_the_stages_do_not_import_the_flow():
    for path in (ROOT / "tasks").rglob("*.py"):
        assert not any(other.is_relative_to(ROOT / "flows") for other in imports(path)), path


def test_no_module_of_the_flow_hides_one_of_pythons():
    """Prefect puts the folder of a deployment's file first on the path."""
    assert not {path.stem for path in (ROOT / "flows").glob("*.py")} & sys.stdlib_module_names


def test_only_validation_and_what_follows_evaluation_can_reach_the_test_labels():
    """Test labels are named by what reads them from outside, their reader, and `validate`."""
    readers = {stage for stage in STAGES if SEALED in STAGES[stage].get("deps", [])}
    assert readers == {"validate", "evaluate", "gate", "report"}
    sealed = ROOT / "tasks/io/sealed.py"
    importers = {stage for stage in STAGES if sealed in reached(ROOT / f"tasks/{stage}.py")}
    assert importers == {"evaluate", "gate", "report"}
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tasks").rglob("*.py")
        if "test_labels" in path.read_text() and not imports(path) & {sealed}
    }
    assert naming == {
        "tasks/core/mnist.py",
        "tasks/core/splits.py",
        "tasks/io/mnist.py",
        "tasks/io/readers/datasets.py",
        "tasks/io/sources.py",
        "tasks/io/sealed.py",
        "tasks/validate.py",
    }


def test_the_default_profile_is_what_is_committed():
    committed = subprocess.run(
        ["git", "show", "HEAD:./params.yaml"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    content = YAML(typ="safe").load(committed)
    for key, value in content["profiles"]["default"].items():
        found: Any = content
        for part in key.split("."):
            found = found[part]
        assert found == value, key


def test_every_profile_sets_the_same_keys():
    profiles = params.load(ROOT / "params.yaml")["profiles"]
    assert {frozenset(values) for values in profiles.values()} == {frozenset(profiles["default"])}


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE)))
)
def test_every_target_that_the_readme_names_exists(command):
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def commands(program: str) -> list[list[str]]:
    """Return the README's command lines that start with ``program``, without comments."""
    blocks = "\n".join(re.findall(r"^    \w.*$", README, re.MULTILINE))
    lines = re.findall(rf"(?:^    |&& )({program} .*)$", blocks, re.MULTILINE)
    return [shlex.split(re.split(r"\s#|&&", line)[0])[1:] for line in lines]


@pytest.mark.parametrize("command", commands("dvc"), ids=" ".join)
def test_dvc_understands_what_the_readme_tells_it(command):
    from dvc.cli import parse_args

    assert parse_args(command).func


@pytest.mark.parametrize("command", commands("python"), ids=" ".join)
def test_flows_understands_what_the_readme_tells_it(command):
    from flows.__main__ import _parser

    assert command[:2] == ["-m", "flows"]
    assert _parser().parse_args(command[2:]).command


@pytest.mark.parametrize(
    ("program", "command"),
    [(program, command) for program in ("gto", "prefect") for command in commands(program)],
)
def test_gto_and_prefect_understand_what_the_readme_tells_them(program, command):
    path = Path(sys.executable).parent / program
    help_of = subprocess.run(
        [path, *command, "--help"], capture_output=True, text=True, check=False
    )
    assert help_of.returncode == 0, help_of.stderr
    general = {"--no-prompt"}
    options = {word for word in command if word.startswith("--")} - general
    assert all(option in help_of.stdout for option in options)


def test_the_lock_file_names_no_host_and_pins_by_hash():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    entries = re.findall(r"^[A-Za-z0-9].*$", text, re.MULTILINE)
    assert len(entries) > 100
    assert all("==" in entry and entry.endswith("\\") for entry in entries)
