"""Write rules/*.yml from slos.py, causes.py and business.py: `python -m deploy.prometheus.build`.

Called by   hand, after a change; a test compares the files with what this would write
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from deploy.prometheus.business import business_groups
from deploy.prometheus.causes import alert_groups
from deploy.prometheus.slos import promise_groups

FOLDER = Path(__file__).parent / "rules"
HEADER = "# Written by `python -m deploy.prometheus.build`; change the definitions there.\n"


class _Dumper(yaml.SafeDumper):
    """Keeps line breaks of expressions as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def rule_files() -> dict[str, str]:
    """Return the text of each file by its name."""
    groups: dict[str, list[dict[str, Any]]] = {
        "slo": promise_groups(),
        **alert_groups(),
        "business": business_groups(),
    }
    return {f"{name}.yml": HEADER + as_yaml({"groups": found}) for name, found in groups.items()}


def as_yaml(document: Any) -> str:
    """Return a document as YAML, keys in their order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


def main() -> int:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in rule_files().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
