"""What an operator has chosen: command line before environment before file (`docs/command-line.md`).

Knows names, spellings and their order; opens nothing but the TOML file. Every wrong choice is one
ConfigurationError with one sentence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from e2ee.errors import E2eeError, Failure
from e2ee.net.connect_link import ConnectLink
from e2ee.server.policy import LISTEN_BACKLOG, Policy, PolicyError, PresencePolicy, RegistrationMode
from e2ee.server.secret_source import NoSecretSource, SecretSource

Choice = str | Sequence[str]
SINGLE = (
    "state_dir", "listen", "certificate", "private_key", "database", "otp", "registration", "presence",
    "metrics", "log_format", "secret",
)  # fmt: skip
LISTS = ("host", "allow_prefix")
DEFAULTS: Mapping[str, Choice] = {
    "state_dir": "e2ee-state",
    "listen": "tcp:8443",
    "otp": "console",
    "registration": "open",
    "presence": "contacts",
    "log_format": "text",
    "host": (),
    "allow_prefix": (),
}
LOG_FORMATS = ("text", "json")
DATABASE_FILE = "server.sqlite3"
LARGEST_PORT = 65_535
PORT_DIGITS = 5
_NOT_YET = "is not available yet"


class ConfigurationError(E2eeError, ValueError):
    """Something is configured that cannot be; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All choices, checked as far as they can be without opening anything. Paths are absolute."""

    state_dir: Path
    listen: str
    hosts: tuple[str, ...]
    certificate: Path | None
    private_key: Path | None
    database: Path
    otp: str
    metrics: str | None
    log_format: str
    policy: Policy
    secret: SecretSource | None = None
    """None: the file in the state directory."""


def environment_name(option: str) -> str:
    """The environment's name of an option."""
    return "E2EE_STATE_DIR" if option == "state_dir" else f"E2EE_SERVER_{option.upper()}"


def configure(given: Mapping[str, Choice], environment: Mapping[str, str]) -> Configuration:
    """Put the three sources together; `given` is the command line. Raises ConfigurationError."""
    config = given.get("config") or environment.get(environment_name("config"))
    file = _read_file(Path(str(config))) if config else {}
    limits = file.pop("limits", {})
    choices = {**DEFAULTS, **_from_file(file), **_from_environment(environment)}
    choices.update((name, value) for name, value in given.items() if name != "config" and value)
    if not isinstance(limits, dict):
        raise ConfigurationError("[limits] in the configuration file is a table")
    try:
        policy = _policy(choices).with_limits(limits)
    except PolicyError as error:
        raise ConfigurationError(f"in [limits]: {error}") from None
    return _checked(choices, policy)


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the configuration file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"the configuration file {path} is not TOML: {error}") from None


def _from_file(file: Mapping[str, object]) -> dict[str, Choice]:
    choices: dict[str, Choice] = {}
    for name, value in file.items():
        if name in SINGLE and isinstance(value, str):
            choices[name] = value
        elif name in LISTS and isinstance(value, list) and all(isinstance(one, str) for one in value):
            choices[name] = tuple(value)
        elif name in SINGLE or name in LISTS:
            kind = "a list of texts" if name in LISTS else "a text"
            raise ConfigurationError(f"{name} in the configuration file is {kind}")
        else:
            raise ConfigurationError(f"the configuration file names {name!r}, which is no option")
    return choices


def _from_environment(environment: Mapping[str, str]) -> dict[str, Choice]:
    choices: dict[str, Choice] = {}
    for name in (*SINGLE, *LISTS):
        value = environment.get(environment_name(name))
        if value:
            choices[name] = tuple(value.split()) if name in LISTS else value
    return choices


def _policy(choices: Mapping[str, Choice]) -> Policy:
    registration, presence = str(choices["registration"]), str(choices["presence"])
    try:
        mode = RegistrationMode(registration)
    except ValueError:
        raise ConfigurationError("registration is open, invite or closed") from None
    try:
        allowed_presence = PresencePolicy(presence)
    except ValueError:
        raise ConfigurationError("presence is everyone, contacts or nobody") from None
    prefixes = tuple(dict.fromkeys(_prefix(each) for each in choices["allow_prefix"]))
    return replace(Policy(), registration=mode, presence=allowed_presence, allowed_prefixes=prefixes)


def _prefix(text: str) -> str:
    """The beginning of numbers in their one form; a national one would let nobody in."""
    if not re.fullmatch(r"\+[1-9][0-9]{0,14}", text, re.ASCII):
        raise ConfigurationError(
            f"allow-prefix {text!a} is not the beginning of an international number, such as +44"
        )
    return text


def _checked(choices: Mapping[str, Choice], policy: Policy) -> Configuration:
    certificate, private_key = _path(choices, "certificate"), _path(choices, "private_key")
    if (certificate is None) is not (private_key is None):
        raise ConfigurationError("certificate and private key are given together or not at all")
    state_dir = Path(str(choices["state_dir"])).absolute()
    return Configuration(
        state_dir=state_dir,
        listen=_listen(str(choices["listen"])),
        hosts=tuple(dict.fromkeys(_host(host) for host in choices["host"])),
        certificate=certificate,
        private_key=private_key,
        database=_database(choices, state_dir),
        otp=str(choices["otp"]),
        metrics=_metrics(choices),
        log_format=_log_format(str(choices["log_format"])),
        policy=policy,
        secret=_secret(choices),
    )


def _path(choices: Mapping[str, Choice], name: str) -> Path | None:
    value = choices.get(name)
    return Path(str(value)).absolute() if value else None


def _listen(listen: str, name: str = "listen") -> str:
    if listen.partition(":")[0] in ("ssl", "tls"):
        added = ": TLS is always added" if name == "listen" else ""
        raise ConfigurationError(f"{name} is an endpoint without TLS, such as tcp:8443{added}")
    port = re.match(r"tcp6?:(?:port=)?(-?[0-9]+)(?::|\Z)", listen, re.ASCII)
    if port and (len(port.group(1)) > PORT_DIGITS or not 0 <= int(port.group(1)) <= LARGEST_PORT):
        raise ConfigurationError(f"{name} names a port between 0 and {LARGEST_PORT}")
    return listen


def _metrics(choices: Mapping[str, Choice]) -> str | None:
    value = choices.get("metrics")
    return _listen(str(value), "metrics") if value else None


def _secret(choices: Mapping[str, Choice]) -> SecretSource | None:
    value = choices.get("secret")
    try:
        return SecretSource.parse(str(value)) if value else None
    except NoSecretSource as error:
        raise ConfigurationError(str(error)) from None


def _log_format(name: str) -> str:
    if name not in LOG_FORMATS:
        raise ConfigurationError(f"log_format is {' or '.join(LOG_FORMATS)}")
    return name


def with_backlog(listen: str) -> str:
    """The endpoint with room for LISTEN_BACKLOG connections, unless it says how many or is no `tcp:`."""
    if listen.startswith(("tcp:", "tcp6:", "haproxy:tcp:", "haproxy:tcp6:")) and ":backlog=" not in listen:
        return f"{listen}:backlog={LISTEN_BACKLOG}"
    return listen


def _host(host: str) -> str:
    """A name or address as it stands in connect links."""
    try:
        return ConnectLink(host.lower(), 1, (bytes(32),)).host
    except Failure:
        raise ConfigurationError(f"{host!a} is not the name or the address of a host") from None


def _database(choices: Mapping[str, Choice], state_dir: Path) -> Path:
    url = choices.get("database")
    if not url:
        return state_dir / DATABASE_FILE
    kind, _, path = str(url).partition(":")
    if kind in ("postgresql", "postgres"):
        raise ConfigurationError(f"a PostgreSQL database {_NOT_YET}")
    if kind != "sqlite" or not path:
        # The rest of a URL may hold a password: it is not repeated.
        raise ConfigurationError("database is sqlite:PATH")
    return Path(path).absolute()
