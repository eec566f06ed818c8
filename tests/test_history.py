"""Who was champion when: what the tags say, and which way back they leave."""

from datetime import UTC, datetime, timedelta

import pytest
import toy_registry as toy

from tasks.io import git, history, registry
from tasks.io.history import Event

START = datetime(2026, 11, 24, tzinfo=UTC)


def events(*said: str) -> list[Event]:
    """Return one event a minute, each told as ``kind version``."""
    found = []
    for minute, text in enumerate(said):
        kind, version = text.rsplit(" ", 1)
        time = START + timedelta(minutes=minute)
        found.append(Event(kind, version, time, "Ada <a@b>", ("why",), None, f"#{minute}", {}))
    return found


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ((), ""),
        (("promotion A", "promotion B"), "A B"),
        (("promotion A", "refusal B", "promotion C"), "A C"),
        (("promotion A", "promotion B", "rollback A"), "A"),
        (("promotion A", "promotion B", "promotion C", "rollback B", "rollback A"), "A"),
        (("promotion A", "promotion B", "promotion C", "rollback A"), "A"),
        (("promotion A", "promotion B", "rollback A", "forced promotion C"), "A C"),
        (("promotion A", "promotion B", "promotion A", "rollback B"), "A B"),
        (("promotion A", "promotion B", "rollback A", "rollback B"), "A B"),
        (("promotion A", "assignment A", "assignment B"), "A B"),
        (("promotion A", "promotion B", "withdrawal B", "promotion C"), "A C"),
        (("promotion A", "promotion B", "withdrawal A"), "A B"),
    ],
)
def test_a_rollback_takes_off_what_a_promotion_put_on_top(said, line):
    assert history.succession(events(*said)) == line.split()


def test_a_reign_ends_when_the_next_one_begins_and_a_refusal_ends_none():
    told = events("promotion A", "refusal B", "rollback C")
    assert history.reigns(told) == [(told[0], told[2]), (told[2], None)]


def test_a_withdrawal_gives_the_stage_back():
    told = events("promotion A", "promotion B", "withdrawal B")
    found = history.reigns(told)
    assert [(reign.begun.version, reign.begun.kind) for reign in found] == [
        ("A", "promotion"),
        ("B", "promotion"),
        ("A", "withdrawal"),
    ]


def test_a_withdrawal_ends_the_reign_of_the_champion_and_of_nobody_else():
    told = events("promotion A", "promotion B", "withdrawal A", "withdrawal B", "promotion C")
    assert history.reigns(told) == [(told[0], told[1]), (told[1], told[3]), (told[4], None)]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (("promotion A", "promotion B", "rollback A"), True),
        (("promotion A", "promotion B", "rollback A", "promotion B"), False),
        (("promotion A", "promotion B", "promotion A"), False),
        (("promotion A",), False),
    ],
)
def test_a_version_counts_as_rolled_back_if_its_last_reign_ended_so(said, left):
    assert bool(history.left_by_rollback(events(*said), "B")) is left


def test_every_event_is_a_tag_that_tells_kind_reasons_and_person(versions):
    told = history.events(versions, toy.PLACE)
    assert [(it.kind, it.version, it.reasons, it.previous, it.tag) for it in told] == [
        ("promotion", "v0.0.1", ("there is no champion yet",), None, "digits#champion#1"),
        ("promotion", "v0.0.2", ("as good as v0.0.1",), "v0.0.1", "digits#champion#2"),
        ("refusal", "v0.0.3", ("accuracy is 0.8",), "v0.0.2", "digits#refused#3"),
    ]
    assert {it.by for it in told} == {"Digitline <digitline@invalid>"}
    seconds = [it.time for it in told]
    assert seconds == sorted(set(seconds))


def test_the_git_user_is_who_did_it(versions):
    toy.run(versions, "git", "config", "user.name", "Ada")
    toy.run(versions, "git", "config", "user.email", "ada@example.org")
    version = registry.get(versions, "digits", "v0.0.1")
    history.note(versions, toy.PLACE, version, "rollback", ["slow"])
    assert history.events(versions, toy.PLACE)[-1].by == "Ada <ada@example.org>"


def test_a_refusal_is_recorded_again_only_for_other_reasons(versions):
    version = registry.get(versions, "digits", "v0.0.3")
    assert history.refuse(versions, toy.PLACE, version, ["accuracy is 0.8"]) is None
    assert history.refuse(versions, toy.PLACE, version, ["recall is 0"]) == "digits#refused#4"
    assert len(history.refusals(history.events(versions, toy.PLACE))) == 2


def test_a_refusal_disturbs_no_reader(versions, tmp_path):
    champion = registry.champion(versions, "digits", "champion")
    assert champion.version == "v0.0.2"
    get = ("dvc", "artifacts", "get", str(versions), "digits", "--stage", "champion", "-o", "got")
    toy.run(tmp_path, *get)
    assert toy.md5((tmp_path / "got").read_bytes()) == champion.md5


def test_a_tag_by_hand_is_an_assignment_by_whoever_made_it(versions):
    who = ("-c", "user.name=Eve", "-c", "user.email=eve@example.org")
    tag = ("tag", "-a", "-m", "I like it {}", "digits#champion#9", "digits@v0.0.3^{}")
    toy.run(versions, "git", *who, *tag)
    event = history.events(versions, toy.PLACE)[-1]
    assert (event.kind, event.version, event.by) == (
        "assignment",
        "v0.0.3",
        "Eve <eve@example.org>",
    )
    assert event.reasons == ("I like it {}",)


def test_a_promotion_of_before_there_were_events_is_one(versions):
    version = registry.get(versions, "digits", "v0.0.3")
    former = {"decision": "promote", "reasons": ["passes every rule"], "model": {}}
    text = registry.message("digits v0.0.3 becomes champion", "promote: passes", former)
    registry.assign(versions, version, "champion", text)
    event = history.events(versions, toy.PLACE)[-1]
    assert (event.kind, event.reasons) == ("promotion", ("passes every rule",))


def test_the_history_of_another_stage_is_another_one(versions):
    trial = toy.PLACE.model_copy(update={"stage": "trial"})
    version = registry.get(versions, "digits", "v0.0.3")
    history.note(versions, trial, version, "promotion", ["a first look"])
    history.refuse(versions, trial, version, ["a second look"])
    assert [it.kind for it in history.events(versions, trial)] == ["promotion", "refusal"]
    assert len(history.events(versions, toy.PLACE)) == 3


def test_tags_keep_words_that_look_like_json_or_paragraphs_apart(versions):
    version = registry.get(versions, "digits", "v0.0.1")
    history.note(versions, toy.PLACE, version, "rollback", ["{not json", "# and no comment"])
    event = history.events(versions, toy.PLACE)[-1]
    assert event.reasons == ("{not json", "# and no comment")
    assert "rollback: {not json; # and no comment" in git.tags(versions, event.tag)[0].message
