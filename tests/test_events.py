"""The event that starts a training, with a stand-in for the Prefect server."""

from types import SimpleNamespace

import pytest

from flows import events
from flows.retraining import correction, drift
from tasks.io.stage import StageError

# Raised inside Prefect at import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CAUSE = drift("b2", "v0.0.1: input", ["input"])


class Client:
    """Takes events, and has the runs that it is given."""

    def __init__(self):
        self.sent, self.runs = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def request(self, method, path, json):
        self.sent.append((method, path, json))
        return SimpleNamespace(raise_for_status=lambda: None)

    def read_flow_runs(self, flow_filter, flow_run_filter, sort):
        assert flow_filter.name.any_ == ["train"]
        return self.runs


@pytest.fixture
def client(monkeypatch):
    from prefect.client import orchestration

    client = Client()
    monkeypatch.setattr(orchestration, "get_client", lambda sync_client: client)
    monkeypatch.setattr(events, "PATIENCE", 0.1)
    return client


def run(reason):
    return SimpleNamespace(id="1f", name="fox", parameters={"reason": reason})


def test_an_event_carries_cause_and_reason(client):
    client.runs = [run(CAUSE.reason)]
    events.start(CAUSE)
    ((method, path, (event,)),) = client.sent
    assert (method, path, event["event"]) == ("POST", "/events", "digitline.drift")
    assert event["resource"] == {
        "prefect.resource.id": "digitline.drift.b2",
        "prefect.resource.name": "b2",
    }
    assert event["payload"] == {
        "reason": "drift in batch b2: input",
        "cause": "v0.0.1: input",
        "about": "b2",
    }


def test_the_run_that_the_event_started_is_told(client, monkeypatch):
    from prefect.utilities import urls

    monkeypatch.setattr(urls, "url_for", lambda kind, key: f"http://here/{kind}/{key}")
    made = correction("20261124-1", 2)
    client.runs = [run(None), run("another"), run(made.reason)]
    assert events.start(made) == (
        "training 'fox' (http://here/flow-run/1f), by event digitline.feedback"
    )


def test_an_event_that_nothing_follows_has_started_nothing(client):
    client.runs = [run("another")]
    with pytest.raises(StageError) as error:
        events.start(CAUSE)
    assert str(error.value) == (
        "event digitline.drift was emitted, and no run of train followed within 0 s: is "
        "prefect.yaml deployed there, and its automation not switched off?"
    )


def test_a_server_that_does_not_answer_is_told_with_what_to_do(client, monkeypatch):
    import httpx
    from prefect.settings import PREFECT_API_URL, temporary_settings

    def refuse(*_, **__):
        raise httpx.ConnectError("Connection refused")

    monkeypatch.setattr(client, "request", refuse)
    address = {PREFECT_API_URL: "http://127.0.0.1:4200/api"}
    with pytest.raises(StageError) as error, temporary_settings(address):
        events.start(CAUSE)
    assert str(error.value) == (
        "no answer from the Prefect server at http://127.0.0.1:4200/api (Connection refused); "
        "start it (make serve), or unset PREFECT_API_URL"
    )
