"""What ends a backup, a verification or a restore.

Called by   the other files of this folder
"""


class BackupError(Exception):
    """It was not done; the message says why, and holds no password."""
