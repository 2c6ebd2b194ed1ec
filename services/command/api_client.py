"""A small blocking client for the command line: JSON in, JSON out.

Called by   services/command/*
Errors      ApiError with the problem document's detail when the answer is not one that was asked for
"""

import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 10.0


class ApiError(Exception):
    """An answer that the command cannot use."""


class ApiClient:
    """Calls one service of the platform."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def get(self, path: str, accept: tuple[int, ...] = (200,)) -> Any:
        """Return the JSON answer of a GET."""
        return self._call(urllib.request.Request(self._base_url + path), accept)

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON answer of a POST."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._base_url + path, json.dumps(body).encode(), headers)
        return self._call(request, (200, 202))

    def _call(self, request: urllib.request.Request, accept: tuple[int, ...]) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                status, body = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        except OSError as error:
            raise ApiError(f"{request.full_url} cannot be reached: {error}") from error
        answer = json.loads(body)
        if status not in accept:
            raise ApiError(f"{request.full_url} answered {status}: {answer.get('detail', '')}")
        return answer
