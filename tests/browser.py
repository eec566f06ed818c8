"""A page in headless Chromium, for the tests that look at what a person would see."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome", "chromium-headless-shell")

OPTIONS = [
    "--headless",
    "--no-sandbox",  # root in a container has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "--window-size=1400,1000",
]


class Page:
    """One tab, by the DevTools protocol; ``requests`` are the addresses that it asked for."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number, self.requests = socket, 0, list[str]()
        for domain in ("Network", "Page", "Runtime"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": arguments}))
        while True:
            message = json.loads(self._socket.recv(60))
            if message.get("method") == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message.get("method") == "Network.webSocketCreated":
                self.requests.append(message["params"]["url"])
            elif message.get("id") == self._number:
                return dict(message["result"])

    def text(self) -> str:
        """Return the text of the page as a person sees it."""
        result = self._call("Runtime.evaluate", expression="document.body.innerText")
        return str(result["result"].get("value", ""))

    def shows(self, url: str, *texts: str, patience: float = 60) -> str:
        """Open ``url``, wait until the page shows all of ``texts``, and return its text."""
        self._call("Page.navigate", url=url)
        end = time.monotonic() + patience
        while missing := [text for text in texts if text not in self.text()]:
            assert time.monotonic() < end, f"{url} does not show {missing}:\n{self.text()}"
            time.sleep(0.2)
        return self.text()

    def screenshot(self, file: Path) -> None:
        """Write what is seen to a PNG."""
        data = self._call("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))

    def outside(self, url: str) -> list[str]:
        """Return the requests that went elsewhere than to the server of ``url``."""
        host = url.partition("://")[2].partition("/")[0]
        own = (f"http://{host}/", f"ws://{host}/", "data:", "blob:")
        return [each for each in self.requests if not each.startswith(own)]


@contextmanager
def page() -> Iterator[Page]:
    """Start Chromium and yield its page; skip the test where there is none."""
    from websockets.sync.client import connect

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install --no-install-recommends chromium")
    profile = Path(tempfile.mkdtemp(prefix="chromium-"))
    command = [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with connect(_address(profile, process), max_size=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _address(profile: Path, process: "subprocess.Popen[bytes]") -> str:
    import httpx

    file, end = profile / "DevToolsActivePort", time.monotonic() + 60
    while not (file.exists() and file.read_text().count("\n")):
        words = (profile / "log").read_text(errors="replace")
        assert process.poll() is None and time.monotonic() < end, words  # noqa: PT018
        time.sleep(0.1)
    port = file.read_text().split("\n")[0]
    tabs = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
