"""The registry, on real git, GTO and DVC."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
import toy_registry as toy

from tasks import register
from tasks.io import git, registry
from tasks.io.registry import Place, RegistryError
from tasks.io.stage import StageError

PLACE = Place(artifact="digits", stage="champion")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry") / "repo"
    toy.build(folder)
    return folder


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return toy.copy(template, tmp_path / "repo")


def snapshot(repo: Path) -> str:
    return registry.snapshot(repo, register.SNAPSHOT, "a snapshot")


def enrol(repo: Path, content: bytes, decision: str = "promote") -> dict:
    digest = toy.put_model(repo, content)
    judged = {"decision": decision, "reasons": ["as told"], "challenger": {"md5": digest}}
    (repo / "models/decision.json").write_text(json.dumps(judged))
    return register.enrol(repo, PLACE, seed=7)


def test_a_snapshot_holds_the_files_as_they_are_on_disk_and_follows_head(repo):
    (repo / "tasks/ensemble.py").write_text("second = 2\n")
    (repo / "tasks/new.py").write_text("untracked = 3\n")
    commit = snapshot(repo)
    assert toy.run(repo, "git", "log", "-1", "--format=%P %s", commit) == (
        f"{git.head(repo)} a snapshot"
    )
    assert git.content(repo, commit, "tasks/ensemble.py") == b"second = 2\n"
    assert git.content(repo, commit, "tasks/new.py") == b"untracked = 3\n"
    assert git.content(repo, commit, "dvc.lock") == (repo / "dvc.lock").read_bytes()


def test_a_snapshot_holds_the_reviews_that_the_model_was_trained_with(repo):
    (repo / "data").mkdir(exist_ok=True)
    (repo / "data/label_reviews.csv").write_text("not committed yet\n")
    assert git.content(repo, snapshot(repo), "data/label_reviews.csv") == b"not committed yet\n"


def test_a_snapshot_leaves_branch_index_and_work_tree_as_they_were(repo):
    (repo / "tasks/ensemble.py").write_text("staged = 1\n")
    toy.run(repo, "git", "add", "tasks/ensemble.py")
    (repo / "tasks/ensemble.py").write_text("dirty = 2\n")
    (repo / "notes.txt").write_text("untracked\n")
    before = toy.state(repo)
    commit = snapshot(repo)
    assert toy.state(repo) == before
    assert git.content(repo, commit, "tasks/ensemble.py") == b"dirty = 2\n"


def test_a_snapshot_takes_neither_ignored_code_nor_secrets_and_forgets_deleted_files(repo):
    (repo / "tasks/__pycache__").mkdir()
    (repo / "tasks/__pycache__/x.pyc").write_text("compiled")
    (repo / ".dvc/config.local").write_text("[core]\n")
    (repo / "tasks/ensemble.py").unlink()
    (repo / ".dvcignore").unlink()
    (repo / "tasks/kept.py").touch()
    names = toy.run(repo, "git", "ls-tree", "-r", "--name-only", snapshot(repo)).split()
    assert [name for name in names if name.startswith("tasks/")] == ["tasks/kept.py"]
    assert ".dvcignore" not in names
    assert [name for name in names if name.startswith(".dvc/")] == [
        ".dvc/.gitignore",
        ".dvc/config",
    ]


def test_a_snapshot_needs_no_git_identity(repo):
    commit = snapshot(repo)
    who = toy.run(repo, "git", "log", "-1", "--format=%an <%ae>, %cn <%ce>", commit)
    assert who == "Digitline <digitline@invalid>, Digitline <digitline@invalid>"


def test_a_snapshot_is_the_users_where_git_knows_the_user(repo):
    toy.run(repo, "git", "config", "user.name", "Ada")
    toy.run(repo, "git", "config", "user.email", "ada@example.org")
    commit = snapshot(repo)
    assert toy.run(repo, "git", "log", "-1", "--format=%an <%ae>", commit) == (
        "Ada <ada@example.org>"
    )


def test_a_branch_without_a_commit_is_refused_with_what_to_do(repo):
    shutil.rmtree(repo / ".git")
    toy.run(repo, "git", "init", "-q")
    with pytest.raises(
        StageError, match=r"expected at least one commit .* git add . && git commit"
    ):
        snapshot(repo)


def test_the_first_promoted_model_is_the_champion(repo):
    assert registry.champion(repo, "digits", "champion") is None
    record = enrol(repo, toy.model())
    champion = registry.champion(repo, "digits", "champion")
    assert champion == registry.Version(
        name="digits",
        version="v0.0.1",
        commit=record["commit"],
        tag="digits@v0.0.1",
        path="models/ensemble/model.onnx",
        md5=toy.md5(toy.model()),
        held={"champion": "digits#champion#1"},
    )


def test_the_record_tells_where_the_model_comes_from(repo):
    record = enrol(repo, toy.model())
    details = {key: record.pop(key) for key in ("metrics", "model", "provenance")}
    assert record == {
        "artifact": "digits",
        "version": "v0.0.1",
        "stage": "champion",
        "commit": record["commit"],
        "tag": "digits@v0.0.1",
        "stage_tag": "digits#champion#1",
        "new": True,
        "decision": "promote",
        "reasons": ["as told"],
    }
    assert details["metrics"] == toy.FIGURES
    assert details["model"]["md5"] == toy.md5(toy.model())
    assert details["provenance"]["git_head"] == git.head(repo)
    assert details["provenance"]["seed"] == 7


def test_git_show_of_the_tag_tells_the_decision_and_the_provenance(repo):
    record = enrol(repo, toy.model())
    message = toy.run(repo, "git", "tag", "-l", "--format=%(contents)", "digits@v0.0.1")
    assert message.startswith("digits: a new version\n\npromote: as told\n\n{")
    told = json.loads(message[message.index("{") :])
    assert told["provenance"] == record["provenance"]
    assert told["metrics"] == toy.FIGURES


def test_a_refused_model_is_a_version_but_not_the_champion(repo):
    enrol(repo, toy.model())
    record = enrol(repo, toy.model(worse=1), "refuse")
    assert (record["version"], record["stage"]) == ("v0.0.2", None)
    assert registry.champion(repo, "digits", "champion").version == "v0.0.1"


def test_a_refused_model_that_is_the_champion_is_told_to_stay_it(repo):
    enrol(repo, toy.model())
    record = enrol(repo, toy.model(), "refuse")
    said = register._outcome(record, "champion")
    assert said == "refused; v0.0.1 was champion before and stays it: as told"


def test_the_same_model_is_not_registered_twice(repo):
    first = enrol(repo, toy.model())
    again = enrol(repo, toy.model())
    assert again == first | {"new": False, "provenance": again["provenance"]}
    assert toy.run(repo, "git", "tag").split() == ["digits#champion#1", "digits@v0.0.1"]


def test_a_rollback_makes_the_older_version_champion_for_every_reader(repo, tmp_path):
    enrol(repo, toy.model())
    enrol(repo, toy.model(worse=1))
    older = registry.find(repo, "digits", toy.md5(toy.model()))
    # Three assignments in a row: made within one second they would have no order.
    assert registry.promote(repo, older, "champion", "back") == "digits#champion#3"
    champion = registry.champion(repo, "digits", "champion")
    assert (champion.version, champion.held["champion"]) == ("v0.0.1", "digits#champion#3")
    get = ("dvc", "artifacts", "get", str(repo), "digits", "--stage", "champion", "-o", "got")
    toy.run(tmp_path, *get)
    assert (tmp_path / "got").read_bytes() == toy.model()


def test_a_stage_is_not_assigned_before_the_newest_assignment(repo, monkeypatch):
    enrol(repo, toy.model())
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    enrol(repo, toy.model(worse=1), "refuse")
    other = registry.find(repo, "digits", toy.md5(toy.model(worse=1)))
    with pytest.raises(RegistryError, match=r"newest assignment of digits .* in the future"):
        registry.promote(repo, other, "champion", "too early")


def test_fetch_returns_the_bytes_that_the_version_records(repo):
    enrol(repo, toy.model())
    enrol(repo, toy.model(worse=1), "refuse")
    assert registry.fetch(repo, registry.champion(repo, "digits", "champion")) == toy.model()


def test_fetch_refuses_a_damaged_cache_file_and_says_which_places_it_tried(repo):
    enrol(repo, toy.model())
    cached = toy.cache_file(repo, toy.md5(toy.model()))
    cached.chmod(0o644)
    cached.write_bytes(b"garbage")
    cached.chmod(0o444)
    with pytest.raises(RegistryError) as caught:
        registry.fetch(repo, registry.champion(repo, "digits", "champion"))
    assert str(caught.value) == (
        f"digits@v0.0.1: expected md5 {toy.md5(toy.model())}; "
        f"cache: damaged, md5 is {toy.md5(b'garbage')}; "
        "remote: none is set; where one has it: dvc remote add -d <name> <url>"
    )


def test_a_clone_elsewhere_reads_the_champion_from_the_remote(repo, tmp_path):
    toy.run(repo, "dvc", "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    toy.commit(repo, "a remote")
    enrol(repo, toy.model())
    toy.run(repo, "dvc", "push", "-q", "models/ensemble/model.onnx")
    clone = tmp_path / "clone"
    toy.run(tmp_path, "git", "clone", "-q", str(repo), str(clone))
    champion = registry.champion(clone, "digits", "champion")
    assert champion.version == "v0.0.1"
    assert registry.fetch(clone, champion) == toy.model()
    (tmp_path / "elsewhere").mkdir()
    get = ("dvc", "artifacts", "get", str(clone), "digits", "--stage", "champion")
    toy.run(tmp_path / "elsewhere", *get)
    assert (tmp_path / "elsewhere/model.onnx").read_bytes() == toy.model()
    assert "v0.0.1" in toy.run(clone, "gto", "show", "digits#champion")


def test_a_model_that_dvc_lock_does_not_record_is_not_registered(repo):
    digest = toy.put_model(repo, toy.model())
    other = toy.model(worse=1)
    (repo / "models/ensemble/model.onnx").write_bytes(other)
    judged = {"decision": "promote", "reasons": [], "challenger": {"md5": toy.md5(other)}}
    (repo / "models/decision.json").write_text(json.dumps(judged))
    with pytest.raises(StageError) as caught:
        register.enrol(repo, PLACE, seed=7)
    assert str(caught.value) == (
        f"dvc.lock: expected md5 {toy.md5(other)} for models/ensemble/model.onnx, as the file "
        f"has it; got {digest} for models/ensemble/model.onnx. "
        "The file was changed after its stage ran: run `dvc repro`"
    )
    assert toy.run(repo, "git", "tag") == ""


def test_a_decision_about_another_model_is_refused(repo):
    judged = {"decision": "promote", "reasons": [], "challenger": {"md5": "0" * 32}}
    (repo / "models/decision.json").write_text(json.dumps(judged))
    with pytest.raises(StageError, match=r"it is about 0{32}. Run the gate stage again"):
        register.enrol(repo, PLACE, seed=7)


def test_an_artifact_that_dvc_yaml_does_not_name_is_refused(repo):
    with pytest.raises(RegistryError, match=r"dvc\.yaml: expected artifacts\.letters"):
        registry.recorded(repo, snapshot(repo), "letters")


def test_gate_and_register_run_inside_dvc_repro_and_are_quiet(repo):
    with (repo / "dvc.yaml").open("a") as file:
        file.write(toy.LATER_STAGES)
    said = toy.run(repo, "dvc", "repro")
    assert "promote: passes every rule; there is no champion yet" in said
    assert "registered digits v0.0.1\nchampion is v0.0.1: passes every rule" in said
    assert "warn" not in said.lower()
    assert toy.run(repo, "dvc", "repro", "-q") == ""
    assert registry.champion(repo, "digits", "champion").version == "v0.0.1"
