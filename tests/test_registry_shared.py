"""The registry between processes and between clones: races, push and pull, DVC's clean-up."""

import subprocess
import sys
from pathlib import Path

import pytest
import toy_registry as toy

from flows.__main__ import main
from tasks.io import history, registry

# One process of several: waits for the starting shot, then registers the model in its folder.
REGISTER = """
import pathlib, sys, time
import toy_registry as toy
from tasks import register
repo, shot = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
pathlib.Path(sys.argv[3]).touch()
while not shot.exists():
    time.sleep(0.001)
print(register.enrol(repo, toy.PLACE, seed=7)["version"])
"""


def together(tmp_path: Path, *commands: list[str]) -> list[str]:
    """Start each Python command, let all begin at one moment, and return what they print."""
    shot = tmp_path / "shot"
    started = []
    for number, command in enumerate(commands):
        ready = tmp_path / f"ready{number}"
        environment = toy.environment(PYTHONPATH=f"{toy.SOURCE}:{toy.SOURCE}/tests")
        line = [sys.executable, *command, str(shot), str(ready)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append((subprocess.Popen(line, env=environment, **options), ready))
    while not all(ready.exists() or process.poll() for process, ready in started):
        pass
    shot.touch()
    said = [process.communicate(timeout=120)[0] for process, _ in started]
    assert [process.returncode for process, _ in started] == [0] * len(commands), said
    return [text.strip() for text in said]


def work_tree(repo: Path, folder: Path, content: bytes, decision: str) -> Path:
    """Return another work tree of ``repo`` with a model of its own that was judged so."""
    toy.run(repo, "git", "worktree", "add", "-q", "--detach", str(folder))
    for name in ("models/ensemble", "reports/evaluate/metrics", "data/preprocess", "data/ingest"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    toy.write_images(folder)
    toy.judge(folder, toy.put_model(folder, content), decision, ("as told",))
    return folder


def test_registrations_of_several_processes_in_one_moment_become_several_versions(
    versions, tmp_path
):
    """Each judged its own model beside v0.0.2; the second to come finds another champion."""
    folders = [
        work_tree(versions, tmp_path / f"tree{worse}", toy.model(worse), "refuse")
        for worse in (5, 6, 7)
    ]
    said = together(tmp_path, *(["-c", REGISTER, str(folder)] for folder in folders))
    assert sorted(said) == ["v0.0.4", "v0.0.5", "v0.0.6"]
    refused = history.refusals(history.events(versions, toy.PLACE))
    assert {event.version for event in refused} == {"v0.0.3", *said}
    assert len({event.time for event in refused}) == len(refused)


def test_one_model_that_two_processes_register_in_one_moment_is_one_version(versions, tmp_path):
    folders = [
        work_tree(versions, tmp_path / f"tree{number}", toy.model(5), "promote")
        for number in (1, 2)
    ]
    said = together(tmp_path, *(["-c", REGISTER, str(folder)] for folder in folders))
    assert said == ["v0.0.4", "v0.0.4"]
    assert registry.champion(versions, "digits", "champion").version == "v0.0.4"


def test_promotions_of_several_processes_in_one_moment_get_an_order(versions, tmp_path):
    """Every reader names the same champion: the newest tag's time is its own."""
    force = """
import os, pathlib, sys, time
from flows.__main__ import main
os.chdir(sys.argv[1])
pathlib.Path(sys.argv[4]).touch()
while not pathlib.Path(sys.argv[3]).exists():
    time.sleep(0.001)
sys.exit(main(["promote", sys.argv[2], "--force", "--reason", "a race"]))
"""
    names = ("v0.0.1", "v0.0.3")
    together(tmp_path, *(["-c", force, str(versions), name] for name in names))
    *_, first, second = history.events(versions, toy.PLACE)
    assert {first.version, second.version} == {*names}
    assert first.time < second.time
    assert second.previous == first.version
    assert registry.champion(versions, "digits", "champion").version == second.version
    get = ("dvc", "artifacts", "get", str(versions), "digits", "--stage", "champion", "-o", "got")
    toy.run(tmp_path, *get)
    version = registry.get(versions, "digits", second.version)
    assert toy.md5((tmp_path / "got").read_bytes()) == version.md5


def test_the_registry_in_use_is_told_with_the_lock(versions, monkeypatch):
    monkeypatch.setattr(registry, "TURN_PATIENCE", 0)
    with (
        registry.turn(versions),
        pytest.raises(registry.RegistryError, match=r"another process has held .*digitline\.lock"),
        registry.turn(versions),
    ):
        pass


@pytest.fixture
def shared(versions, tmp_path) -> Path:
    """Give the repository a remote for git and one for DVC, as of before the next version."""
    toy.run(tmp_path, "git", "init", "-q", "-b", "main", "--bare", "hub")
    toy.run(versions, "git", "remote", "add", "origin", str(tmp_path / "hub"))
    toy.run(versions, "dvc", "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    toy.commit(versions, "a remote")
    return versions


def stored(tmp_path: Path, content: bytes) -> bool:
    digest = toy.md5(content)
    return (tmp_path / "store/files/md5" / digest[:2] / digest[2:]).is_file()


def test_a_clone_has_history_and_champions_and_can_roll_back(shared, tmp_path, monkeypatch, capsys):
    toy.enrol(shared, toy.model(worse=4))
    toy.enrol(shared, toy.model(worse=5))
    toy.run(shared, "dvc", "push", "-q", "--all-tags")
    toy.run(shared, "git", "push", "-q", "origin", "HEAD", "--tags")
    toy.run(tmp_path, "git", "clone", "-q", "hub", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert registry.champion(Path(), "digits", "champion").version == "v0.0.5"
    assert main(["rollback", "--reason", "from a clone"]) == 0
    toy.run(Path(), "git", "push", "-q", "--tags")
    monkeypatch.chdir(shared)
    toy.run(Path(), "git", "pull", "-q", "--tags", "origin", "main")
    assert registry.champion(Path(), "digits", "champion").version == "v0.0.4"
    get = ("dvc", "artifacts", "get", "hub", "digits", "--stage", "champion", "-o", "got")
    toy.run(tmp_path, *get)
    assert (tmp_path / "got").read_bytes() == toy.model(worse=4)


def test_push_of_all_tags_needs_the_remote_of_before_the_registration_or_a_local_one(
    shared, tmp_path
):
    """DVC reads the remote from each tag's own commit, and from this clone's local settings."""
    toy.enrol(shared, toy.model(worse=4))
    other = toy.copy(shared, tmp_path / "other")  # DVC remembers what a push found in a folder
    toy.run(shared, "dvc", "push", "-q", "--all-tags")
    assert (stored(tmp_path, toy.model(4)), stored(tmp_path, toy.model())) == (True, False)
    local = ("dvc", "remote", "add", "-q", "--local", "-d", "store", str(tmp_path / "store"))
    toy.run(other, *local)
    toy.run(other, "dvc", "push", "-q", "--all-tags")
    assert stored(tmp_path, toy.model())


def cached(repo: Path) -> list[bool]:
    return [toy.cache_file(repo, toy.md5(toy.model(worse))).is_file() for worse in (0, 1, 2)]


def test_a_clean_up_of_all_but_the_workspace_loses_registered_artifacts(versions):
    toy.run(versions, "dvc", "gc", "--workspace", "--force")
    assert cached(versions) == [False, False, True]


def test_a_clean_up_that_keeps_all_tags_keeps_them_and_the_way_back(versions):
    toy.put_model(versions, toy.model(worse=9))  # a model that nobody registered ...
    toy.put_model(versions, toy.model(worse=2))  # ... and that is not the one of today
    toy.run(versions, "dvc", "gc", "--workspace", "--all-tags", "--force")
    assert cached(versions) == [True, True, True]
    assert not toy.cache_file(versions, toy.md5(toy.model(worse=9))).exists()
    assert main(["rollback", "--reason", "why"]) == 0


def test_a_clean_up_of_the_remote_keeps_them_by_the_same_option(shared, tmp_path):
    toy.enrol(shared, toy.model(worse=4))
    toy.enrol(shared, toy.model(worse=5))
    toy.run(shared, "dvc", "push", "-q", "--all-tags")
    toy.run(shared, "dvc", "gc", "--workspace", "--all-tags", "--cloud", "--force")
    assert stored(tmp_path, toy.model(worse=4))
    toy.run(shared, "dvc", "gc", "--workspace", "--cloud", "--force")
    assert not stored(tmp_path, toy.model(worse=4))
