"""What says that a store is away, whichever store it is.

Called by   the use cases and routes of this service
Out         exceptions that mean "later", as opposed to a request or an entry that is wrong
"""

from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS

STORES_DOWN: tuple[type[Exception], ...] = (*STORAGE_DOWN_ERRORS, *STORE_ERRORS)
