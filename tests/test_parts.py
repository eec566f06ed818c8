"""Pieces of a file: what stays when their writer dies, and that two writers collide."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.io.parts import InUseError, Parts

JOB = {"input": "a"}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.bin"


def add(parts: Parts, *contents: bytes) -> None:
    for content in contents:
        parts.add(lambda file, content=content: file.write(content), {"size": len(content)})


def begun(output: Path, *contents: bytes) -> Path:
    """Leave pieces behind, as a run that was killed; return their folder."""
    with Parts(output) as parts:
        parts.begin(JOB)
        add(parts, *contents)
    return parts.folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def joined(parts: Parts) -> bytes:
    return b"".join(path.read_bytes() for path in parts.pieces())


def test_pieces_of_the_same_job_are_kept_with_their_notes(output):
    begun(output, b"one", b"three")
    with Parts(output) as parts:
        assert parts.begin(JOB) is None
        assert [note["size"] for note in parts.notes] == [3, 5]
        add(parts, b"!")
        assert joined(parts) == b"onethree!"


def test_pieces_of_another_job_are_removed_and_that_job_is_returned(output):
    begun(output, b"one")
    with Parts(output) as parts:
        assert parts.begin({"input": "b"}) == JOB
        assert parts.notes == []
        assert not list(parts.folder.glob("0*"))


@pytest.mark.parametrize("fault", ["no note", "no piece", "half a piece", "half a note"])
def test_a_piece_that_is_not_whole_does_not_count_and_none_after_it(output, fault):
    folder = begun(output, b"one", b"two", b"three")
    note, piece = folder / "00001.json", folder / "00001"
    if fault.startswith("no "):
        (note if fault == "no note" else piece).unlink()
    elif fault == "half a piece":
        piece.write_bytes(b"tw")
    else:
        note.write_text('{"size": ')
    with Parts(output) as parts:
        parts.begin(JOB)
        assert joined(parts) == b"one"
        add(parts, b"2", b"3")
        assert joined(parts) == b"one23"


def test_the_output_appears_whole_and_the_folder_goes(output):
    with Parts(output) as parts:
        parts.begin(JOB)
        add(parts, b"a", b"b")
        assert not output.exists()
        parts.finish(lambda file: file.write(joined(parts)))
    assert output.read_bytes() == b"ab"
    assert names(output.parent) == ["out.bin"]


def test_what_fails_while_it_is_joined_leaves_the_pieces_and_the_old_output(output):
    output.write_bytes(b"old")

    def fail(file: object) -> None:
        raise RuntimeError("disk full")

    begun(output, b"new")
    with Parts(output) as parts:
        parts.begin(JOB)
        with pytest.raises(RuntimeError, match="disk full"):
            parts.finish(fail)
    assert output.read_bytes() == b"old"
    with Parts(output) as parts:
        parts.begin(JOB)
        assert joined(parts) == b"new"


def test_nothing_is_left_where_nothing_was_written(output):
    with Parts(output) as parts:
        parts.begin(JOB)
    assert not parts.folder.exists()


def test_who_looks_without_beginning_leaves_the_pieces(output):
    folder = begun(output, b"one")
    with Parts(output):
        pass
    assert (folder / "00000").read_bytes() == b"one"


def test_a_second_writer_is_told_of_the_first(output):
    with Parts(output) as first:
        first.begin(JOB)
        with pytest.raises(InUseError) as caught, Parts(output):
            pass
        add(first, b"untouched")
    assert str(caught.value).startswith(
        f"{output}: expected to be alone in writing it; process {os.getpid()} (since "
    )
    assert str(caught.value).endswith(") does so. Wait for its end, or name another output")


def test_a_writer_that_was_killed_keeps_nobody_out(output):
    code = (
        "import os, sys; from pathlib import Path; from tasks.io.parts import Parts\n"
        "parts = Parts(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(output)], check=False)
    assert done.returncode == -9
    assert (output.parent / ".out.bin.parts/lock").is_file()
    with Parts(output) as parts:
        parts.begin(JOB)


def test_whoever_comes_while_another_leaves_gets_a_folder_of_its_own(output):
    rounds, start = 15, threading.Barrier(3)

    def write(number: int) -> int:
        alone = 0
        for _ in range(rounds):
            start.wait(10)
            try:
                with Parts(output) as parts:
                    parts.begin({"input": number})
                    add(parts, b"%d" % number)
                    alone += joined(parts) == b"%d" % number
                    parts.finish(lambda file: file.write(joined(parts)))
            except InUseError:
                pass
        return alone

    with ThreadPoolExecutor(3) as pool:
        written = sum(pool.map(write, range(3)))
    assert rounds <= written <= 3 * rounds
    assert names(output.parent) == ["out.bin"]
