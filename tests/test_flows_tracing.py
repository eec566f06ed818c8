"""``python -m flows trace``: every hash from a decision back to its data is computed again."""

import shutil
from pathlib import Path

import pytest
import toy_data
import toy_lineage
import toy_registry as toy
from ruamel.yaml import YAML

from flows import tracing
from flows.__main__ import main
from tasks import register
from tasks.io import commits, registry

# Raised inside DVC by a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lineage") / "repo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        toy_lineage.build(folder)
    return folder


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = toy.copy(template, tmp_path / "repo")
    monkeypatch.chdir(folder)
    return folder


def cached(repo: Path, path: str) -> Path:
    commit = registry.get(repo, "digits", "v0.0.1").commit
    return toy.cache_file(repo, commits.outs(repo, commit)[path])


def damage(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"garbage")


def told(capsys, *arguments: str) -> tuple[int, str]:
    status = main(["trace", *arguments])
    return status, capsys.readouterr().out


def marks(out: str) -> dict[str, str]:
    """Return each link of the chain with its mark."""
    return {line.split()[1]: line[0] for line in out.splitlines() if line[:1] in "✓✗·" and line}


def again(repo: Path) -> None:
    """Register the same model anew, as it is now."""
    toy.run(repo, "git", "tag", "-d", "digits@v0.0.1", "digits#champion#1")
    register.enrol(repo, toy.PLACE, seed=7)


def tag_again(repo: Path, commit: str, message: str) -> None:
    """Make the version's tag anew, with another message."""
    toy.run(repo, "git", "tag", "-d", "digits@v0.0.1")
    who = ("-c", "user.name=Eve", "-c", "user.email=eve@example.org")
    toy.run(repo, "git", *who, "tag", "-a", "-m", message, "digits@v0.0.1", commit)


def test_a_whole_chain_is_told_from_the_decision_back_to_the_data(repo, capsys):
    status, out = told(capsys, "v0.0.1")
    links = marks(out)
    assert status == 0
    assert set(links.values()) == {"✓"}
    assert [*links][:5] == ["decision", "commit", "artifact", "ingest", "preprocess"]
    assert {"train@a", "train@b", "baseline", "ensemble", "evaluate", "gate"} <= {*links}
    assert [*links][-4:] == ["data", "metrics", "parameters", "files"]
    assert out.splitlines()[1] == "✓ decision    promote: as told"
    assert "environment: the same now as then" in out
    assert out.endswith("66 verified, 0 wrong\n")


def test_what_comes_after_the_decision_is_no_part_of_the_chain(repo, capsys):
    assert "report" not in marks(told(capsys, "v0.0.1")[1])


def test_damaged_data_is_named_below_its_stage(repo, capsys):
    damage(cached(repo, "data/ingest/test_labels.npy"))
    status, out = told(capsys, "v0.0.1")
    assert status == 1
    assert [name for name, mark in marks(out).items() if mark == "✗"] == ["ingest"]
    assert "    ✗ data/ingest/test_labels.npy: damaged in the cache: recorded md5" in out
    assert out.endswith("65 verified, 1 wrong\n")


def test_a_damaged_file_of_a_folder_is_found(repo, capsys):
    damage(toy.cache_file(repo, toy.md5(Path("given/images.npy").read_bytes())))
    status, out = told(capsys, "v0.0.1")
    wrong = [name for name, mark in marks(out).items() if mark == "✗"]
    assert (status, wrong) == (1, ["preprocess", "baseline"])


def test_the_damaged_artifact_is_wrong_wherever_it_stands(repo, capsys):
    damage(cached(repo, "models/ensemble/model.onnx"))
    status, out = told(capsys, "v0.0.1")
    wrong = [name for name, mark in marks(out).items() if mark == "✗"]
    assert (status, wrong) == (1, ["artifact", "ensemble"])


def test_what_is_not_in_the_cache_is_neither_right_nor_wrong(repo, capsys):
    shutil.rmtree(".dvc/cache")
    status, out = told(capsys, "v0.0.1")
    assert status == 0
    assert "    · not here: data/ingest/test_labels.npy\n" in out
    assert "not here (neither right nor wrong), 0 wrong" in out
    assert marks(out)["artifact"] == "✓"  # the tag and dvc.lock agree about it


def test_without_a_remote_it_is_told_how_to_set_one(repo, capsys):
    shutil.rmtree(".dvc/cache")
    last = told(capsys, "v0.0.1")[1].partition("0 wrong\n")[2]
    assert " ".join(last.split()) == (
        "to get what is not here: no DVC remote is set; "
        "`dvc remote add --local --default store <url>`, then `dvc fetch --all-tags`"
    )


def test_what_is_told_to_get_the_files_gets_them(repo, tmp_path, capsys):
    store = tmp_path / "store"
    toy.run(repo, "dvc", "remote", "add", "--local", "--default", "store", str(store))
    toy.run(repo, "dvc", "push", "-q", "--all-tags")
    shutil.rmtree(".dvc/cache")
    last = told(capsys, "v0.0.1")[1].partition("0 wrong\n")[2]
    assert " ".join(last.split()) == f"to get what is not here from {store}: `dvc fetch --all-tags`"
    toy.run(repo, "dvc", "fetch", "-q", "--all-tags")
    assert told(capsys, "v0.0.1")[1].endswith("66 verified, 0 wrong\n")


def test_a_remote_that_the_versions_own_commit_does_not_name_is_set_first(repo, tmp_path, capsys):
    store = tmp_path / "store"
    toy.run(repo, "dvc", "remote", "add", "--default", "shared", str(store))
    shutil.rmtree(".dvc/cache")
    out = " ".join(told(capsys, "v0.0.1")[1].split())
    first = f"`dvc remote add --local --default store {store}`"
    assert f"the remote is younger than digits@v0.0.1; {first}, then" in out


def test_code_that_is_not_the_code_that_ran_is_found(repo, capsys):
    Path("tasks/ensemble.py").write_text("changed = 'while the pipeline ran'\n")
    again(repo)
    status, out = told(capsys, "v0.0.1")
    wrong = [name for name, mark in marks(out).items() if mark == "✗"]
    assert (status, sorted(wrong)) == (1, ["baseline", "train@a", "train@b"])
    assert "    ✗ tasks/ensemble.py: recorded md5" in out


def test_a_parameter_that_is_not_the_one_that_ran_is_found(repo, capsys):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("[1, 2]", "[1, 9]"))
    again(repo)
    status, out = told(capsys, "v0.0.1")
    assert status == 1
    assert "    ✗ params.yaml: train.networks.a: recorded {'filters': [1, 2]}; found" in out


def test_a_stage_that_took_something_else_than_the_one_before_it_left_is_found(repo, capsys):
    yaml = YAML()
    lock = yaml.load(Path("dvc.lock"))
    (taken,) = (it for it in lock["stages"]["preprocess"]["deps"] if "labels" in it["path"])
    taken["md5"] = "0" * 32
    yaml.dump(lock, Path("dvc.lock"))
    again(repo)
    status, out = told(capsys, "v0.0.1")
    assert status == 1
    wrong = f"✗ data/ingest/test_labels.npy: recorded md5 {'0' * 32}; the stage before left"
    assert wrong in " ".join(out.split())


def test_a_stage_that_has_left_the_pipeline_is_not_looked_at(repo, capsys):
    with Path("dvc.lock").open("a") as file:
        file.write("  train@gone:\n    cmd: gone\n    outs:\n    - {path: models/gone, md5: abc}\n")
    again(repo)
    status, out = told(capsys, "v0.0.1")
    assert (status, "train@gone" in out) == (0, False)


@pytest.mark.parametrize(
    ("changed", "link"),
    [
        ({"decision": "refuse"}, "decision"),
        ({"reasons": ["better than the champion"]}, "decision"),
        ({"metrics": toy.FIGURES | {"accuracy": 0.9999}}, "metrics"),
        ({"metrics": {"accuracy": 1.0}}, "metrics"),  # nothing wrong is said, but not all
        ({"metrics": "good"}, "metrics"),
        ({"parameters": {"seed": 8}}, "parameters"),
        ({"provenance": {"seed": 8}}, "parameters"),
        ({"hashes": {"data": {"data/ingest/test_labels.npy": "0" * 32}}}, "data"),
        ({"hashes": {"data": {}}}, "data"),
        ({"model": {"md5": "0" * 32, "sha256": None}}, "artifact"),
        ({"hashes": {"code": {"tasks": "0" * 40}}}, "commit"),
        ({"hashes": {"files": {"params.yaml": "0" * 64}}}, "files"),
        ({"hashes": {"files": {"gone.lock": "0" * 64}}}, "files"),
    ],
)
def test_a_tag_that_says_otherwise_than_its_commit_is_found(
    repo, capsys, monkeypatch, changed, link
):
    record = registry.record(repo, registry.get(repo, "digits", "v0.0.1")) | changed
    monkeypatch.setattr(registry, "record", lambda *_: record)
    status, out = told(capsys, "v0.0.1")
    assert status == 1
    assert [name for name, mark in marks(out).items() if mark == "✗"] == [link]


@pytest.mark.parametrize(
    ("words", "link", "fault"),
    [
        (("\npromote: as told\n", "\npromote: best\n"), "decision", "the words of the tag"),
        (('"bytes": ', '"bytes": 1'), "artifact", "the bytes in the tag"),
        (('"path": "models/', '"path": "other/'), "artifact", "the path in the tag"),
        (('"margin": 0.05', '"margin": 0.04'), "parameters", "params.yaml: gate.margin"),
    ],
)
def test_a_tag_that_was_made_anew_with_other_words_is_found(repo, capsys, words, link, fault):
    version = registry.get(repo, "digits", "v0.0.1")
    message = registry.tag_of(repo, version).message
    assert message.count(words[0]) == 1
    tag_again(repo, version.commit, message.replace(*words))
    status, out = told(capsys, "v0.0.1")
    assert status == 1
    assert [name for name, mark in marks(out).items() if mark == "✗"] == [link]
    assert f"    ✗ {fault}: recorded " in out


def test_a_version_by_hand_has_a_chain_without_a_record(repo, capsys):
    commit = registry.get(repo, "digits", "v0.0.1").commit
    tag_again(repo, commit, "mine")
    status, out = told(capsys, "v0.0.1")
    unsaid = [name for name, mark in marks(out).items() if mark == "·"]
    assert (status, unsaid) == (0, ["commit", "data", "metrics", "parameters", "files"])
    assert "environment: none is recorded" in out


def test_another_environment_is_named_and_no_error(repo, capsys, monkeypatch):
    now = register.provenance(7)
    monkeypatch.setattr(register, "provenance", lambda seed: now | {"numpy": "9.9"})
    status, out = told(capsys, "v0.0.1")
    assert status == 0
    assert f"environment: numpy was {now['numpy']}; it is 9.9 now\n" in out


def give_with_dvc(repo: Path) -> None:
    """Let a stage depend on a folder in which DVC tracks a folder by itself; register anew."""
    (repo / "given/added").mkdir()
    (repo / "given/added/corrections.csv").write_text("id,label\n")
    toy.run(repo, "dvc", "add", "-q", "given/added")
    toy.run(repo, "dvc", "repro", "-q")
    toy.commit(repo, "a batch of corrections")
    again(repo)


def test_what_dvc_add_took_is_no_link_but_verified_where_it_is_read(repo, capsys):
    give_with_dvc(repo)
    status, out = told(capsys, "v0.0.1")
    assert (status, set(marks(out).values())) == (0, {"✓"})
    assert not [name for name in marks(out) if ".dvc" in name or name == "None"]
    damage(toy.cache_file(repo, toy.md5(b"id,label\n")))
    status, out = told(capsys, "v0.0.1")
    wrong = [name for name, mark in marks(out).items() if mark == "✗"]
    assert (status, wrong) == (1, ["baseline"])
    assert "✗ given: damaged in the cache: recorded md5" in out


def test_what_dvc_add_took_and_is_not_here_is_told(repo, capsys):
    give_with_dvc(repo)
    toy.cache_file(repo, toy.md5(b"id,label\n")).unlink()
    status, out = told(capsys, "v0.0.1")
    assert (status, marks(out)["baseline"]) == (0, "✓")  # its other dependency is right
    assert "    · not here: given\n" in out


def test_an_answer_is_told_by_the_name_of_its_class(repo, capsys):
    toy_data.write(repo, toy_data.told(0, 20, classes="abcdefghij"))
    answers = repo / "given/answers.csv"
    header, *lines = answers.read_text().splitlines()
    named = []
    for line in lines:
        name, row, actual, predicted, *rest = line.split(",")
        named.append(
            ",".join([name, row, *("abcdefghij"[int(d)] for d in (actual, predicted)), *rest])
        )
    answers.write_text("\n".join([header, *named]) + "\n")
    toy.run(repo, "dvc", "repro", "-q")
    toy.commit(repo, "answers by name")
    again(repo)
    status, out = told(capsys, toy_lineage.prediction(13))
    assert "labelled d: recorded d at 100.00 % (answered), again d at 100.00 %" in out
    assert status == 0


def test_a_prediction_leads_to_its_version_and_is_made_again(repo, capsys):
    status, out = told(capsys, toy_lineage.prediction(13))
    assert status == 0
    assert out.splitlines()[0].startswith("digits v0.0.1, ")
    assert (
        "test image 13, labelled 3: recorded 3 at 100.00 % (answered), again 3 at 100.00 %" in out
    )
    assert marks(out)["ensemble"] == "✓"


def test_another_answer_than_the_recorded_one_is_wrong(repo, capsys, monkeypatch):
    recorded = {"actual": "3", "predicted": "3", "confidence": "0.9", "status": "answered"}
    monkeypatch.setattr(tracing, "_recorded", lambda *_: recorded)
    status, out = told(capsys, toy_lineage.prediction(13))
    assert (status, marks(out)["answer"]) == (1, "✗")
    assert "✗ the same artifact, asked again: 3 at 100.00 %" in out


def test_an_answer_whose_image_is_gone_is_not_here(repo, capsys):
    cached(repo, "data/preprocess/test_images.npy").unlink()
    status, out = told(capsys, toy_lineage.prediction(13))
    assert (status, marks(out)["answer"]) == (0, "·")


@pytest.mark.parametrize(
    ("path", "also"),
    [
        ("reports/evaluate/answers.csv", "evaluate"),
        ("data/preprocess/test_images.npy", "preprocess"),
        ("models/ensemble/model.onnx", "ensemble"),
    ],
)
def test_the_chain_of_an_answer_is_told_where_what_made_it_is_damaged(repo, capsys, path, also):
    damage(cached(repo, path))
    status, out = told(capsys, toy_lineage.prediction(13))
    wrong = [name for name, mark in marks(out).items() if mark == "✗"]
    assert (status, wrong[0], also in wrong) == (1, "answer", True)
    assert f"    ✗ {path}: " in out.partition("decision")[0]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("0123456789ab-3", "no version of digits has an artifact whose SHA-256 starts with 0123"),
        (toy_lineage.prediction(99), "has no row"),
    ],
)
def test_a_prediction_that_nobody_recorded_is_an_error(repo, capsys, name, fault):
    assert main(["trace", name]) == 1
    assert fault in capsys.readouterr().err
