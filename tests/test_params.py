from pathlib import Path

import pytest
from pydantic import Field

from tasks.io import params
from tasks.io.stage import StageError


class Example(params.Section):
    rate: float = Field(ge=0, lt=1)
    steps: int


def write(folder: Path, text: str) -> Path:
    file = folder / "params.yaml"
    file.write_text(text)
    return file


def test_a_section_is_read_into_its_class(tmp_path):
    file = write(tmp_path, "gate: {rate: 0.5, steps: 3}")
    assert params.section(Example, "gate", file) == Example(rate=0.5, steps=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{rate: 1.5, steps: 3}", "gate.rate must be less than 1; got 1.5"),
        ("{rate: 0.5, steps: '3'}", "gate.steps must be a valid integer; got '3'"),
        ("{rate: 0.5, steps: true}", "gate.steps must be a valid integer; got True"),
        ("{rate: 0.5}", "gate.steps is missing; every key has to be given"),
        (
            "{rate: 0.5, steps: 3, stepz: 4}",
            "gate.stepz is not a known key; remove it or correct its name",
        ),
        ("[1]", "gate must be a valid dictionary or instance of Example; got [1]"),
    ],
)
def test_a_fault_names_file_key_expected_and_received(tmp_path, text, message):
    file = write(tmp_path, f"gate: {text}")
    with pytest.raises(StageError) as caught:
        params.section(Example, "gate", file)
    assert str(caught.value) == f"{file}: {message}"


def test_all_faults_are_told_at_once(tmp_path):
    file = write(tmp_path, "gate: {rate: 2, steps: x}")
    with pytest.raises(StageError) as caught:
        params.section(Example, "gate", file)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: 1", "gate is missing; expected a section of that name"),
        ("- 1", "expected sections; got list"),
        ("a: [", "expected YAML; "),
        ("a: 1\na: 2", "expected YAML; "),
    ],
)
def test_a_file_that_is_no_parameter_file_is_refused(tmp_path, text, message):
    file = write(tmp_path, text)
    with pytest.raises(StageError) as caught:
        params.section(Example, "gate", file)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_section_that_is_no_stages_is_refused_by_its_name(tmp_path):
    file = write(tmp_path, "gate: {rate: 0.5, steps: 3}\nseed: 0\ndata: {}\ntrian: 1")
    with pytest.raises(StageError) as caught:
        params.section(Example, "gate", file)
    line = f"{file}: trian is not a known key; remove it or correct its name"
    assert str(caught.value) == line


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StageError, match=r"none\.yaml: expected the parameter file here"):
        params.load(tmp_path / "none.yaml")
