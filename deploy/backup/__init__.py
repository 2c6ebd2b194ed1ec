"""Back up an install, restore it, and prove that a backup can be restored: `python -m deploy.backup`."""
