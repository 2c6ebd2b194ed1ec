"""What a workload starts is in the image it names."""

import importlib.util
import re

import pytest

from tests.manifests.cluster import OVERLAYS, ROOT, STORES, Cluster, container_of, name_of


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_module_that_a_pod_runs_is_copied_into_its_image(overlay: str) -> None:
    for workload in Cluster.of(overlay).workloads():
        if name_of(workload) in STORES:
            continue
        container = container_of(workload)
        service = re.search(r"aisle/(\w+)", container["image"])[1]  # type: ignore[index]
        dockerfile = (ROOT / "deploy" / "docker" / service / "Dockerfile").read_text()
        module = container.get("command", ["python", "-m", f"services.{service}.main"])[-1]
        found = importlib.util.find_spec(module)
        assert found is not None, module
        copied = re.findall(r"^COPY (\S+) /app/", dockerfile, re.MULTILINE)
        path = module.replace(".", "/")
        assert any(path.startswith(folder) for folder in copied), f"{module} is not in the image of {service}"
