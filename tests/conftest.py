"""Shared by all tests: no telemetry, one backend."""

import os
from pathlib import Path

import pytest

os.environ.update({"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "MPLBACKEND": "agg"})


@pytest.fixture(scope="session")
def one_core() -> None:
    """Bind TensorFlow to one core, which it allows once a process and before its first use."""
    from tasks.core import training

    training.prepare()


@pytest.fixture(scope="session")
def three_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a toy repository: v0.0.1 and v0.0.2 were promoted, v0.0.3 was refused."""
    import toy_registry as toy

    folder = tmp_path_factory.mktemp("versions") / "repo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        toy.build(folder)
        toy.enrol(folder, toy.model(), reasons=("there is no champion yet",))
        toy.enrol(folder, toy.model(worse=1), reasons=("as good as v0.0.1",))
        toy.enrol(folder, toy.model(worse=2), "refuse", reasons=("accuracy is 0.8",))
    return folder


@pytest.fixture
def versions(three_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a copy of the repository with three versions, without the user's git, and return it."""
    import toy_registry as toy

    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    folder = toy.copy(three_versions, tmp_path / "versions")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a toy repository, to be read only: its one version tells members and classes."""
    import toy_ensemble
    import toy_registry as toy

    folder = tmp_path_factory.mktemp("current") / "repo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        toy.build(folder)
        toy.enrol(folder, toy_ensemble.complete(classes=("nought", *"123456789")))
    return folder
