"""Which version serves, that its file is the right one, and what an older one lacks."""

import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import toy_ensemble
import toy_registry as toy

from tasks.io import git, lookup, registry, serving
from tasks.io.stage import StageError

ROOT = Path()
IMAGES = toy_ensemble.images(1, 5, 7)
WHO = ("-c", "user.name=Somebody", "-c", "user.email=some@body")
ARTIFACT = Path("models/ensemble/model.onnx")


def cached(version: str) -> Path:
    return toy.cache_file(ROOT, registry.get(ROOT, "digits", version).md5)


def test_the_champion_serves_where_no_version_is_named(versions):
    served = serving.load()
    assert served.version == "v0.0.2"
    assert served.md5 == toy.md5(toy.model(worse=1))
    assert served.answer(IMAGES).probabilities.argmax(1).tolist() == [1, 5, 7]


@pytest.mark.parametrize("name", ["v0.0.3", "digits@v0.0.3"])
def test_any_version_serves_where_it_is_named(versions, name):
    served = serving.load(version=name)
    assert (served.version, served.md5) == ("v0.0.3", toy.md5(toy.model(worse=2)))


def test_neither_dvc_nor_gto_is_loaded_where_the_file_is_here(versions):
    code = (
        "import sys; from tasks.io import serving; serving.load(); serving.load(version='v0.0.1');"
        "slow = {'dvc', 'gto', 'pandas', 'tensorflow', 'prefect', 'onnx', 'pyarrow'};"
        "print(slow & {*sys.modules})"
    )
    assert toy.run(ROOT, sys.executable, "-c", code) == "set()"


def test_a_version_whose_file_is_only_in_the_cache_comes_from_there(versions):
    ARTIFACT.unlink()
    assert serving.load().md5 == toy.md5(toy.model(worse=1))


def test_a_damaged_file_in_the_work_tree_is_passed_over(versions):
    toy.put_model(ROOT, toy.model(worse=1))
    ARTIFACT.write_bytes(b"damaged")
    assert serving.load().md5 == toy.md5(toy.model(worse=1))


def test_a_damaged_cache_file_is_never_served_and_named(versions):
    path = cached("v0.0.2")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StageError) as caught:
        serving.load()
    assert str(caught.value).startswith(
        f"digits@v0.0.2: expected md5 {toy.md5(toy.model(worse=1))}; cache: damaged, md5 is "
    )


def test_a_damaged_cache_file_is_made_good_by_the_remote(versions, tmp_path):
    toy.run(ROOT, "dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "remote"))
    path = cached("v0.0.2")
    md5 = path.parent.name + path.name
    remote = tmp_path / "remote/files/md5" / md5[:2] / md5[2:]
    remote.parent.mkdir(parents=True)
    shutil.copy(path, remote)
    path.unlink()
    assert serving.load().md5 == md5


def test_a_file_of_the_right_md5_but_another_sha256_is_refused(versions, monkeypatch):
    """As if somebody had made a file to have that md5."""
    monkeypatch.setattr(
        serving.store, "digest", lambda content: registry.get(ROOT, "digits", "v0.0.2").md5
    )
    ARTIFACT.write_bytes(toy.model(worse=5))
    cached("v0.0.2").unlink()
    with pytest.raises(StageError, match="cache: does not have it"):
        serving.load()


def test_an_unknown_version_is_refused_with_those_that_there_are(versions):
    with pytest.raises(StageError) as caught:
        serving.load(version="v9.0.0")
    assert str(caught.value) == (
        "digits has no version v9.0.0; expected one of v0.0.3, v0.0.2, v0.0.1"
    )


def test_where_there_is_no_champion_the_versions_are_named(versions):
    text = Path("params.yaml").read_text().replace("stage: champion", "stage: best")
    Path("params.yaml").write_text(text)
    with pytest.raises(StageError) as caught:
        serving.load()
    assert str(caught.value) == (
        "digits has no best to ask (register.stage of params.yaml). Name one of its versions "
        "with --version: v0.0.3, v0.0.2, v0.0.1; or make one best: python -m flows promote v0.0.3"
    )


def test_where_nothing_was_registered_yet_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    toy.build(tmp_path / "new")
    with pytest.raises(StageError) as caught:
        serving.load(tmp_path / "new")
    assert str(caught.value) == (
        "digits has no champion to ask (register.stage of params.yaml), and no version: "
        "`make run` trains one and registers it"
    )


def test_outside_a_repository_git_says_so(tmp_path):
    (tmp_path / "params.yaml").write_text(toy.PARAMS)
    with pytest.raises(StageError, match="not a git repository"):
        serving.load(tmp_path)


def test_an_old_artifact_is_served_and_says_what_it_lacks(versions):
    served = serving.load()
    assert served.lacks == ("abstention_threshold", "classes", "members")
    assert served.classes == tuple("0123456789")
    assert served.threshold == 0
    assert served.answer(IMAGES).answered.all()
    with pytest.raises(StageError) as caught:
        served.members(IMAGES)
    assert str(caught.value) == (
        "v0.0.2: expected an artifact with the output members; this one is older and gives their "
        "mean alone. A version that is registered now has it: `make run`"
    )


def test_an_artifact_of_today_tells_its_classes_its_threshold_and_its_members(current):
    served = serving.load(current)
    assert (served.version, served.threshold, served.lacks) == ("v0.0.1", 0.5, ())
    assert served.classes == ("nought", *"123456789")
    members = served.members(IMAGES)
    assert members.shape == (3, 2, 10)
    assert members.mean(1) == pytest.approx(served.answer(IMAGES).probabilities, abs=1e-6)
    blank = np.zeros((1, 28, 28), np.uint8)
    assert served.answer(np.concatenate([blank, IMAGES])).answered.tolist() == [False, *[True] * 3]


def test_threads_answer_as_one_does():
    served = serving.opened("v1", toy_ensemble.complete())
    images = np.random.default_rng(0).integers(0, 99, (700, 28, 28), np.uint8)
    for one, many in zip(served.answer(images), served.answer(images, jobs=3), strict=True):
        assert np.array_equal(one, many)
    assert np.array_equal(served.members(images), served.members(images, jobs=2))


def test_no_image_gets_no_answer():
    served = serving.opened("v1", toy_ensemble.complete())
    answers = served.answer(np.zeros((0, 28, 28), np.uint8))
    assert (answers.probabilities.shape, answers.answered.shape) == ((0, 10), (0,))
    assert served.members(np.zeros((0, 28, 28), np.uint8)).shape[0] == 0


def test_what_is_no_model_is_refused():
    with pytest.raises(StageError, match=r"^v1: its artifact is no ONNX model: .*PROTOBUF"):
        serving.opened("v1", b"no model")


def test_an_artifact_that_names_other_classes_than_it_has_is_refused():
    from tasks.core import artifact

    graph = artifact.with_classes(toy_ensemble.graph(0.1), ("a", "b"))
    with pytest.raises(StageError) as caught:
        serving.opened("v1", graph)
    assert str(caught.value) == (
        "v1: expected one name for each of 10 probabilities in its artifact's metadata; got 2: "
        '["a", "b"]'
    )


def agreed() -> list[str | None]:
    """Return who holds the stages, by tags alone and by the registry, which have to agree."""
    found = []
    for stage in ("champion", "refused", "trial"):
        place = registry.Place.model_construct(artifact="digits", stage=stage)
        known, held = lookup.find(ROOT, place, None), registry.champion(ROOT, "digits", stage)
        assert (known and (known.version, known.md5)) == (held and (held.version, held.md5))
        found.append(held and held.version)
    return found


def test_tags_alone_tell_what_the_registry_tells_after_any_promotions(versions):
    draw = random.Random(0)
    commits = {version.version: version.commit for version in registry.versions(ROOT, "digits")}
    assert agreed() == ["v0.0.2", "v0.0.3", None]
    for number in range(4, 12):
        version, stage = draw.choice([*commits]), draw.choice(["champion", "trial"])
        words = ("tag", "-m", "by hand", f"digits#{stage}#{number}", commits[version])
        git.run(ROOT, *WHO, *words, GIT_COMMITTER_DATE=f"{2_000_000_000 + number} +0000")
        assert version in agreed()


@pytest.mark.parametrize(
    "tag", ["digits#champion!#9", "digits@v0.0.2!", "digits@deprecated", "digits@v0.0.4-rc.1"]
)
def test_of_tags_of_another_kind_the_registry_has_the_word(versions, tag):
    git.run(ROOT, *WHO, "tag", "-m", "by hand", tag, "HEAD")
    place = registry.Place(artifact="digits", stage="champion")
    assert lookup.find(ROOT, place, None) is None


def test_a_tag_that_tells_another_model_than_its_commit_is_not_believed(versions):
    version = registry.get(ROOT, "digits", "v0.0.2")
    record = registry.record(ROOT, version)
    record["model"]["md5"] = "0" * 32
    words = registry.message("digits: a new version", "as told", json.loads(json.dumps(record)))
    git.run(ROOT, *WHO, "tag", "-f", "-a", "-F", "-", version.tag, version.commit, stdin=words)
    place = registry.Place(artifact="digits", stage="champion")
    assert lookup.find(ROOT, place, None) is None
    assert lookup.find(ROOT, place, "v0.0.1") is not None
