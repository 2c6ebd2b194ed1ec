import os
from pathlib import Path

import pytest

from services.gateway.access import refuse_open_bind
from shared.service.settings import Settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A running stack leaves a file of settings in the folder the tests are started from.
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AISLE_")]:
        monkeypatch.delenv(name)


def test_defaults_fit_one_machine() -> None:
    settings = Settings.load()
    assert settings.is_loopback
    assert settings.port_of("ranking") == 8002
    assert settings.bundle_url == str(Path(".aisle").absolute() / "bundles")
    assert not settings.is_given("database_url")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AISLE_DEADLINE_MS", "soon"),
        ("AISLE_NAMESPACE", "a:b"),
        ("AISLE_TIMEZONE", "Mars/Olympus"),
        ("AISLE_DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("AISLE_REDIS_CACHE_URL", "hunter2"),
        ("AISLE_RANKING_URL", "ranking:8002"),
        ("AISLE_CACHE_TTL_S", "0"),
    ],
)
def test_a_wrong_value_is_named_and_never_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        Settings.load()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert name in said
    assert value not in said.replace("meant", "")


def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AISLE_DATABSE_URL", "x")
    with pytest.raises(SystemExit):
        Settings.load()
    assert "AISLE_DATABSE_URL: no such setting; meant AISLE_DATABASE_URL?" in capsys.readouterr().err


def test_variables_that_kubernetes_sets_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AISLE_GATEWAY_SERVICE_HOST", "AISLE_GATEWAY_PORT", "AISLE_FEATURE_PORT_8001_TCP"):
        monkeypatch.setenv(name, "10.0.0.1")
    Settings.load()


def test_passwords_stay_out_of_the_text_of_settings() -> None:
    settings = Settings(database_url="postgresql+psycopg2://a:hunter2@db/x", api_keys="hunter3")
    assert "hunter" not in repr(settings)
    assert "hunter" not in str(settings)


def test_an_open_gateway_refuses_to_bind_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        refuse_open_bind(Settings(host="0.0.0.0"))
    assert ended.value.code == 2
    assert "AISLE_API_KEYS" in capsys.readouterr().err
    refuse_open_bind(Settings(host="0.0.0.0", api_keys="a-key"))
    refuse_open_bind(Settings(host="127.0.0.1"))
