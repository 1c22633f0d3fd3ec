"""Connections within the open files of a process."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.open_files import RESERVED_FILES, most_connections
from e2ee.server.policy import FRONT_WAITING_CONNECTIONS


class OpenFilesTests(SynchronousTestCase):
    """The soft limit counts."""

    def with_limit(self, files: int, besides: int = 0) -> int:
        self.patch(resource, "getrlimit", lambda what: (files, resource.RLIM_INFINITY))
        return most_connections(besides)

    def test_the_server_has_some_of_them_for_itself(self) -> None:
        self.assertEqual(self.with_limit(1024), 1024 - RESERVED_FILES)

    def test_those_that_do_not_count_take_theirs_from_the_others(self) -> None:
        self.assertEqual(self.with_limit(2048, FRONT_WAITING_CONNECTIONS), 2048 - 512)

    def test_where_there_are_few_it_takes_half(self) -> None:
        self.assertEqual(self.with_limit(300), 150)

    def test_without_a_limit_there_is_none(self) -> None:
        self.assertEqual(self.with_limit(resource.RLIM_INFINITY), 0)
