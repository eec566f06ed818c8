"""Why a stage runs, in words: of the work tree, since a commit, and in a run's log."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import toy_pipeline

from flows import execute, explain, graph
from flows.__main__ import main
from flows.line_counts import changed_lines
from flows.reasons import Record, between

# Raised inside DVC by a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

CODE = "deps: [data/ingest, data/validate, tool.py]\n    outs: [models/baseline]"
NOTHING_NOW = ["nothing would run now", "  up to date: 8 of 8 stages"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The toy pipeline in Git, run once and committed; `baseline` depends on code."""
    with pytest.MonkeyPatch.context() as patch:
        folder = toy_pipeline.make(tmp_path_factory.mktemp("explain") / "toy", patch)
        (folder / "tool.py").write_text("one = 1\ntwo = 2\n")
        change("dvc.yaml", "deps: [data/ingest, data/validate]\n    outs: [models/baseline]", CODE)
        git("init", "-q", "-b", "main")
        graph.open_repo().reproduce()
        commit("ran")
        return folder


@pytest.fixture
def toy(ran, tmp_path, monkeypatch):
    """A copy of `ran`, for one test to change."""
    folder = tmp_path / "toy"
    shutil.copytree(ran, folder, symlinks=True)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
    monkeypatch.chdir(folder)
    return folder


def git(*arguments):
    who = {
        f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    subprocess.run(["git", *arguments], check=True, capture_output=True, env=os.environ | who)


def commit(message):
    git("add", "dvc.yaml", "params.yaml", "tool.py", "step.py", "-f", "dvc.lock")
    git("commit", "-qm", message)


def change(name, old, new):
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


def run(capsys, *arguments):
    """Return the two blocks of the command's output as lists of lines; hashes become `#`."""
    capsys.readouterr()
    assert main(["explain", *arguments]) == 0
    now, since = capsys.readouterr().out.rstrip("\n").split("\n\n")
    return [re.sub(r"\b[0-9a-f]{7}\b", "#", block).split("\n") for block in (now, since)]


def refused(capsys, *arguments):
    assert main(["explain", *arguments]) == 1
    return capsys.readouterr().err


def test_when_nothing_changed_that_is_said(toy, capsys):
    assert run(capsys) == [NOTHING_NOW, ["nothing has run since HEAD (#)"]]


def test_a_changed_parameter_is_told_from_what_to_what_and_what_may_follow(toy, capsys):
    change("params.yaml", "epochs: 10 #", "epochs: 3 #")
    assert run(capsys)[0] == [
        "would run now",
        "  train (3 members): train.epochs 10 -> 3",
        "  may follow: ensemble, report",
        "  up to date: 3 of 8 stages",
    ]


def test_a_parameter_of_a_section_is_told_by_its_full_key(toy, capsys):
    change("dvc.yaml", "params: [train.epochs]", "params: [train]")
    graph.open_repo().reproduce()
    change("params.yaml", "epochs: 10 #", "epochs: 3 #")
    assert run(capsys)[0][1] == "  train (3 members): train.epochs 10 -> 3"


def test_changed_code_is_told_with_the_number_of_its_lines(toy, capsys):
    change("tool.py", "two = 2\n", "two = 3\nthree = 3\n")
    assert run(capsys)[0] == [
        "would run now",
        "  baseline: code tool.py changed (# -> #, +2 -1 lines)",
        "  may follow: report",
        "  up to date: 6 of 8 stages",
    ]


def test_lines_are_counted_from_the_version_that_ran_wherever_git_has_it(toy, capsys):
    for text in ("one = 1\n", "one = 2\n", "one = 3\n"):
        (toy / "tool.py").write_text(text)
        commit(text)
    assert run(capsys)[0][1] == "  baseline: code tool.py changed (# -> #, +1 -2 lines)"


def test_changed_code_that_git_never_saw_is_told_without_lines(toy, capsys):
    shutil.rmtree(toy / ".git")
    git("init", "-q")
    change("tool.py", "two", "too")
    now, since = run(capsys)
    assert now[1] == "  baseline: code tool.py changed (# -> #)"
    assert since == ["what has run since is not known: there is no commit to compare with"]


def test_code_that_is_missing_is_told(toy, capsys):
    (toy / "tool.py").unlink()
    assert run(capsys)[0][1] == "  baseline: code tool.py is missing"


def test_a_dependency_that_is_new_in_the_graph_is_told(toy, capsys):
    change("dvc.yaml", CODE, CODE.replace("tool.py", "tool.py, step.py"))
    assert run(capsys)[0][1] == "  baseline: code step.py is a new dependency"


def test_data_that_dvc_add_took_is_told_as_data_that_no_stage_makes(toy, capsys):
    (toy / "mine.csv").write_text("1")
    graph.open_repo().add("mine.csv")
    change("dvc.yaml", CODE, CODE.replace("tool.py", "mine.csv"))
    assert log_of(toy, "baseline")[0] == "why: mine.csv is a new dependency"
    (toy / "mine.csv").write_text("2")
    assert run(capsys)[0][1:3] == [
        "  baseline: mine.csv changed (# -> #)",
        "  may follow: report",
    ]


def test_a_changed_command_is_told_by_the_words_that_changed(toy, capsys):
    change("dvc.yaml", "cmd: python step.py train-", "cmd: python -u step.py train-")
    change("dvc.yaml", "step.py validate", "step.py check")
    assert run(capsys)[0][1:3] == [
        "  validate: command changed: validate -> check",
        "  train (3 members): command changed: -u added",
    ]


def test_a_new_stage_never_ran(toy, capsys):
    change("params.yaml", "members: [a, b, c]\n\n", "members: [a, b, c, d]\n\n")
    assert run(capsys)[0] == [
        "would run now",
        "  train@d: never ran here",
        "  may follow: ensemble, report",
        "  up to date: 6 of 9 stages",
    ]


def test_a_stage_that_is_gone_from_the_graph_is_told_and_reaches_what_read_it(toy, capsys):
    change("params.yaml", "members: [a, b, c]\n\n", "members: [a, b]\n\n")
    shutil.rmtree(toy / "models/train/c")
    assert run(capsys)[0] == [
        "would run now",
        "  ensemble: models/train changed, because members of train ran again, came or went",
        "  may follow: report",
        "  gone from dvc.yaml: train@c",
        "  up to date: 5 of 7 stages",
    ]


def test_a_deleted_output_is_told_and_is_no_reason_of_the_next_stage(toy, capsys):
    (toy / "data/ingest").unlink()
    assert run(capsys)[0] == [
        "would run now",
        "  ingest: output data/ingest is missing",
        "  may follow: validate, train (3 members), baseline, ensemble, report",
        "  up to date: 0 of 8 stages",
    ]


def test_members_that_lack_the_same_output_stand_on_one_line(toy, capsys):
    shutil.rmtree(toy / "models/train")
    assert run(capsys)[0][1] == (
        "  train (3 members): output models/train/<member>/model is missing"
    )


def test_a_part_of_the_members_is_named(toy, capsys):
    for member in "ac":
        (toy / f"models/train/{member}/model").write_text("by hand")
    assert run(capsys)[0][1] == (
        "  train (2 of 3 members: a, c): output models/train/<member>/model is modified"
    )


def test_one_members_output_is_told_by_its_path(toy, capsys):
    (toy / "models/train/b/model").unlink()
    assert run(capsys)[0][1] == "  train@b: output models/train/b/model is missing"


def test_an_output_that_the_cache_lacks_is_told(toy, capsys):
    shutil.rmtree(toy / ".dvc/cache")
    assert "  report: output reports/index.html is not in DVC's cache" in run(capsys)[0]


def test_in_a_fresh_clone_outputs_are_missing_rather_than_not_in_the_cache(toy, capsys):
    shutil.rmtree(toy / ".dvc/cache")
    shutil.rmtree(toy / "models")
    now = run(capsys)[0]
    assert "  ensemble: output models/ensemble is missing" in now
    assert "  train (3 members): output models/train/<member>/model is missing" in now


def test_a_stage_that_lacks_all_of_its_outputs_says_that(toy, capsys):
    change("dvc.yaml", "outs: [models/baseline]", "outs: [models/baseline, tool.txt]")
    change("dvc.yaml", "step.py baseline", "step.py b tool.txt data/ingest && python step.py b")
    graph.open_repo().reproduce("baseline", single_item=True)
    (toy / "tool.txt").unlink()
    (toy / "models/baseline").unlink()
    assert run(capsys)[0][1] == "  baseline: all outputs are missing"


def test_a_dependency_that_changed_by_another_way_than_a_run_is_not_laid_to_a_stage(toy, capsys):
    lock = (toy / "dvc.lock").read_text().split("  report:")
    lock[1] = re.sub("md5: [0-9a-f]{32}", "md5: " + "f" * 32, lock[1], count=1)
    (toy / "dvc.lock").write_text("  report:".join(lock))
    assert run(capsys)[1][1] == "  report: models/baseline changed (# -> #)"


def test_a_stage_whose_upstream_alone_ran_again_says_so(toy, capsys):
    change("params.yaml", "data: web", "data: disk")
    change("step.py", "text(name +", "text('again' + name +")
    graph.open_repo().reproduce("ingest", single_item=True)
    now, since = run(capsys)
    assert now == [
        "would run now",
        "  validate, train (3 members), baseline: data/ingest changed, because ingest ran again",
        "  may follow: ensemble, report",
        "  up to date: 1 of 8 stages",
    ]
    assert since == [
        "has run since HEAD (#)",
        '  ingest: data "web" -> "disk"',
        "  not run: 7 of 8 stages",
    ]


def test_the_root_cause_stands_before_what_followed_from_it(toy, capsys):
    change("params.yaml", "epochs: 10 #", "epochs: 3 #")
    change("tool.py", "two = 2", "two = 3")
    change("step.py", "text(name +", "text('again' + name +")
    graph.open_repo().reproduce()
    now, since = run(capsys)
    assert now == NOTHING_NOW
    assert since == [
        "has run since HEAD (#)",
        "  train (3 members): train.epochs 10 -> 3",
        "  baseline: code tool.py changed (# -> #, +1 -1 lines)",
        "  ensemble: models/train changed, because members of train ran again, came or went",
        "  report: models/baseline and 1 more changed, because baseline and ensemble ran again",
        "  not run: 2 of 8 stages",
    ]


def test_a_commit_before_the_last_can_be_asked_for(toy, capsys):
    change("params.yaml", "epochs: 10 #", "epochs: 3 #")
    graph.open_repo().reproduce()
    commit("shorter")
    assert run(capsys)[1] == ["nothing has run since HEAD (#)"]
    assert run(capsys, "HEAD~1")[1] == [
        "has run since HEAD~1 (#)",
        "  train (3 members): train.epochs 10 -> 3",
        "  not run: 5 of 8 stages",
    ]


def test_stages_that_came_and_went_since_a_commit_are_told(toy, capsys):
    lock = (toy / "dvc.lock").read_text()
    (toy / "dvc.lock").write_text(lock.replace("train@b:", "train@x:"))
    assert run(capsys)[1] == [
        "has run since HEAD (#)",
        "  train@x: ran for the first time",
        "  no longer in dvc.lock: train@b",
        "  not run: 7 of 8 stages",
    ]


def test_a_stage_that_ran_by_force_and_left_something_else_says_so(toy, capsys):
    change("step.py", "text(name +", "text('again' + name +")
    graph.open_repo().reproduce("report", single_item=True, force=True)
    assert run(capsys)[1][1] == (
        "  report: ran with nothing changed, and left another reports/index.html"
    )


def test_without_a_lock_file_every_stage_never_ran(toy, capsys):
    (toy / "dvc.lock").unlink()
    assert run(capsys) == [
        [
            "would run now",
            "  ingest, validate, train (3 members), baseline, ensemble, report: never ran here",
            "  up to date: 0 of 8 stages",
        ],
        ["nothing has run here: there is no dvc.lock"],
    ]


def test_a_commit_without_a_lock_file_is_told(toy, capsys):
    git("rm", "-q", "--cached", "dvc.lock")
    git("-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "without")
    assert run(capsys)[1] == [
        "all 8 stages in dvc.lock have run since HEAD (#), which has no dvc.lock"
    ]


def test_a_revision_that_is_none_is_refused(toy, capsys):
    assert refused(capsys, "yesterday") == (
        f"error: expected a commit, branch or tag of Git; {toy} has no 'yesterday': "
        "`git log --oneline` lists commits\n"
    )


def test_a_broken_lock_file_is_refused_with_what_to_do(toy, capsys):
    change("dvc.lock", "schema:", "<<<<<<< HEAD\nschema:")
    error = refused(capsys)
    assert error.startswith("error: dvc.lock: expected a lock file as DVC writes it; ")
    assert error.endswith("`git checkout dvc.lock` brings back the committed one\n")


def test_a_broken_lock_file_of_a_commit_is_refused(toy, capsys):
    good = (toy / "dvc.lock").read_text()
    (toy / "dvc.lock").write_text("stages: 3\n")
    commit("broken")
    (toy / "dvc.lock").write_text(good)
    assert re.match(r"error: dvc.lock of [0-9a-f]{7}: expected a lock file as DVC", refused(capsys))


def test_a_stage_that_runs_at_this_moment_is_told(toy, capsys):
    other = {"pid": os.getppid(), "cmd": "dvc repro"}
    lock = {"write": {str(toy / "models/baseline"): other}, "read": {}}
    (toy / ".dvc/tmp/rwlock").write_text(json.dumps(lock))
    assert run(capsys)[0][1:3] == [
        "  baseline: runs at this moment",
        "  may follow: report",
    ]


def log_of(toy, name):
    """Return the lines that a run's log would hold of one stage."""
    lines = []
    stage = graph.read(graph.open_repo())[name]
    with execute.caught_output(toy):
        execute.run(stage, toy, lines.append)
    return lines


def test_a_runs_log_says_why_a_stage_runs_before_the_stages_own_lines(toy):
    change("params.yaml", "epochs: 10 #", "epochs: 3 #")
    assert log_of(toy, "train@b") == ["why: train.epochs 10 -> 3", "train-b starts"]


def test_a_runs_log_names_a_members_own_path_and_the_upstream_that_ran(toy):
    (toy / "models/train/b/model").unlink()
    change("params.yaml", "data: web", "data: disk")
    change("step.py", "text(name +", "text('again' + name +")
    assert log_of(toy, "ingest")[0] == 'why: data "web" -> "disk"'
    assert log_of(toy, "train@b")[0] == (
        "why: output models/train/b/model is missing; data/ingest changed, because ingest ran again"
    )


def test_a_runs_log_says_nothing_of_a_stage_that_is_up_to_date(toy):
    assert log_of(toy, "train@b") == []


def test_an_always_changed_stage_says_that_dvc_yaml_makes_it_run(toy, capsys):
    change("dvc.yaml", "outs: [data/validate]", "outs: [data/validate]\n    always_changed: true")
    assert run(capsys)[0][1] == ("  validate: runs every time, as dvc.yaml says (always_changed)")


def record(params=None, deps=None, command=""):
    return Record(command, params or {}, deps or {}, {})


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ({"a.b": None}, {"a.b": "x"}, 'a.b null -> "x"'),
        ({"a": [1, 2]}, {"a": [1]}, "a [1, 2] -> [1]"),
        ({"a": 1}, {"a": "1"}, 'a 1 -> "1"'),
        ({}, {"a": True}, "a is new: true"),
        ({"a": 0.1}, {}, "a is gone; it was 0.1"),
    ],
)
def test_a_value_is_told_as_params_yaml_has_it(then, now, words):
    found = between(record(then), record(now), {}, lambda *_: "")
    assert found.words() == (words,)


def test_of_many_changed_files_of_code_three_are_named():
    then, now = ({f"{n}.py": f"{key}{n}" for n in range(6)} for key in "ab")
    found = between(record(deps=then), record(deps=now), {}, lambda *_: "")
    assert found.words() == (
        "code 0.py changed (a0 -> b0)",
        "code 1.py changed (a1 -> b1)",
        "code 2.py changed (a2 -> b2)",
        "3 more files changed",
    )


def test_a_dependency_that_a_stage_lost_between_two_commits_is_told():
    found = between(record(deps={"a": "1"}), record(), {}, lambda *_: "")
    assert found.words() == ("a is no dependency any more",)


def test_a_version_that_git_does_not_have_counts_no_lines(tmp_path):
    (tmp_path / "a.py").write_text("")
    assert changed_lines(tmp_path, "a.py", "0" * 32, "1" * 32) == ""


def test_every_reason_of_dvc_is_a_reason_here(toy):
    """DVC decides what runs: where it says changed, words must follow, and only there."""
    change("params.yaml", "data: web", "data: disk")
    (toy / "models/train/a/model").unlink()
    (toy / "models/ensemble").write_text("by hand")
    from dvc.repo import lock_repo

    with graph.open_repo() as repo, lock_repo(repo):
        stages = graph.read(repo)
        ours = {
            name for name, found in explain._reasons(repo, stages, str).items() if found.words()
        }
        assert ours == {stage.addressing for stage in repo.index.stages if stage.changed()}
