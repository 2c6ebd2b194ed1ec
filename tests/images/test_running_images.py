"""Built images run as the manifests run them: read-only, without root and capabilities; they answer and stop cleanly.

Skipped by name where podman or the image is missing: `make images` builds them.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import yaml

from tests.images.engine import built, podman
from tests.manifests.cluster import Cluster, container_of, pod_of

STARTS_WITHIN_S = 60.0
MEGABYTE = 1_000_000
CONFINED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host", "--tmpfs=/tmp")


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _answers(port: int, path: str) -> bool:
    ends_s = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends_s:
        if _status(port, path) == 200:
            return True
        time.sleep(0.2)
    return False


@contextmanager
def _running(image: str, **settings: str) -> Iterator[str]:
    name = f"aisle-test-{uuid4().hex[:8]}"
    given = [f"--env={key}={value}" for key, value in settings.items()]
    podman("run", "--detach", f"--name={name}", *CONFINED, "--tmpfs=/var/lib/aisle", *given, image)
    try:
        yield name
    finally:
        podman("rm", "--force", "--time=5", name, check=False)


def _holds(name: str, module: str) -> bool:
    program = f"import importlib.util as u; print(u.find_spec({module!r}) is not None)"
    return podman("exec", name, "python", "-c", program).strip() == "True"


def test_the_gateway_answers_holds_neither_torch_nor_sql_is_not_root_and_stops_cleanly(
    unused_port: Callable[[], int],
) -> None:
    image, port = built("gateway"), unused_port()
    with _running(image, AISLE_API_KEYS="k", AISLE_GATEWAY_URL=f"http://127.0.0.1:{port}", AISLE_DRAIN_S="0") as name:
        assert _answers(port, "/livez")
        assert not any(_holds(name, module) for module in ("torch", "sqlalchemy", "psycopg2", "pip"))
        assert podman("exec", name, "id", "-u").strip() == "10001"
        assert "Read-only file system" in podman("exec", name, "sh", "-c", "touch /app/x 2>&1; true")
        podman("stop", "--time=20", name)
        assert json.loads(podman("inspect", name))[0]["State"]["ExitCode"] == 0


def test_the_gateway_image_is_at_most_250_mb() -> None:
    size_bytes = json.loads(podman("image", "inspect", built("gateway")))[0]["Size"]
    assert size_bytes <= 250 * MEGABYTE


def test_a_gateway_without_keys_says_so_in_one_line_and_does_not_start() -> None:
    output = podman(
        "run", "--rm", *CONFINED, built("gateway"), "sh", "-c", "python -m services.gateway.main 2>&1; echo $?"
    )
    assert "AISLE_API_KEYS" in output
    assert output.splitlines()[-1] == "2"


def test_feature_answers_without_torch_and_its_image_migrates_the_database(
    unused_port: Callable[[], int], database_url: str, stream_url: str, cache_url: str
) -> None:
    image, port = built("feature"), unused_port()
    stores = {
        "AISLE_DATABASE_URL": database_url,
        "AISLE_REDIS_STREAM_URL": stream_url,
        "AISLE_REDIS_CACHE_URL": cache_url,
    }
    podman(
        "run", "--rm", *CONFINED, f"--env=AISLE_DATABASE_URL={database_url}", image, "python", "-m", "deploy.migrations"
    )
    own = {"AISLE_FEATURE_URL": f"http://127.0.0.1:{port}", "AISLE_INTERNAL_TOKEN": "t"}
    with _running(image, **stores, **own) as name:
        assert _answers(port, "/livez")
        assert _answers(port, "/readyz")
        assert not _holds(name, "torch")


def test_ranking_answers_without_torch_and_cuda(
    unused_port: Callable[[], int], database_url: str, stream_url: str
) -> None:
    image, port = built("ranking"), unused_port()
    stores = {"AISLE_DATABASE_URL": database_url, "AISLE_REDIS_STREAM_URL": stream_url}
    with _running(image, **stores, AISLE_RANKING_URL=f"http://127.0.0.1:{port}", AISLE_INTERNAL_TOKEN="t") as name:
        assert _answers(port, "/livez")
        assert not any(_holds(name, module) for module in ("torch", "nvidia"))


def test_training_has_the_aisle_command(unused_port: Callable[[], int]) -> None:
    output = podman("run", "--rm", *CONFINED, "--tmpfs=/var/lib/aisle", built("training"), "aisle", "--help")
    assert "import" in output
    assert "train" in output


def test_podman_plays_the_gateway_pod_of_the_dev_overlay_with_its_settings(
    unused_port: Callable[[], int], tmp_path: Path
) -> None:
    built("gateway")
    cluster, port = Cluster.of("dev"), unused_port()
    gateway = cluster.get("Deployment", "gateway")
    (settings,) = (each for each in cluster.kind("ConfigMap") if each["metadata"]["name"].startswith("aisle-settings"))
    # On the host's network, and the key as a value: podman's versions differ in what they take for a secret.
    settings["data"] |= {"AISLE_GATEWAY_URL": f"http://127.0.0.1:{port}", "AISLE_ADMIN_PORT": str(unused_port())}
    gateway["spec"]["replicas"] = 1
    gateway["metadata"]["name"] = f"aisle-test-{uuid4().hex[:8]}"
    pod_of(gateway)["hostNetwork"] = True
    del container_of(gateway)["ports"]
    container_of(gateway)["env"] = [{"name": "AISLE_API_KEYS", "value": "k"}]
    played = tmp_path / "gateway.yaml"
    played.write_text(yaml.safe_dump_all([settings, gateway]))
    podman("play", "kube", str(played))
    try:
        assert _answers(port, "/livez")
        assert _status(port, "/metrics") == 404  # AISLE_ADMIN_PORT of the ConfigMap arrived: figures are elsewhere
    finally:
        podman("play", "kube", "--down", str(played), check=False)
