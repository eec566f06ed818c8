"""The registry, on real git, GTO and DVC."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import toy_registry as toy

from tasks import register
from tasks.io import git, history, registry
from tasks.io.registry import RegistryError
from tasks.io.stage import StageError

DETAILS = ("metrics", "model", "provenance", "hashes", "parameters", "time")


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
    record = toy.enrol(repo, toy.model())
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
    record = toy.enrol(repo, toy.model())
    told = {key: record.pop(key) for key in DETAILS}
    assert record == {
        "artifact": "digits",
        "version": "v0.0.1",
        "stage": "champion",
        "commit": record["commit"],
        "tag": "digits@v0.0.1",
        "stage_tag": "digits#champion#1",
        "withheld": None,
        "new": True,
        "decision": "promote",
        "reasons": ["as told"],
    }
    assert told["metrics"] == toy.FIGURES
    assert told["model"] == {
        "path": "models/ensemble/model.onnx",
        "md5": toy.md5(toy.model()),
        "sha256": hashlib.sha256(toy.model()).hexdigest(),
        "bytes": len(toy.model()),
    }
    assert told["provenance"]["git_head"] == git.head(repo)
    assert told["provenance"]["seed"] == 7
    assert told["time"].endswith("+00:00")
    assert told["parameters"]["gate"]["min_accuracy"] == 0.9


def test_the_record_holds_the_hashes_of_data_code_and_files(repo):
    with (repo / "dvc.lock").open("a") as file:
        file.write("  ingest:\n    outs:\n    - {path: data/ingest/x.npy, md5: abc}\n")
    (repo / "requirements.lock").write_text("numpy==2.4\n")
    toy.judge(repo, toy.md5(toy.model()), "promote", ("as told",))
    record = register.enrol(repo, toy.PLACE, seed=7)
    commit = record["commit"]
    lock = git.content(repo, commit, "dvc.lock")
    assert record["hashes"] == {
        "data": {"data/ingest/x.npy": "abc"},
        "code": {"tasks": toy.run(repo, "git", "rev-parse", f"{commit}:tasks"), "flows": None},
        "files": {
            "dvc.lock": hashlib.sha256(lock).hexdigest(),
            "params.yaml": hashlib.sha256((repo / "params.yaml").read_bytes()).hexdigest(),
            "requirements.lock": hashlib.sha256(b"numpy==2.4\n").hexdigest(),
        },
    }


def test_the_parameters_in_the_record_are_those_of_this_run_and_no_profiles(repo):
    with (repo / "params.yaml").open("a") as file:
        file.write("profiles: {quick: {seed: 1}}\n")
    assert toy.enrol(repo, toy.model())["parameters"].keys() == {"seed", "gate", "register"}


def test_git_show_of_the_tag_tells_the_decision_and_the_whole_record(repo):
    record = toy.enrol(repo, toy.model())
    message = toy.run(repo, "git", "tag", "-l", "--format=%(contents)", "digits@v0.0.1")
    assert message.startswith("digits: a new version\n\npromote: as told\n\n{")
    told = registry.record(repo, registry.get(repo, "digits", "v0.0.1"))
    assert told == {key: record[key] for key in ("decision", "reasons", *DETAILS)}


def test_a_versions_commit_holds_the_known_batch_and_all_scores(repo):
    (repo / "reports/evaluate/metrics/svm.json").write_text('{"accuracy": 0.9}')
    (repo / "reports/evaluate/models.json").write_text("{}")
    commit = toy.enrol(repo, toy.model())["commit"]
    held = toy.run(repo, "git", "ls-tree", "-r", "--name-only", commit).split()
    assert {
        "models/decision.json",
        "models/ensemble/known_batch.json",
        "reports/evaluate/metrics/ensemble.json",
        "reports/evaluate/metrics/svm.json",
        "reports/evaluate/models.json",
    } <= {*held}


def test_a_refused_model_is_a_version_but_not_the_champion(repo):
    toy.enrol(repo, toy.model())
    record = toy.enrol(repo, toy.model(worse=1), "refuse")
    assert (record["version"], record["stage"]) == ("v0.0.2", None)
    assert registry.champion(repo, "digits", "champion").version == "v0.0.1"


def test_a_refused_model_that_is_the_champion_is_told_to_stay_it(repo):
    toy.enrol(repo, toy.model())
    record = toy.enrol(repo, toy.model(), "refuse")
    said = register._outcome(record, "champion")
    assert said == "refused; v0.0.1 was champion before and stays it: as told"


def test_the_same_model_is_not_registered_twice(repo):
    first = toy.enrol(repo, toy.model())
    again = toy.enrol(repo, toy.model())
    own = {key: again[key] for key in ("provenance", "time")}
    assert again == first | {"new": False, **own}
    assert toy.run(repo, "git", "tag").split() == ["digits#champion#1", "digits@v0.0.1"]


def test_an_older_version_that_is_assigned_again_is_the_champion_for_every_reader(repo, tmp_path):
    toy.enrol(repo, toy.model())
    toy.enrol(repo, toy.model(worse=1))
    older = registry.find(repo, "digits", toy.md5(toy.model()))
    # Three assignments in a row: made within one second they would have no order.
    assert registry.assign(repo, older, "champion", "back") == "digits#champion#3"
    champion = registry.champion(repo, "digits", "champion")
    assert (champion.version, champion.held["champion"]) == ("v0.0.1", "digits#champion#3")
    get = ("dvc", "artifacts", "get", str(repo), "digits", "--stage", "champion", "-o", "got")
    toy.run(tmp_path, *get)
    assert (tmp_path / "got").read_bytes() == toy.model()


def test_a_version_that_was_rolled_back_is_not_promoted_by_another_run(repo):
    toy.enrol(repo, toy.model())
    toy.enrol(repo, toy.model(worse=1))
    older = registry.get(repo, "digits", "v0.0.1")
    history.note(repo, toy.PLACE, older, "rollback", ["slow on phones"])
    record = toy.enrol(repo, toy.model(worse=1))
    assert (record["version"], record["stage"]) == ("v0.0.2", None)
    day = f"{history.events(repo, toy.PLACE)[-1].time:%Y-%m-%d}"
    assert register._outcome(record, "champion") == (
        f"not made champion: v0.0.2 was rolled back on {day} by Digitline <digitline@invalid> "
        "(slow on phones); it is promoted again by `python -m flows promote v0.0.2` alone"
    )
    assert registry.champion(repo, "digits", "champion").version == "v0.0.1"


def test_a_model_that_was_superseded_is_promoted_again_by_the_gate_alone(repo):
    toy.enrol(repo, toy.model())
    toy.enrol(repo, toy.model(worse=1))
    assert toy.enrol(repo, toy.model())["stage_tag"] == "digits#champion#3"


def test_a_decision_beside_another_champion_than_todays_promotes_nothing(repo):
    toy.enrol(repo, toy.model())
    toy.judge(repo, toy.put_model(repo, toy.model(worse=1)), "promote", ("as told",))
    decision = json.loads((repo / "models/decision.json").read_text())
    decision["champion"] = None
    (repo / "models/decision.json").write_text(json.dumps(decision))
    with pytest.raises(StageError) as caught:
        register.enrol(repo, toy.PLACE, seed=7)
    assert str(caught.value) == (
        "models/decision.json: expected a decision beside the champion of now, v0.0.1; it was "
        "made beside None. Judge again: dvc repro --force --single-item gate"
    )
    assert toy.run(repo, "git", "tag").split() == ["digits#champion#1", "digits@v0.0.1"]


def test_a_stage_is_not_assigned_before_the_newest_assignment(repo, monkeypatch):
    toy.enrol(repo, toy.model())
    champion = registry.champion(repo, "digits", "champion")
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    with pytest.raises(RegistryError, match=r"newest assignment of digits .* in the future"):
        registry.assign(repo, champion, "trial", "too early")


def test_fetch_returns_the_bytes_that_the_version_records(repo):
    toy.enrol(repo, toy.model())
    toy.enrol(repo, toy.model(worse=1), "refuse")
    assert registry.fetch(repo, registry.champion(repo, "digits", "champion")) == toy.model()


def test_fetch_refuses_a_damaged_cache_file_and_says_which_places_it_tried(repo):
    toy.enrol(repo, toy.model())
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


def test_fetch_refuses_bytes_that_have_the_md5_but_not_the_sha256(repo, monkeypatch):
    toy.enrol(repo, toy.model())
    version = registry.champion(repo, "digits", "champion")
    monkeypatch.setattr(registry, "record", lambda *_: {"model": {"sha256": "0" * 64}})
    with pytest.raises(RegistryError, match=r"expected SHA-256 0{64}, as its tag records; .* has"):
        registry.fetch(repo, version)


def test_a_model_that_dvc_lock_does_not_record_is_not_registered(repo):
    digest = toy.put_model(repo, toy.model())
    other = toy.model(worse=1)
    (repo / "models/ensemble/model.onnx").write_bytes(other)
    judged = {"decision": "promote", "reasons": [], "challenger": {"md5": toy.md5(other)}}
    (repo / "models/decision.json").write_text(json.dumps(judged))
    with pytest.raises(StageError) as caught:
        register.enrol(repo, toy.PLACE, seed=7)
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
        register.enrol(repo, toy.PLACE, seed=7)


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
