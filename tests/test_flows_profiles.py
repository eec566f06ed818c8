"""Profiles write their values into params.yaml and nothing else."""

from pathlib import Path

import pytest
from toy_pipeline import PARAMS

from flows import profiles
from tasks.io.stage import StageError

REAL = Path(__file__).parent.parent / "params.yaml"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    return path


def test_a_profile_changes_its_values_and_keeps_the_comments(file):
    profiles.apply("quick", file)
    section = "train:\n  epochs: 1  # each\n  members: [a, b]\n"
    assert section in file.read_text()
    assert file.read_text().startswith("# what can be turned\ndata: web # where from\n")


def test_the_changes_are_told_with_the_way_back(file):
    assert profiles.use("quick", file) == [
        f"{file} now has the values of profile quick:",
        "  train.epochs: 10 -> 1",
        "  train.members: [a, b, c] -> [a, b]",
        "to go back: make run PROFILE=default",
    ]


def test_a_profile_that_changes_nothing_leaves_the_file_alone(file):
    before = file.stat().st_mtime_ns
    assert profiles.use("default", file) == [f"{file} already has the values of profile default"]
    assert file.stat().st_mtime_ns == before


def test_the_default_profile_brings_the_file_back_byte_for_byte(file):
    profiles.apply("quick", file)
    profiles.apply("default", file)
    assert file.read_text() == PARAMS


def test_the_default_profile_of_the_real_file_brings_it_back_byte_for_byte(tmp_path):
    copy = tmp_path / "params.yaml"
    copy.write_bytes(REAL.read_bytes())
    profiles.apply("default", copy)
    before = copy.read_bytes()
    assert profiles.apply("quick", copy)
    profiles.apply("default", copy)
    assert copy.read_bytes() == before


def test_an_unknown_profile_is_an_error_that_names_those_there_are(file):
    with pytest.raises(StageError) as error:
        profiles.apply("fast", file)
    assert str(error.value) == (
        f"{file}: profiles must have 'fast', as asked for; it has default, quick"
    )


def test_a_profile_with_an_unknown_key_is_an_error_and_writes_nothing(file):
    text = PARAMS.replace("train.epochs", "train.epoch")
    file.write_text(text)
    with pytest.raises(StageError) as error:
        profiles.apply("quick", file)
    assert str(error.value) == (
        f"{file}: profiles name train.epoch, which must be a key of the file; it is not"
    )
    assert file.read_text() == text


def test_a_profile_must_not_set_what_default_cannot_bring_back(file):
    file.write_text(PARAMS + "    data: disk\n")
    with pytest.raises(StageError) as error:
        profiles.apply("quick", file)
    assert str(error.value) == f"{file}: profiles.default must have every key of quick; add data"
