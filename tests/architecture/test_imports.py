"""The shape of the code base: who may import whom, and that importing does nothing."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_import_rules_hold() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout[-4000:]


def test_gateway_process_holds_neither_sql_nor_models() -> None:
    heavy = ["sqlalchemy", "psycopg2", "torch", "onnxruntime", "scipy", "pandas", "sklearn"]
    code = (
        "import sys, services.gateway.main, services.gateway.routes; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_ranking_process_does_not_load_torch() -> None:
    code = "import sys, services.ranking.main; print('torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"


def test_importing_every_service_starts_no_thread_and_opens_no_socket() -> None:
    code = (
        "import threading, os, services.gateway.main, services.feature.main; "
        "import services.ranking.main, services.training.main; "
        "sockets = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') "
        "if os.path.lexists(f'/proc/self/fd/{fd}')]; "
        "print(threading.active_count(), sum(name.startswith('socket:') for name in sockets))"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["1", "0"]
