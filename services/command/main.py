"""The `aisle` command.

Called by   the console script `aisle`, and `python -m services.command.main`
Add one     write services/command/<name>_command.py with `register(app)`, and name it in COMMANDS
Quick       command modules import nothing heavy at their top, so that `aisle --help` answers at once: pandas, torch,
            SQLAlchemy and Rich tables are imported inside the functions that need them
"""

import typer

from services.command import (
    batch_command,
    compress_command,
    demo_command,
    import_command,
    keys_command,
    metrics_command,
    rollback_command,
    rules_command,
    scenarios_command,
    simulate_command,
    stack_command,
    train_command,
)

COMMANDS = (
    stack_command,
    import_command,
    train_command,
    compress_command,
    batch_command,
    rollback_command,
    metrics_command,
    rules_command,
    scenarios_command,
    simulate_command,
    keys_command,
    demo_command,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would print the password in a database URL.
    pretty_exceptions_show_locals=False,
    help="Aisle: recommendations for an online shop.",
)

for _command in COMMANDS:
    _command.register(app)

if __name__ == "__main__":
    app()
