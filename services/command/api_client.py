"""A small blocking client for the command line: JSON in, JSON out.

Called by   services/command/*
Secrets     the gateway gets the first key of AISLE_API_KEYS, the other services the internal token, where they are set
Errors      ApiError with the problem document's detail when the answer is not one that was asked for
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from shared.contracts.access import TOKEN_HEADER
from shared.service.settings import Settings

TIMEOUT_S = 10.0


class ApiError(Exception):
    """An answer that the command cannot use."""


def gateway_client(settings: Settings, url: str | None = None) -> "ApiClient":
    """Return a client of the gateway."""
    keys = settings.api_key_list()
    return ApiClient((url or settings.gateway_url).rstrip("/"), {"X-API-Key": keys[0]} if keys else {})


def service_client(settings: Settings, url: str) -> "ApiClient":
    """Return a client of an internal service."""
    tokens = settings.internal_tokens()
    return ApiClient(url, {TOKEN_HEADER: tokens[0]} if tokens else {})


class ApiClient:
    """Calls one service of the platform."""

    def __init__(self, base_url: str, credentials: Mapping[str, str]) -> None:
        self._base_url = base_url
        self._credentials = credentials

    def get(self, path: str, accept: tuple[int, ...] = (200,)) -> Any:
        """Return the JSON answer of a GET."""
        return self._call(urllib.request.Request(self._base_url + path, headers=dict(self._credentials)), accept)

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON answer of a POST."""
        headers = {"Content-Type": "application/json", **self._credentials}
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
