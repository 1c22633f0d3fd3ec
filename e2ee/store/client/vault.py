"""The vault: the client's one encrypted database, on one connection.

Knows where its file is and that it gets a raw key; what is in it, its neighbours know.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime

from e2ee.store.client.traces import rewrite_secrets
from e2ee.store.database import Database
from e2ee.store.lanes import Lanes

Vault: TypeAlias = Database
"""`await vault.write(operation)` and `read`, each with one transaction; `await vault.close()`."""


async def open_vault(
    path: Path,
    key: bytes,
    reactor: IReactorTime,
    on_broken: Callable[[BaseException], None],
    *,
    lanes: Lanes | None = None,
) -> Vault:
    """Open or make the vault at `path` with its key of 32 bytes.

    One connection, so that what a transaction deletes is gone from every page at its commit.
    Raises StoreLocked for a wrong key, StoreUnavailable without room. `on_broken` and `lanes` as for
    `Database.open`.
    """
    return await Database.open(
        path,
        key,
        "client",
        reactor,
        on_broken,
        single_connection=True,
        tidy=rewrite_secrets,
        lanes=lanes,
    )
