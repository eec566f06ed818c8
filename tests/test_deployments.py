"""What a server is told about prefect.yaml, with a stand-in for the server."""

import pytest
from ruamel.yaml import YAML

from flows import deployments
from tasks.io.stage import StageError

TRAIN = {
    "name": "train",
    "entrypoint": "flows/train.py:train",
    "work_pool": {"name": "digitline"},
    "schedules": [{"cron": "0 3 * * 1"}],
}


class Server:
    """Answers `find` from a dictionary and remembers every call."""

    def __init__(self, **content):
        self.content, self.calls, self.queries = content, [], []

    def find(self, what, **query):
        self.queries.append((what, query))
        found = self.content.get(what.replace("/", "_"), [])
        left_out = query.get("flow_runs", {}).get("id", {}).get("not_any_", [])
        return [each for each in found if each.get("id") not in left_out]

    def call(self, method, path, content=None):
        self.calls.append((method, path, content))
        if method == "DELETE":
            gone = path.rpartition("/")[2]
            for kind, found in self.content.items():
                self.content[kind] = [each for each in found if each["id"] != gone]


def deployed(**changes):
    return {
        "id": "d1",
        "name": "train",
        "entrypoint": "flows/train.py:train",
        "work_pool_name": "digitline",
        "schedules": [{"id": "s1", "active": True}],
    } | changes


def run(key, auto_scheduled=True, **more):
    time = f"2026-11-24T0{key}:00:00+01:00"
    return {
        "id": key,
        "auto_scheduled": auto_scheduled,
        "expected_start_time": time,
        "deployment_id": "d1",
        "run_count": 0,
    } | more


def tidied(server, *wanted):
    return list(deployments.tidy(server, [*wanted] or [TRAIN]))


def test_what_is_as_in_the_file_stays(tmp_path):
    server = Server(deployments=[deployed()])
    assert (tidied(server), server.calls) == ([], [])


def test_a_deployment_that_the_file_no_longer_has_is_removed_with_its_automations():
    old = deployed(id="d2", name="old", entrypoint="flows/old.py:old")
    server = Server(deployments=[deployed(), old])
    assert tidied(server) == ["old: removed, as prefect.yaml no longer has it"]
    assert server.calls == [
        ("DELETE", "/automations/owned-by/prefect.deployment.d2", None),
        ("DELETE", "/deployments/d2", None),
    ]


def test_a_deployment_of_another_work_pool_is_not_ours():
    server = Server(deployments=[deployed(name="theirs", work_pool_name="other")])
    assert (tidied(server), server.calls) == ([], [])


def test_a_schedule_that_the_file_no_longer_has_is_removed():
    server = Server(deployments=[deployed()])
    lines = tidied(server, TRAIN | {"schedules": []})
    assert lines == ["train: its schedule is removed, as prefect.yaml no longer has one"]
    assert server.calls == [("DELETE", "/deployments/d1/schedules/s1", None)]


def test_of_runs_that_were_missed_the_newest_is_made_up_for():
    server = Server(deployments=[deployed()], flow_runs=[run("3"), run("2"), run("1")])
    assert tidied(server) == ["train: was due at 2026-11-24 02:00:00Z and starts now"]
    assert server.calls == [("DELETE", "/flow_runs/2", None), ("DELETE", "/flow_runs/1", None)]


def test_what_an_event_or_a_person_started_is_never_dropped():
    runs = [run("4", auto_scheduled=False), run("3"), run("2", run_count=1), run("1", False)]
    server = Server(deployments=[deployed()], flow_runs=runs)
    tidied(server)
    assert server.calls == []


def test_a_run_that_lost_its_server_counts_as_crashed_and_gives_its_place_back():
    limits = [
        {"id": "l1", "name": "deployment:d1", "active_slots": 1},
        {"id": "l2", "name": "deployment:d2", "active_slots": 0},
        {"id": "l3", "name": "mine", "active_slots": 1},
    ]
    by_hand = run("2", deployment_id=None)
    server = Server(flow_runs=[run("1"), by_hand], v2_concurrency_limits=limits)
    assert deployments.release(server) == 1
    (state, place) = server.calls
    assert state[:2] == ("POST", "/flow_runs/1/set_state")
    assert (state[2]["state"]["type"], state[2]["force"]) == ("CRASHED", True)
    assert place == ("PATCH", "/v2/concurrency_limits/l1", {"active_slots": 0})


def test_a_work_pool_is_made_once():
    server = Server(work_pools=[{"name": "digitline"}])
    deployments.make_work_pool(server, "digitline")
    deployments.make_work_pool(server, "other")
    assert server.calls == [("POST", "/work_pools/", {"name": "other", "type": "process"})]


def test_the_next_run_is_the_first_that_a_schedule_planned():
    server = Server(flow_runs=[run("1", auto_scheduled=False), run("2"), run("3")])
    assert deployments.upcoming(server, deployed())["id"] == "2"
    assert deployments.upcoming(Server(), deployed()) is None


def test_a_folder_without_the_file_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError) as error:
        deployments.read()
    assert str(error.value) == (
        f"prefect.yaml: expected the deployments in {tmp_path}; there is no such file. "
        "Go to the root of the clone"
    )


def test_deployments_of_two_work_pools_are_refused():
    with pytest.raises(StageError, match="expected one work pool for all; got digitline, other"):
        deployments.work_pool([TRAIN, TRAIN | {"work_pool": {"name": "other"}}])


def test_the_file_that_is_deployed_is_read(tmp_path):
    file = tmp_path / "prefect.yaml"
    YAML().dump({"deployments": [TRAIN]}, file)
    assert deployments.read(file) == [TRAIN]
    file.write_text("name: digitline\n")
    with pytest.raises(StageError, match="expected a list of deployments; it has none"):
        deployments.read(file)


@pytest.fixture
def answers(monkeypatch):
    """Let a server answer so, one after the other; return what it was asked."""
    import httpx

    def api(*statuses, patience=60):
        asked = []

        def answer(request):
            asked.append((request.method, request.url.path))
            status = statuses[min(len(asked), len(statuses)) - 1]
            if status is None:
                raise httpx.ReadTimeout("timed out")
            return httpx.Response(status, json={"asked": len(asked)})

        it = deployments.Api("http://127.0.0.1:1/api", patience)
        it._client = httpx.Client(
            base_url="http://127.0.0.1:1/api", transport=httpx.MockTransport(answer)
        )
        return it, asked

    monkeypatch.setattr(deployments.time, "sleep", lambda _: None)
    return api


def test_a_server_that_is_busy_is_asked_again(answers):
    it, asked = answers(None, 500, 200)
    assert it.call("POST", "/x") == {"asked": 3}
    assert asked == [("POST", "/api/x")] * 3


def test_a_server_that_stays_busy_is_given_up_with_its_words(answers):
    it, _ = answers(None, patience=0)
    with pytest.raises(StageError) as error:
        it.call("POST", "/x")
    assert str(error.value) == "Prefect's server: POST /x: timed out"


def test_a_request_that_is_wrong_is_not_sent_again(answers):
    it, asked = answers(422)
    with pytest.raises(StageError, match="GET /x: 422"):
        it.call("GET", "/x")
    assert len(asked) == 1


def test_work_that_is_done_already_is_no_fault(answers):
    it, _ = answers(404)
    it.call("DELETE", "/x")
    it, _ = answers(409)
    it.call("POST", "/x")
