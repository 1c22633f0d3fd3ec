"""The SQL stores keep the contract."""

from __future__ import annotations

from tests.store.contract import accounts, census, files, invites, limits, mailbox, passcodes, prekeys
from tests.store.server.sql import OnDatabase


class SqlAccountsTests(OnDatabase, accounts.AccountsContract):
    """Accounts."""


class SqlCensusTests(OnDatabase, census.CensusContract):
    """The operator's look at everybody."""


class SqlPreKeysTests(OnDatabase, prekeys.PreKeysContract):
    """Prekeys."""


class SqlMailboxTests(OnDatabase, mailbox.MailboxContract):
    """Mailboxes."""


class SqlFilesTests(OnDatabase, files.FilesContract):
    """Files."""


class SqlLimitsTests(OnDatabase, limits.LimitsContract):
    """Limits."""


class SqlInvitesTests(OnDatabase, invites.InvitesContract):
    """Invites."""


class SqlPasscodesTests(OnDatabase, passcodes.PasscodesContract):
    """Passcodes."""
