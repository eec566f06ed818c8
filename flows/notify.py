"""Tell people of an alarm: through a notification block of Prefect's, or to a webhook."""

import json
import os
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tasks.io.stage import StageError

TIMEOUT = 10.0
"""Seconds until a webhook that does not answer is given up."""

BLOCK, VARIABLE = "block:", "env:"


def notify(target: str, subject: str, text: str, content: Mapping[str, Any]) -> str:
    """Send ``text`` to ``target``, which is `monitor.notify` of params.yaml; return to whom.

    ``block:<type>/<name>`` is a notification block of the Prefect server, which gets the text
    under the subject. Everything else is a URL, or ``env:NAME`` of the variable that holds one:
    it gets a POST of JSON with ``subject``, ``text`` and ``content``. A URL is never told in
    full: what lets one write to a channel is often part of it.

    Raises
    ------
    StageError
        If it was not delivered, and why.
    """
    if target.startswith(BLOCK):
        return _by_block(target.removeprefix(BLOCK), subject, text)
    url = _url(target)
    whom = urlsplit(url).hostname or ""
    body = json.dumps({"subject": subject, "text": f"{subject}\n{text}", **content})
    headers = {"Content-Type": "application/json", "User-Agent": "digitline"}
    try:
        request = Request(url, body.encode(), headers, method="POST")
        with build_opener(_NoRedirect()).open(request, timeout=TIMEOUT):
            return whom
    except HTTPError as error:
        error.close()
        said = str(error.code)
    except (OSError, HTTPException, ValueError) as error:
        said = _plain(error.reason if isinstance(error, URLError) else error)
    raise StageError(f"monitor.notify: {whom} took no message: {said}")


class _NoRedirect(HTTPRedirectHandler):
    """Refuses redirects: a POST would become a GET, and count as delivered."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _plain(error: object) -> str:
    # An error's own words may hold the address.
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "timed out" if isinstance(error, TimeoutError) else type(error).__name__


def _url(target: str) -> str:
    name = target.removeprefix(VARIABLE)
    if name != target and not os.environ.get(name):
        raise StageError(f"monitor.notify: expected a URL in the variable {name}; it is not set")
    url = target if name == target else os.environ[name].strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        _refuse(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        _refuse(target)
    return url


def _refuse(target: str) -> NoReturn:
    # What stands there may be a secret all the same, only mistyped.
    where = target if target.startswith(VARIABLE) else "params.yaml"
    raise StageError(
        f"monitor.notify: expected http(s)://…, env:NAME of a variable that holds such an address, "
        f"or block:<type>/<name>; what stands in {where} is none of these"
    )


def _by_block(name: str, subject: str, text: str) -> str:
    from flows import settings

    if not settings.has_server():
        raise StageError(
            f"monitor.notify: block {name} is kept by a Prefect server; expected PREFECT_API_URL "
            "to name it (make serve)"
        )
    from prefect.blocks.core import Block

    try:
        block: Any = Block.load(name)
        with block.raise_on_failure():  # by default it is silent
            block.notify(text, subject)
    except Exception as error:  # whatever the block's service raises: a message, no more
        words = str(getattr(error, "log", error)).strip().partition("\n")[0]
        # A block's error may tell its address.
        said = type(error).__name__ if "://" in words or not words else words
        raise StageError(f"monitor.notify: block {name} took no message: {said}") from None
    return f"block {name}"
