"""What only a GPU can show: the kernels, the captured graphs, and the ranking service with AISLE_DEVICE=cuda.

Run     python -m pytest tests/gpu on a machine with an NVIDIA GPU, torch and Triton; skipped by name elsewhere
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploy.local.ports import free_port
from services.ranking.catalogue_snapshot import CatalogueSnapshot
from services.ranking.last_served import LastServed
from shared.models.bundle import write_bundle
from shared.models.encoder import EncoderConfig, SequenceEncoder
from shared.models.gpu.sequence_engine import SequenceEngine
from shared.models.gpu.top_items import GROUP, TopItems
from shared.models.tensors import History
from tests.tiny_shop import tiny_items
from tests.tiny_transformer import with_transformer
from tests.unit.ranking.requests import Did, request

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no NVIDIA GPU here")

REQUESTS = [request(*(Did(f"wine-fine-{n}", 2 + n) for n in range(1 + place % 5))) for place in range(24)]
NOWHERE = "127.0.0.1:1"


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize(("num_items", "dim", "batch"), [(5 * GROUP + 7, 48, 1), (300_000, 64, 40), (90, 16, 200)])
@pytest.mark.parametrize("allowed_share", [1.0, 0.3])
def test_the_kernels_find_what_plain_torch_finds(num_items: int, dim: int, batch: int, allowed_share: float) -> None:
    table_VD, state_BD = drawn(num_items, dim), torch.from_numpy(drawn(batch, dim, seed=1))
    allowed_V = torch.from_numpy(np.random.default_rng(2).random(num_items) < allowed_share)
    items = TopItems.of(table_VD, "cuda")
    assert items.with_triton
    _, here_BK = TopItems.of(table_VD, "cpu").search(state_BD, 100, allowed_V)
    code_BK, there_BK = items.search(state_BD.cuda(), 100, allowed_V.cuda())
    torch.testing.assert_close(there_BK.cpu(), here_BK, rtol=0, atol=2e-3)
    found = torch.isfinite(there_BK).cpu()
    assert allowed_V[code_BK.cpu()[found]].all()


def test_captured_graphs_answer_as_the_cpu_does() -> None:
    torch.manual_seed(0)
    encoder, table_VD = SequenceEncoder(EncoderConfig(dim=32, max_length=20)).eval(), drawn(5000, 32)
    random = np.random.default_rng(1)
    histories = [
        History(
            random.integers(0, 5000, length).astype(np.int32),
            np.full(length, 6, np.int8),
            np.arange(length, dtype=np.int64) * 3_600_000,
            length * 3_600_000,
        )
        for length in (1, 5, 30, 2, 20)
    ]
    here = SequenceEngine(encoder, table_VD, 20, "cpu", sizes=(1, 4))(histories)
    there = SequenceEngine(encoder, table_VD, 20, "cuda", sizes=(1, 4))(histories)
    for one, other in zip(here, there, strict=True):
        assert np.corrcoef(one.state_D, other.state_D)[0, 1] > 0.999  # bfloat16 has three digits
        assert len(set(one.code_K[:50].tolist()) & set(other.code_K.tolist())) >= 48


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what makes a ranking home that needs no store: catalogue and model version as it last knew them."""
    store = tmp_path_factory.mktemp("bundles")
    version = write_bundle(with_transformer(), store / "new")
    (store / "new").rename(store / version)

    def made(name: str) -> Path:
        home = tmp_path_factory.mktemp(name)
        (home / "bundles").symlink_to(store)
        LastServed(home / "ranking" / "last_served.json").write(version)
        CatalogueSnapshot(home / "ranking" / "catalogue.jsonl").write(tiny_items())
        (home / "ranking" / "rules.json").write_text('{"version":"","rules":[],"scenarios":[]}')
        return home

    return made


@pytest.fixture(scope="module")
def services(homes: Callable[[str], Path]) -> Iterator[dict[str, str]]:
    """Return the addresses of one ranking service on the CPU and one on the GPU."""
    urls = {device: f"http://127.0.0.1:{free_port()}" for device in ("cpu", "cuda")}
    started = []
    for device, url in urls.items():
        settings = {
            "AISLE_HOME": str(homes(device)),
            "AISLE_DEVICE": device,
            "AISLE_RANKING_URL": url,
            "AISLE_DATABASE_URL": f"postgresql+psycopg2://nobody@{NOWHERE}/nothing",
            "AISLE_REDIS_STREAM_URL": f"redis://{NOWHERE}/0",
        }
        started.append(subprocess.Popen([sys.executable, "-m", "services.ranking.main"], env=os.environ | settings))
    try:
        for url in urls.values():
            wait_until_ready(url)
        yield urls
    finally:
        for process in started:
            process.terminate()
        assert [process.wait(20) for process in started] == [0, 0]


def wait_until_ready(url: str) -> None:
    deadline_s = time.monotonic() + 90
    while time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} was not ready in time")


def ranked(url: str, body: bytes) -> Any:
    asked = urllib.request.Request(f"{url}/rank", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as response:
        return json.loads(response.read())


def test_the_service_answers_concurrent_requests_on_the_gpu_as_on_the_cpu(services: dict[str, str]) -> None:
    bodies = [one.model_dump_json(by_alias=True).encode() for one in REQUESTS]
    with ThreadPoolExecutor(8) as pool:
        here, there = (list(pool.map(lambda body, url=url: ranked(url, body), bodies)) for url in services.values())
    for one, other in zip(here, there, strict=True):
        assert one["model"] == other["model"]
        one_ids, other_ids = ([item["item_id"] for item in reply["items"]] for reply in (one, other))
        assert len(set(one_ids) & set(other_ids)) >= 0.8 * len(one_ids)
        scores = [[item["score"] for item in reply["items"]] for reply in (one, other)]
        np.testing.assert_allclose(*scores, atol=0.05)
