"""What ``serve`` serves: of which clone, on which port, by which processes."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from flows import execute, processes, settings
from tasks.io.stage import StageError

HOST = "127.0.0.1"

TAIL = 5
"""Lines of a log that an error shows."""


@dataclass(frozen=True)
class Served:
    """One clone on one port; its files stand where Git and DVC both ignore them."""

    root: Path
    port: int

    @property
    def url(self) -> str:
        """Return the address of Prefect's pages."""
        return f"http://{HOST}:{self.port}"

    @property
    def api(self) -> str:
        """Return what PREFECT_API_URL is to be."""
        return f"{self.url}/api"

    def log(self, part: str) -> Path:
        """Return the file that gets the output of a part."""
        return folder(self.root) / f"{part}.log"

    def start(self, part: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``prefect`` with ``arguments`` as a part; its output is added to its log."""
        with self.log(part).open("ab") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
                cwd=self.root,
                env=environment(self) | processes.environment(self.root, part),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C does not reach it
            )

    def put_logs_aside(self, parts: list[str]) -> None:
        """Keep the logs of the last time beside those that begin now."""
        for log in map(self.log, parts):
            if log.exists():
                log.replace(log.with_suffix(".old.log"))

    def words(self, part: str) -> str:
        """Return the end of a part's log, below the path of the whole."""
        log = self.log(part)
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        last = [f"  {line.rstrip()}" for line in lines if line.strip()][-TAIL:]
        return "\n".join([f"its words: {log}", *last])


def folder(root: Path) -> Path:
    """Return where the database and the logs are."""
    return execute.folder(root) / "serve"


def environment(served: Served) -> dict[str, str]:
    """Return the variables of every part, which flow runs and stages inherit.

    Of the user's own for Prefect only those of its logging are kept: another server or its
    database must not be met by way of a variable. Other settings: ``[tool.prefect]`` in
    pyproject.toml.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") or name.startswith("PREFECT_LOGGING_")
    }
    here = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {
        **settings.ENVIRONMENT,
        **kept,
        **_without_proxy(kept),
        "PATH": here,  # `python` is the interpreter that serves
        "PYTHONUNBUFFERED": "1",
        "PREFECT_HOME": str(folder(served.root) / "prefect"),
        "PREFECT_API_URL": served.api,
        # By default a page of any host, open in the browser, might talk to this server.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{served.url},http://localhost:{served.port}",
        "PREFECT_WORKER_QUERY_SECONDS": "5",  # as often as the scheduler looks
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # its second UI asks Amplitude for settings
    }


def _without_proxy(variables: dict[str, str]) -> dict[str, str]:
    # A proxy would be asked for 127.0.0.1 as well. Either spelling counts, somewhere.
    names = ("NO_PROXY", "no_proxy")
    known = next((variables[name] for name in names if variables.get(name)), "")
    return dict.fromkeys(names, ",".join(filter(None, [known, HOST])))


def check_port(port: int) -> None:
    """Make sure that a server can listen on ``port``.

    Raises
    ------
    StageError
        If it cannot, and who has the port, where that can be known.
    """
    if not 0 <= port <= 65535:
        raise StageError(f"expected a port from 0 to 65535; got {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StageError(
                f"expected port {port} of {HOST} to be free; {_holder(port) or error.strerror}. "
                "End that, or choose another: python -m flows serve --port NUMBER"
            ) from None


def _holder(port: int) -> str:
    import psutil

    try:
        listening = [
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
        ]
        command = " ".join(psutil.Process(listening[0]).cmdline()) if listening else ""
    except psutil.Error:  # not ours to look at
        return ""
    return f"process {listening[0]} has it ({command})" if command else ""
