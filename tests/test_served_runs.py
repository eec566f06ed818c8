"""The lines that `serve` prints of flow runs, with a stand-in for the server."""

from flows.served_runs import News
from tasks.io.stage import StageError


class Server:
    """Answers with the runs that it was given last."""

    def __init__(self):
        self.runs, self.asked = [], 0

    def find(self, what, **_):
        if what == "flows":
            self.asked += 1
            return [{"id": "f", "name": "train"}]
        if self.runs is None:
            raise StageError("gone")
        return self.runs


def run(kind, message="", run_count=1):
    state = {"type": kind, "name": kind.title(), "message": message}
    return {"id": "r", "name": "fox", "flow_id": "f", "state": state, "run_count": run_count}


def told(*steps):
    """Return what is told after each step."""
    server = Server()
    news, lines = News(server), []
    for runs in steps:
        server.runs = runs
        lines.append(list(news.lines()))
    assert server.asked <= 1
    return lines


def test_a_run_is_told_at_its_start_and_at_its_end_once():
    steps = [[], [run("RUNNING")], [run("RUNNING")], *[[run("COMPLETED", "8 stages")]] * 2]
    end = "train fox ended: Completed, 8 stages"
    assert told(*steps) == [[], ["train fox runs"], [], [end], []]


def test_a_run_that_began_and_ended_between_two_looks_is_told_as_both():
    assert told([run("FAILED")]) == [["train fox runs", "train fox ended: Failed"]]


def test_a_run_that_found_no_place_did_not_run():
    assert told([run("CANCELLED", "limit reached", run_count=0)]) == [
        ["train fox ended: Cancelled, limit reached"]
    ]


def test_a_server_that_does_not_answer_is_no_news():
    assert told(None, [run("RUNNING")]) == [[], ["train fox runs"]]
