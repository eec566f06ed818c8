"""A clone of the project's work tree, with the environment and DVC's cache of the original."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Test", "EMAIL": "test@example.com"}.items()
}


def of(root: Path, clone: Path) -> Path:
    """Make a repository of what ``root`` has in git, as it is now, and return it.

    Its stages are restored from the original's DVC cache where that has them.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, clone / name)
    (clone / ".venv").symlink_to(root / ".venv")
    os.utime(clone / "requirements.lock", (0, 0))  # so that make takes the environment as it is
    (clone / ".dvc/config.local").write_text(f"[cache]\n    dir = {root / '.dvc/cache'}\n")
    call(clone, "git", "init", "--quiet")
    call(clone, "git", "add", ".")
    call(clone, "git", "commit", "--quiet", "--message", "start")
    return clone


def call(folder: Path, *command: str) -> None:
    """Run a command that has to end well."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | IDENTITY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
