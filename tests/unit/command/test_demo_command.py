"""The demo's steps, where their order matters."""

from pathlib import Path

import pytest

from deploy.local.addresses import TOKEN_SETTING, write_addresses
from services.command import demo_command
from services.command.api_client import ApiClient
from shared.service.settings import Settings


class EnoughError(Exception):
    """What was to be seen has been seen."""


def test_a_first_demo_calls_the_services_with_the_token_that_its_own_start_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AISLE_HOME", str(tmp_path))
    tokens: list[str] = []

    def start(_title: str, *_arguments: str) -> None:
        write_addresses(tmp_path, {TOKEN_SETTING: "made-by-the-first-start"})

    def client(settings: Settings, _url: str) -> ApiClient:
        tokens.extend(settings.internal_tokens())
        raise EnoughError

    monkeypatch.setattr(demo_command, "run_step", start)
    monkeypatch.setattr(demo_command, "service_client", client)
    with pytest.raises(EnoughError):
        demo_command.run_demo()
    assert tokens == ["made-by-the-first-start"]
