"""Notifications: what a webhook gets, and that an address is never told."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flows import notify as module
from flows.notify import notify
from tasks.io.stage import StageError

SECRET = "T0KEN"


class NotificationError(Exception):
    """Like Prefect's: its words are in `log` alone."""

    def __init__(self, log):
        self.log = log


@pytest.fixture
def webhook():
    """A webhook on loopback: `got` is what it was sent, `answer` how it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # the name is Python's
            length = int(self.headers["Content-Length"])
            server.got.append((self.path, self.headers["Content-Type"], self.rfile.read(length)))
            server.answer(self)

        def log_message(self, *_):
            pass

    def well(handler):
        handler.send_response(200)
        handler.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.answer = [], well
    server.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_subject_text_and_content_as_json(webhook):
    assert notify(webhook.url, "Alarm", "It drifts: é", {"sure": "99 %"}) == "127.0.0.1"
    ((path, kind, body),) = webhook.got
    assert (path, kind) == (f"/{SECRET}", "application/json")
    expected = {"subject": "Alarm", "text": "Alarm\nIt drifts: é", "sure": "99 %"}
    assert json.loads(body) == expected


def test_the_address_may_stand_in_a_variable(webhook, monkeypatch):
    monkeypatch.setenv("HOOK", f" {webhook.url}\n")
    assert notify("env:HOOK", "Alarm", "It drifts", {}) == "127.0.0.1"
    assert len(webhook.got) == 1


def refused(target):
    with pytest.raises(StageError) as error:
        notify(target, "Alarm", "It drifts", {})
    assert SECRET not in str(error.value)
    return str(error.value)


def test_a_refusal_is_told_with_its_status_and_without_the_address(webhook):
    webhook.answer = lambda handler: (handler.send_response(403), handler.end_headers())
    assert refused(webhook.url) == "monitor.notify: 127.0.0.1 took no message: 403"


def test_a_redirect_is_no_delivery(webhook):
    def elsewhere(handler):
        handler.send_response(302)
        handler.send_header("Location", f"/{SECRET}/elsewhere")
        handler.end_headers()

    webhook.answer = elsewhere
    assert refused(webhook.url) == "monitor.notify: 127.0.0.1 took no message: 302"


def test_a_webhook_that_does_not_answer_is_given_up(webhook, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    webhook.answer = lambda _: time.sleep(0.2)
    assert refused(webhook.url) == "monitor.notify: 127.0.0.1 took no message: timed out"


def test_a_webhook_that_is_not_there_is_told(webhook):
    from flows.server import free_port

    text = refused(f"http://127.0.0.1:{free_port()}/{SECRET}")
    assert text == "monitor.notify: 127.0.0.1 took no message: Connection refused"


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("HOOK", raising=False)
    assert refused("env:HOOK") == (
        "monitor.notify: expected a URL in the variable HOOK; it is not set"
    )


@pytest.mark.parametrize(
    "target", [f"hooks.example/{SECRET}", f"ftp://x/{SECRET}", f"https://[{SECRET}"]
)
def test_what_is_no_address_is_refused_without_telling_it(target):
    assert refused(target) == (
        "monitor.notify: expected http(s)://…, env:NAME of a variable that holds such an address, "
        "or block:<type>/<name>; what stands in params.yaml is none of these"
    )


def test_a_block_needs_a_server(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert refused("block:slack-webhook/team") == (
        "monitor.notify: block slack-webhook/team is kept by a Prefect server; expected "
        "PREFECT_API_URL to name it (make serve)"
    )


class Block:
    """A notification block that fails, but says so only when asked to, as Prefect's do."""

    def __init__(self, error):
        self.error, self.loud = error, False

    def load(self, name):
        assert name == "slack-webhook/team"
        return self

    @contextmanager
    def raise_on_failure(self):
        self.loud = True
        yield
        self.loud = False

    def notify(self, body, subject):
        assert (body, subject) == ("It drifts", "Alarm")
        if self.error and self.loud:
            raise self.error


@pytest.fixture
def block(monkeypatch):
    from prefect.blocks import core

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    block = Block(None)
    monkeypatch.setattr(core, "Block", block)
    return block


def test_a_block_is_sent_the_text_under_the_subject(block):
    assert (
        notify("block:slack-webhook/team", "Alarm", "It drifts", {}) == "block slack-webhook/team"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such channel\nmore"), "no such channel"),
        (ValueError(f"https://hooks/{SECRET} is gone"), "ValueError"),
        (NotificationError("Slack: error=403\n"), "Slack: error=403"),
        (NotificationError(""), "NotificationError"),
    ],
)
def test_a_block_that_fails_is_told_without_an_address(block, error, said):
    block.error = error
    text = refused("block:slack-webhook/team")
    assert text == f"monitor.notify: block slack-webhook/team took no message: {said}"
