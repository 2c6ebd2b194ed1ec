"""The page on security names tests that exist, for every one of the ten risks."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 30
    missing = [
        (path, test)
        for path, test in named
        if not (ROOT / path).is_file() or (test and f"def {test}(" not in (ROOT / path).read_text())
    ]
    assert missing == []


def test_each_of_the_ten_risks_names_what_is_done_and_a_test_that_proves_it() -> None:
    rows = re.findall(r"^\| (API\d+) [^|]+\| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [name for name, _, _ in rows] == [f"API{number}" for number in range(1, 11)]
    assert all("::test_" in proof for _, _, proof in rows)
