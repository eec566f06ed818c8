"""The order of stages: upstreams first, then the longest remaining path."""

from flows.order import Schedule, remaining_paths

# a -> b -> d, a -> c -> d, e alone
UPSTREAM = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []}


def drain(schedule):
    names = []
    while name := schedule.next():
        names.append(name)
        schedule.done(name)
    return names


def test_the_remaining_path_is_the_longest_chain_to_the_end():
    seconds = {"a": 1, "b": 10, "c": 2, "d": 5, "e": 3}
    assert remaining_paths(UPSTREAM, seconds) == {"a": 16, "b": 15, "c": 7, "d": 5, "e": 3}


def test_a_stage_never_timed_counts_one_second():
    assert remaining_paths({"a": [], "b": ["a"]}, {"b": 4}) == {"a": 5, "b": 4}


def test_stages_come_in_the_order_of_their_remaining_path():
    seconds = {"a": 1, "b": 2, "c": 10, "d": 5, "e": 12}
    assert drain(Schedule(UPSTREAM, seconds)) == ["a", "c", "e", "b", "d"]


def test_equals_come_in_the_order_of_the_graph():
    assert drain(Schedule({"y": [], "x": [], "z": []})) == ["y", "x", "z"]


def test_a_stage_is_not_ready_before_its_upstream_is_done():
    schedule = Schedule({"a": [], "b": ["a"]})
    assert [schedule.next(), schedule.next()] == ["a", None]


def test_what_waits_for_a_stage_that_never_ends_well_is_never_ready():
    schedule = Schedule(UPSTREAM)
    assert schedule.next() == "a"
    assert drain(schedule) == ["e"]
