"""What decides a simulated shop, in one frozen object: the same configuration is the same shop and the same log.

Called by   services/command/simulate_command.py, benchmarks, tests
Errors      SimulationConfigError naming the first setting that cannot be simulated
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY_MS = 86_400_000
MAX_SEEN_CELLS = 1_000_000_000
"""shoppers x items: one byte each is kept for how often who was shown what"""


class SimulationConfigError(ValueError):
    """A shop that cannot be simulated."""


@dataclass(frozen=True)
class SimulationConfig:
    """One simulated shop; the defaults give about a million impressions."""

    seed: int = 7
    num_users: int = 3000
    num_items: int = 1000
    days: int = 56
    sessions_per_user: float = 26.0
    """mean over all days"""
    list_length: int = 10
    starts_at: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    """the first day; hours and weekdays are those of UTC"""

    def __post_init__(self) -> None:
        problems = {
            "num_users must be at least 1": self.num_users < 1,
            "list_length must be between 1 and 50": not 1 <= self.list_length <= 50,
            "num_items must be at least 50 and five times the length of a list": (
                self.num_items < max(50, 5 * self.list_length)
            ),
            "num_users x num_items must not be above a thousand million": (
                self.num_users * self.num_items > MAX_SEEN_CELLS
            ),
            "days must be between 1 and 730": not 1 <= self.days <= 730,
            "sessions_per_user must be above 0 and at most 10 a day": (
                not 0 < self.sessions_per_user <= 10 * self.days
            ),
            "starts_at must have a time zone": self.starts_at.tzinfo is None,
        }
        for problem, found in problems.items():
            if found:
                raise SimulationConfigError(problem)

    @property
    def start_ms(self) -> int:
        """The first millisecond."""
        return int(self.starts_at.timestamp() * 1000)

    @property
    def name(self) -> str:
        """Return what its identifiers begin with: another seed or start is another log."""
        return f"sim{self.seed}-{self.starts_at:%Y%m%d}"

    def ending_at(self, moment: datetime) -> "SimulationConfig":
        """Return the shop whose last day is the day before `moment`."""
        midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return SimulationConfig(**values | {"starts_at": midnight - timedelta(days=self.days)})
