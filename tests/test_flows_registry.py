"""``python -m flows promote | rollback | history | show`` as a person meets them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy_registry as toy

from flows import execute, verdict
from flows.__main__ import main
from tasks import gate
from tasks.io import git, history, known_batch, registry

HERE = Path()
BY = "Digitline <digitline@invalid>"


def champion() -> str | None:
    found = registry.champion(HERE, "digits", "champion")
    return found.version if found else None


def tags() -> list[str]:
    return toy.run(HERE, "git", "tag").split()


def fails(capsys, *arguments: str) -> str:
    """Run a command that has to fail without a new tag, and return its one error."""
    before = tags()
    assert main(arguments) == 1
    assert tags() == before
    return capsys.readouterr().err.removeprefix("error: ").strip()


def damage(version: str, content: bytes = b"garbage") -> None:
    cached = toy.cache_file(HERE, registry.get(HERE, "digits", version).md5)
    cached.chmod(0o644)
    cached.write_bytes(content)
    cached.chmod(0o444)


def judged(monkeypatch, decision: str, *reasons: str) -> None:
    said = {"decision": decision, "reasons": list(reasons)}
    monkeypatch.setattr(gate, "judge_version", lambda root, version: said)


def test_a_rollback_is_one_command_and_every_reader_follows(versions, tmp_path, capsys):
    assert main(["rollback", "--reason", "slow on phones"]) == 0
    assert capsys.readouterr().out == (
        "verified: hashes as recorded, loads in a fresh process, "
        "5 known images answered within 0\n"
        "champion is v0.0.1, after v0.0.2 (rollback): slow on phones\n"
        "recorded in the tag digits#champion#4\n"
    )
    get = ("dvc", "artifacts", "get", str(versions), "digits", "--stage", "champion", "-o", "got")
    toy.run(tmp_path, *get)
    assert (tmp_path / "got").read_bytes() == toy.model()
    found = registry.champion(versions, "digits", "champion")
    assert registry.fetch(versions, found) == toy.model()
    assert "v0.0.1" in toy.run(versions, "gto", "show", "digits#champion")


def test_a_run_with_nothing_to_do_tells_a_rollback_that_came_after_its_registration(versions):
    newest = registry.get(HERE, "digits", champion())
    record = {"artifact": "digits", "version": newest.version, "stage": "champion"}
    record |= {"stage_tag": newest.held["champion"], "time": "2026-01-01T00:00:00+00:00"}
    Path("models/registration.json").write_text(json.dumps(record))
    register_only = [execute.Outcome("register", execute.CACHED)]
    assert verdict.decision_lines(verdict.collect(register_only, HERE)) == [
        "version v0.0.2, still champion"
    ]
    assert main(["rollback", "--reason", "slow on phones"]) == 0
    assert verdict.decision_lines(verdict.collect(register_only, HERE))[-1] == (
        "since then v0.0.1 became champion: rollback, slow on phones"
    )


def test_a_run_with_nothing_to_do_tells_a_promotion_of_what_it_had_refused(versions):
    record = {"version": "v0.0.3", "stage": None, "stage_tag": None}
    record |= {"time": "2026-01-01T00:00:00+00:00"}
    Path("models/registration.json").write_text(json.dumps(record))
    assert main(["promote", "v0.0.3", "--force", "--reason", "reads my sevens"]) == 0
    found = verdict.collect([execute.Outcome("register", execute.CACHED)], HERE)
    assert found.since == "since then v0.0.3 became champion: forced promotion, reads my sevens"


def test_a_rollback_goes_back_and_not_forth(versions, capsys):
    assert main(["rollback", "--reason", "slow"]) == 0
    assert fails(capsys, "rollback", "--reason", "still slow") == (
        "v0.0.1 has no champion before it to go back to. Name one that was left since with --to, "
        "or promote another: see `python -m flows history`"
    )
    assert main(["rollback", "--to", "v0.0.2", "--reason", "not that slow"]) == 0
    assert champion() == "v0.0.2"


@pytest.mark.parametrize("arguments", [("rollback",), ("rollback", "--reason", " \n")])
def test_a_rollback_needs_a_reason(versions, capsys, arguments):
    expected = "expected a reason, for those who ask later: --reason TEXT"
    assert fails(capsys, *arguments) == expected


def test_a_rollback_to_what_never_was_champion_is_refused(versions, capsys):
    assert fails(capsys, "rollback", "--to", "v0.0.3", "--reason", "why") == (
        "v0.0.3 never was champion, so there is no way back to it; "
        "forth: python -m flows promote v0.0.3"
    )


def test_without_a_champion_there_is_nothing_to_roll_back(versions, capsys):
    for tag in ("digits#champion#1", "digits#champion#2"):
        toy.run(versions, "git", "tag", "-d", tag)
    assert fails(capsys, "rollback", "--reason", "why").startswith(
        "digits has no champion: there is nothing to roll back."
    )


def test_a_rollback_to_the_champion_changes_nothing(versions, capsys):
    before = tags()
    assert main(["rollback", "--to", "v0.0.2", "--reason", "why"]) == 0
    assert (capsys.readouterr().out, tags()) == ("v0.0.2 is the champion already\n", before)


def test_a_corrupted_target_does_not_become_champion(versions, capsys):
    damage("v0.0.1")
    assert fails(capsys, "rollback", "--reason", "why", "--force") == (
        f"digits@v0.0.1: expected md5 {toy.md5(toy.model())}; "
        f"cache: damaged, md5 is {toy.md5(b'garbage')}; "
        "remote: none is set; where one has it: dvc remote add -d <name> <url>"
    )
    assert champion() == "v0.0.2"


def test_a_target_that_is_gone_does_not_become_champion(versions, capsys):
    cached = toy.cache_file(versions, toy.md5(toy.model()))
    cached.unlink()
    assert "cache: does not have it; remote: none is set" in fails(
        capsys, "rollback", "--reason", "why"
    )


def test_a_target_of_the_right_md5_and_another_sha256_does_not_become_champion(
    versions, capsys, monkeypatch
):
    monkeypatch.setattr(registry, "sha256", lambda root, version: "0" * 64)
    said = fails(capsys, "rollback", "--reason", "why")
    assert said.startswith(f"digits@v0.0.1: expected SHA-256 {'0' * 64}, as its tag records")


def test_a_target_that_answers_otherwise_than_recorded_does_not_become_champion(
    versions, capsys, monkeypatch
):
    recorded = known_batch.parse

    def other(content, where):
        batch = recorded(content, where)
        return batch._replace(probabilities=np.roll(batch.probabilities, 1, axis=1))

    monkeypatch.setattr(known_batch, "parse", other)
    said = fails(capsys, "rollback", "--reason", "why")
    assert said.startswith(
        "digits@v0.0.1: expected its recorded answers to 5 known images within 0.0001; "
        "they differ by 1."
    )


def test_a_damaged_cache_is_mended_from_the_remote(versions, tmp_path, capsys):
    toy.run(versions, "dvc", "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    digest = toy.md5(toy.model())
    stored = tmp_path / "store/files/md5" / digest[:2] / digest[2:]
    stored.parent.mkdir(parents=True)
    shutil.copy(toy.cache_file(versions, digest), stored)
    damage("v0.0.1")
    assert main(["rollback", "--reason", "why"]) == 0
    assert "was fetched into this clone's cache" in capsys.readouterr().out
    assert toy.cache_file(versions, digest).read_bytes() == toy.model()


def unbatched(versions) -> None:
    """Make a version as of before there were known batches champion, then v0.0.2 again."""
    path = known_batch.FILE
    snapshot = registry.snapshot

    def without(root, paths, message):
        (root / path).unlink()
        return snapshot(root, paths, message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "snapshot", without)
        toy.enrol(versions, toy.model(worse=4))
    version = registry.get(versions, "digits", "v0.0.2")
    history.note(versions, toy.PLACE, version, "promotion", ["better"])


def test_a_version_without_a_known_batch_is_taken_by_force_alone(versions, capsys):
    unbatched(versions)
    for command in (("rollback", "--reason", "why"), ("promote", "v0.0.4")):
        said = fails(capsys, *command)
    assert said.startswith(
        "digits@v0.0.4: its commit holds no models/ensemble/known_batch.json, so that nobody can "
        "tell whether it still answers as it did. To take it nevertheless: --force"
    )
    assert main(["rollback", "--reason", "why", "--force"]) == 0
    assert "NOT its answers: its commit holds no known batch" in capsys.readouterr().out
    event = history.events(versions, toy.PLACE)[-1]
    assert (event.version, event.details["known_batch"]) == ("v0.0.4", None)


def test_a_champion_that_changed_while_a_rollback_waited_is_not_rolled_back(
    versions, capsys, monkeypatch
):
    turn = registry.turn

    def late(root):
        version = registry.get(root, "digits", "v0.0.3")
        history.note(root, toy.PLACE, version, "forced promotion", ["faster"])
        return turn(root)

    monkeypatch.setattr(registry, "turn", late)
    assert main(["rollback", "--reason", "why"]) == 1
    assert capsys.readouterr().err.startswith(
        "error: expected to leave v0.0.2; while this waited, v0.0.3 became champion."
    )
    assert champion() == "v0.0.3"


def test_a_promotion_is_judged_anew_beside_the_champion_of_today(versions, capsys):
    assert main(["promote", "v0.0.1"]) == 0
    event = history.events(versions, toy.PLACE)[-1]
    assert (event.kind, event.version, event.previous) == ("promotion", "v0.0.1", "v0.0.2")
    assert "champion v0.0.2" in event.reasons[-1]


def test_a_refused_promotion_says_why_is_recorded_once_and_changes_nothing(
    versions, capsys, monkeypatch
):
    judged(monkeypatch, "refuse", "too slow", "too big")
    assert main(["promote", "v0.0.3"]) == 1
    assert main(["promote", "v0.0.3"]) == 1
    first, second = "recorded in the tag digits#refused#4", "recorded before"
    out = capsys.readouterr().out
    assert out.startswith("refused, not made champion: too slow; too big\n")
    assert (out.count(first), out.count(second)) == (1, 1)
    assert champion() == "v0.0.2"


def test_a_forced_promotion_needs_a_reason(versions, capsys):
    expected = "expected a reason, for those who ask later: --reason TEXT"
    assert fails(capsys, "promote", "v0.0.3", "--force") == expected


@pytest.mark.parametrize("command", [["rollback"], ["promote", "v0.0.3", "--force"]])
def test_a_reason_that_no_tag_can_hold_is_refused(versions, capsys, command):
    assert fails(capsys, *command, "--reason", "caf\udce9") == (
        "expected a reason in UTF-8, for a tag's message; got 'caf\\udce9'"
    )


def test_the_history_follows_what_gto_withdraws(versions, capsys):
    for withdrawn, left in (("v0.0.2", "v0.0.1"), ("v0.0.1", None)):
        toy.run(versions, "gto", "deprecate", "digits", withdrawn, "champion")
        assert champion() == left
        assert main(["history", "--json"]) == 0
        newest = json.loads(capsys.readouterr().out)["reigns"][-1]
        assert (newest["version"], newest["to"] is None) == ("v0.0.1", left is not None)


def test_a_forced_promotion_is_verified_all_the_same(versions, capsys):
    damage("v0.0.3")
    said = fails(capsys, "promote", "v0.0.3", "--force", "--reason", "why")
    assert "cache: damaged" in said


def test_a_forced_promotion_stays_visible_after_everything_that_follows(
    versions, capsys, monkeypatch
):
    assert main(["promote", "v0.0.3", "--force", "--reason", "reads my sevens"]) == 0
    assert main(["rollback", "--reason", "reads no ones"]) == 0
    judged(monkeypatch, "promote", "better by now")
    assert main(["promote", "v0.0.3", "--reason", "and faster"]) == 0
    capsys.readouterr()
    main(["history"])
    out = capsys.readouterr().out
    assert "forced promotion  Digitline" in out
    assert "reads my sevens" in out
    main(["show", "v0.0.3"])
    out = capsys.readouterr().out
    told = [line for line in out.splitlines() if line.startswith("  20")]
    kinds = [line.split("  ")[2].partition(",")[0] for line in told]
    assert kinds == ["refusal", "forced promotion", "promotion"]
    assert "better by now; and faster" in out


def test_a_champion_by_force_is_marked_among_the_versions(versions, capsys):
    assert main(["promote", "v0.0.3", "--force", "--reason", "why"]) == 0
    capsys.readouterr()
    main(["show"])
    assert "refuse    champion (forced)  " in capsys.readouterr().out.splitlines()[1]


def test_a_promotion_of_the_champion_says_so(versions, capsys):
    before = tags()
    assert main(["promote", "digits@v0.0.2"]) == 0
    assert (capsys.readouterr().out, tags()) == ("v0.0.2 is the champion already\n", before)


def test_an_unknown_version_is_told_with_those_that_there_are(versions, capsys):
    expected = "digits has no version v0.0.9; expected one of v0.0.3, v0.0.2, v0.0.1"
    for command in ("promote", "show", "trace"):
        assert fails(capsys, command, "v0.0.9") == expected


def test_without_any_version_each_command_says_so(versions, capsys):
    toy.run(versions, "git", "tag", "-d", *tags())
    expected = "digits has no version v0.0.1; there is none yet: `make run` registers one"
    assert fails(capsys, "promote", "v0.0.1") == expected
    assert main(["show"]) == 0
    assert capsys.readouterr().out == "digits has no version yet: `make run` registers one\n"
    assert main(["history"]) == 0
    assert capsys.readouterr().out == "digits has had no champion yet\n"


def test_a_folder_that_is_no_repository_is_named(versions, capsys):
    shutil.rmtree(versions / ".git")
    for command in (["history"], ["show"], ["trace", "v0.0.1"], ["rollback", "--reason", "why"]):
        assert main(command) == 1
        assert "not a git repository" in capsys.readouterr().err


def test_the_history_tells_each_reign_with_its_reasons(versions, capsys):
    first, second, third = (it.time for it in history.events(versions, toy.PLACE))
    main(["history"])
    assert capsys.readouterr().out == (
        "champion of digits, newest first; times are UTC\n"
        "version  from                  to                    how        by\n"
        f"v0.0.2   {second:%Y-%m-%d %H:%M:%SZ}  now                   promotion  Digitline\n"
        "         as good as v0.0.1\n"
        f"v0.0.1   {first:%Y-%m-%d %H:%M:%SZ}  {second:%Y-%m-%d %H:%M:%SZ}  promotion  Digitline\n"
        "         there is no champion yet\n"
        "\n"
        "refused as champion, newest first\n"
        "version  at                    by\n"
        f"v0.0.3   {third:%Y-%m-%d %H:%M:%SZ}  Digitline\n"
        "         accuracy is 0.8\n"
    )


def test_the_history_for_machines_holds_the_same(versions, capsys):
    first, second, _ = (it.time for it in history.events(versions, toy.PLACE))
    main(["history", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["reigns"][0] == {
        "version": "v0.0.1",
        "from": first.isoformat(),
        "how": "promotion",
        "reasons": ["there is no champion yet"],
        "by": BY,
        "previous": None,
        "tag": "digits#champion#1",
        "to": second.isoformat(),
    }
    assert told["reigns"][1]["to"] is None
    assert [it["version"] for it in told["refusals"]] == ["v0.0.3"]


def test_show_lists_the_versions_and_says_what_no_remote_means(versions, capsys):
    toy.cache_file(versions, toy.md5(toy.model())).unlink()
    main(["show"])
    header, *rows, _, first, second, third = capsys.readouterr().out.splitlines()
    assert header.endswith("kept in  test %")
    assert [row.split()[0] for row in rows] == ["v0.0.3", "v0.0.2", "v0.0.1"]
    assert ["champion" in row for row in rows] == [False, True, False]
    assert [("cache" in row, "nowhere" in row) for row in rows] == [
        (True, False), (True, False), (False, True)
    ]  # fmt: skip
    assert first.startswith("no DVC remote is set: this clone has of these versions what its")
    assert all(len(line) <= 100 for line in (header, *rows, first, second, third))


def test_show_tells_what_the_remote_has(versions, tmp_path, capsys):
    store = tmp_path / "store"
    toy.run(versions, "dvc", "remote", "add", "-q", "-d", "store", str(store))
    toy.run(versions, "dvc", "push", "-q")
    main(["show"])
    out = capsys.readouterr().out
    assert ["cache, remote" in line for line in out.splitlines()[1:4]] == [True, False, False]
    assert f"remote: {store}." in out


def test_show_of_a_version_tells_its_whole_record(versions, capsys):
    main(["show", "v0.0.2"])
    out = capsys.readouterr().out
    record = registry.record(versions, registry.get(versions, "digits", "v0.0.2"))
    for key in ("decision", "reasons", "time", "metrics", "model", "provenance", "hashes"):
        assert f"\n{key}:" in out
    assert record["model"]["sha256"] in out
    assert f"  dvc.lock: {record['hashes']['files']['dvc.lock']}" in out
    assert f"  seed: {record['provenance']['seed']}" in out
    assert "  min_accuracy: 0.9" in out


def test_the_commands_need_no_git_identity_and_leave_a_dirty_tree_as_it_is(versions):
    (versions / "tasks/ensemble.py").write_text("dirty = 1\n")
    before = toy.state(versions)
    assert main(["rollback", "--reason", "why"]) == 0
    assert toy.state(versions) == before
    assert git.tags(versions, "digits#champion#4")[0].by == BY
