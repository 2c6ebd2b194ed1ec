from pathlib import Path

import pytest

from tests.unit.gateway.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Return a gateway that has not started."""
    return Rig(tmp_path)
