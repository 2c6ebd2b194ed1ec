"""What the feature service measures beside its requests.

Called by   main.py (makes it), routes.py and parity.py (count)
"""

from collections.abc import Callable

from shared.service.metrics import ServiceMetrics


class FeatureMetrics:
    """Feature's figures; names start with `aisle_`."""

    def __init__(self, service: ServiceMetrics, catalogue_items: Callable[[], int]) -> None:
        self.states_read = service.counter("states_read_total", "States read, by where they came from", ("origin",))
        self.parity_checks = service.counter(
            "feature_parity_checks_total", "Online states compared with Postgres: equal or different", ("result",)
        )
        for result in ("equal", "different"):
            self.parity_checks.labels(result)
        items = service.gauge("catalogue_items", "Items of the live catalogue, the deleted among them")
        items.set_function(catalogue_items)
