"""Runs one verb on the reactor and turns its end into an exit code.

Knows signals, failures and exit codes; not what the verb does.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer

from e2ee.client.profile import harden_process, use_steady_time
from e2ee.errors import Code, E2eeError, Failure
from e2ee.ui.exit_codes import DONE, INTERRUPTED, TERMINATED
from e2ee.ui.invocation import Invocation
from e2ee.ui.options import Options
from e2ee.ui.printer import print_error, report
from e2ee.ui.streams import Interruption, OutputClosed

Main = Callable[[Invocation], Coroutine[Deferred[Any], Any, int]]


def run(options: Options, main: Main, *, long_running: bool = False) -> int:
    """Run `main` and return the exit code; its failure has been reported then.

    `long_running`: SIGTERM is the usual way to end it, and not a failure.
    """
    terminated = DONE if long_running else TERMINATED
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(terminated))
    # Imported here: the reactor costs more than all that a usage error needs.
    from twisted.internet import reactor

    use_steady_time(reactor)
    harden_process()
    _log_to_standard_error(options.verbose)
    running = _Run(reactor, options, main, terminated)
    reactor.callWhenRunning(running.begin)
    reactor.run()
    return running.outcome


class _Run:
    """One verb from its begin to its exit code."""

    def __init__(self, reactor: Any, options: Options, main: Main, terminated: int) -> None:
        self._reactor = reactor
        self._options = options
        self._main = main
        self._terminated = terminated
        self._interruption = Interruption()
        self._ending: int | None = None
        self._broken: BaseException | None = None
        self._task: Deferred[int] | None = None
        self.outcome = DONE

    def begin(self) -> None:
        """Start the verb; the reactor has installed its own signal handlers by now."""
        for number, code in (
            (signal.SIGINT, INTERRUPTED),
            (signal.SIGTERM, self._terminated),
            (signal.SIGHUP, self._terminated),
        ):
            # What the parent process has switched off, as nohup does, stays off.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal(code))
        call = Invocation(self._options, self._reactor, self._interruption, self._abort)
        self._task = Deferred.fromCoroutine(self._main(call))
        if self._ending is not None:
            self._task.cancel()
        self._task.addBoth(self._ended)

    def _on_signal(self, code: int) -> Callable[[int, object], None]:
        return lambda _number, _frame: self._reactor.callFromThread(self._end, code)

    def _end(self, code: int) -> None:
        """End the verb in good order; a second signal ends its tidying up as well."""
        if self._ending is None:
            self._ending = code
            self._interruption.trip()
        if self._task is not None:
            self._task.cancel()

    def _abort(self, reason: BaseException) -> None:
        """The vault is broken: nothing more may be believed or answered."""
        self._broken = reason
        self._end(report(Failure(Code.FAILED, f"the vault cannot be written: {reason}"), self._options.json))

    def _ended(self, result: int | TwistedFailure) -> None:
        if self._ending is not None:
            self.outcome = self._ending
        elif isinstance(result, TwistedFailure):
            self.outcome = outcome_of(result, self._options)
        else:
            self.outcome = result
        self._interruption.trip()
        self._reactor.stop()


def outcome_of(result: TwistedFailure, options: Options) -> int:
    """The exit code of a verb that raised; what went wrong is reported here."""
    error = result.value
    if error is None or isinstance(error, OutputClosed | CancelledError):
        return DONE
    if options.verbose > 1:
        print_error(result.getTraceback())
    return report(as_failure(error), options.json)


def as_failure(error: BaseException) -> Failure:
    """What a person is told about any exception; only errors raised on purpose show their text."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, E2eeError):
        return Failure(Code.FAILED, str(error))
    if isinstance(error, OSError):
        return Failure(Code.FAILED, f"the system refused: {error.strerror} {error.filename or ''}".strip())
    return Failure(Code.FAILED, f"unexpected error: {type(error).__name__} (-vv shows more)")


def _log_to_standard_error(verbose: int) -> None:
    least = (LogLevel.critical, LogLevel.info, LogLevel.debug)[min(verbose, 2)]

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) >= least:
            print_error(_logged(event, verbose))

    globalLogBeginner.beginLoggingTo([observe], discardBuffer=True, redirectStandardIO=False)


def _logged(event: LogEvent, verbose: int) -> str:
    failure = event.get("log_failure")
    if failure is None:
        return formatEvent(event)
    if verbose > 1:
        return f"{formatEvent(event)}\n{failure.getTraceback()}"
    # A stray exception's text can hold anything; its kind is enough for a report.
    return f"e2ee: unexpected error: {failure.type.__name__} (-vv shows more)"
