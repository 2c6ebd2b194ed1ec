"""Which scope a call needs; a path not listed here needs `admin`, so a new route is closed until someone decides.

Called by   services/gateway/access.py; documentation.py, which writes it into the OpenAPI file
In          the method and the path without its version prefix
"""

from shared.contracts.access import Scope

PROBES = frozenset({"/livez", "/readyz"})
METRICS = "/metrics"

_LISTS = ("/recommend", "/recommend/batch", "/popular", "/trending", "/new", "/explain")
_EXACT: dict[tuple[str, str], Scope] = {
    **{(method, path): Scope.RECOMMEND for path in _LISTS for method in ("GET", "POST")},
    ("POST", "/events"): Scope.INGEST,
    ("POST", "/users"): Scope.INGEST,
    ("POST", "/users/merge"): Scope.INGEST,
    ("POST", "/items"): Scope.CATALOG,
}
_BELOW = {"/similar/": Scope.RECOMMEND, "/items/": Scope.CATALOG, "/users/": Scope.PRIVACY}


def scope_of(method: str, path: str) -> Scope:
    """Return the scope that a key must have."""
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact
    return next((scope for start, scope in _BELOW.items() if path.startswith(start)), Scope.ADMIN)
