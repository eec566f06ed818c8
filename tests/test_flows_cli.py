"""``python -m flows`` as a person meets it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_pipeline

from flows import server, settings
from flows.__main__ import main
from flows.graph import open_repo
from tasks.io.stage import StageError

ROOT = Path(__file__).parent.parent

# Raised inside DVC by a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    folder = toy_pipeline.make(tmp_path / "toy", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return folder


def flows(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments], capture_output=True, text=True, check=False
    )


def seconds(*command):
    """Return the shortest of three runs: what else the machine does only adds."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return min(times)


def test_help_answers_within_half_a_second_of_pythons_own_start():
    assert seconds("-m", "flows", "--help") - seconds("-c", "pass") < 0.5


def test_help_loads_no_heavy_library():
    code = "import sys, flows.__main__; print(*sorted(m for m in sys.modules if '.' not in m))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"prefect", "dvc", "numpy", "pydantic", "rich"} & {*out.stdout.split()}


def test_an_unknown_profile_is_one_line_and_status_1(toy, capsys):
    assert main(["train", "--profile", "fast"]) == 1
    assert capsys.readouterr().err == (
        "error: params.yaml: profiles must have 'fast', as asked for; it has default, quick\n"
    )


def test_a_section_that_belongs_to_no_stage_is_refused_before_anything_starts(toy, capsys):
    (toy / "params.yaml").write_text(toy_pipeline.PARAMS + "trian: {epochs: 3}\n")
    assert main(["train"]) == 1
    line = "error: params.yaml: trian is not a known key; remove it or correct its name\n"
    assert capsys.readouterr().err == line
    assert not (toy / ".dvc/tmp/digitline").exists()


def test_with_nothing_to_do_and_no_server_none_is_started(toy):
    open_repo().reproduce()
    done = flows("train")
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 stages: 8 Cached" in done.stdout
    assert not (toy / ".dvc/tmp/digitline").exists()


def test_a_server_that_does_not_start_is_told_with_the_place_of_its_words(tmp_path, monkeypatch):
    monkeypatch.setattr(
        server, "_command", lambda port: [sys.executable, "-c", "raise SystemExit(3)"]
    )
    monkeypatch.setattr(server.atexit, "register", lambda *_: None)
    monkeypatch.setenv("PREFECT_API_URL", "")
    wait = server.start(tmp_path / "server.log")
    with pytest.raises(StageError) as error:
        wait()
    assert str(error.value) == (
        f"Prefect's own server ended with 3; expected it to start; its words: {tmp_path}/server.log"
    )


@pytest.mark.parametrize(
    ("environment", "content", "expected"),
    [
        ({"PREFECT_API_URL": "http://localhost:4200/api"}, None, True),
        ({"PREFECT_API_URL": ""}, None, False),
        ({}, None, False),
        ({}, 'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://here/api"\n', True),
        ({}, 'active = "mine"\n[profiles.mine]\n', False),
        ({"PREFECT_PROFILE": "other"}, 'active = "mine"\n[profiles.mine]\n', False),
    ],
)
def test_a_server_of_the_users_is_known_from_what_prefect_reads(
    tmp_path, monkeypatch, environment, content, expected
):
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"PREFECT_HOME": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    if content:
        (tmp_path / "profiles.toml").write_text(content)
    assert settings.has_server() is expected
