"""docs/tutorial.md, command by command, as its reader runs it."""

import csv
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import toy_clone

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/tutorial.md").read_text()
PATIENCE = 600
"""Seconds until the retraining has to have ended; 150 are usual."""


def commands(page: str) -> list[str]:
    """Return the page's command lines, in order."""
    return [line.strip() for line in re.findall(r"^    \S.*$", page, re.MULTILINE)]


class Terminal:
    """A shell in the clone that keeps what it was told to export, as a person's does."""

    def __init__(self, clone: Path) -> None:
        self._clone = clone
        self._kept: list[str] = []

    def run(self, command: str) -> str:
        """Return what a command prints; it has to end well."""
        if command.startswith(("source ", "export ")):
            self._kept.append(command)
        script = "\n".join(["set -euo pipefail", *self._kept, command])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._clone,
            env=os.environ | toy_clone.IDENTITY,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def background(self, command: str, ready: str) -> Iterator[str]:
        """Run a command beside the block; yield its output up to the line that has ``ready``."""
        log = self._clone / "serve.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._clone,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C reaches all of it
            )
        try:
            end = time.monotonic() + 180
            while ready not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.5)
            yield log.read_text()
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    clone = toy_clone.of(ROOT, tmp_path / "digitline")
    terminal, port = Terminal(clone), toy_clone.free_port()
    page = [line.replace("4200", str(port)) for line in commands(PAGE)]
    serve = page.index("make serve")
    for command in page[:serve]:
        terminal.run(command)
    scores = rows(clone / "scores.csv")
    assert len(scores) == 40
    assert {row["status"] for row in scores} <= {"answered", "to a person"}

    with terminal.background(f"make serve PORT={port}", f":{port}/api"):
        after = page.index("python -m flows history")
        for command in page[serve + 1 : after]:
            terminal.run(command)
        _check_batches(clone)
        assert len(rows(clone / "corrected.csv")) == 20
        _wait(terminal, "python -m flows show", "v0.0.2")
        _wait(terminal, page[after + 1], "nothing would run now")
        assert "v0.0.2" in terminal.run(page[after])
        for command in page[after + 2 :]:
            terminal.run(command)
    assert "data/feedback" in terminal.run("git show --stat HEAD")


def _check_batches(clone: Path) -> None:
    said = {
        name: json.loads((clone / f"reports/monitoring/{name}/report.json").read_text())
        for name in ("morning", "noon")
    }
    assert not said["morning"]["alarm"], said["morning"]
    assert said["noon"]["alarm"], said["noon"]
    assert "input shift" in said["noon"]["kinds"]


def _wait(terminal: Terminal, command: str, words: str) -> None:
    """Wait until a command says so: the training goes on by itself."""
    end = time.monotonic() + PATIENCE
    while words not in (said := terminal.run(command)):
        assert time.monotonic() < end, f"{command}\n{said}"
        time.sleep(3)


def test_the_page_tells_no_command_that_is_not_there() -> None:
    from flows.__main__ import _parser

    own = [line for line in commands(PAGE) if line.startswith("python -m flows ")]
    assert len(own) > 5
    for line in own:
        assert _parser().parse_args(line.split()[3:]).command, line
