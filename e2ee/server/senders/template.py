"""What a gateway is sent: an operator's JSON document or form with the code filled in. Pure.

Knows placeholders and two encodings; not where the text comes from or goes to. Values are filled in
after the template was taken apart and are encoded with it, so nothing in them changes its structure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from e2ee.ids import Address
from e2ee.server.senders.interface import SenderRefused
from e2ee.server.times import rfc3339

PLACEHOLDERS = ("address", "digits", "code", "expires_at", "id")
"""The number with its +, its digits alone, the code, when it expires (RFC 3339), the idempotency key."""

_NAME = re.compile(r"\{([a-z_]+)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """A body to be filled in. `content_type` is that of the finished body."""

    content_type: str
    fields: Any = field(repr=False)

    def fill(self, values: Mapping[str, str]) -> bytes:
        """The body; `values` has every placeholder."""
        filled = _filled(self.fields, values)
        if self.content_type == "application/json":
            return json.dumps(filled).encode("ascii")
        return urlencode([pair for field in filled for pair in field.items()]).encode("ascii")


def values_for(address: Address, code: str, expires_at: int, idempotency_key: str) -> dict[str, str]:
    """What stands for each of PLACEHOLDERS; `expires_at` in milliseconds since 1970."""
    return {
        "address": str(address),
        "digits": address.removeprefix("+"),
        "code": code,
        "expires_at": rfc3339(expires_at / 1000),
        "id": idempotency_key,
    }


def json_template(text: str) -> Template:
    """From a JSON document whose texts have placeholders. Raises SenderRefused."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise SenderRefused("the template is not a JSON document") from None
    return _checked(Template("application/json", fields))


def form_template(text: str) -> Template:
    """From lines of ``name=value`` with placeholders in the values. Raises SenderRefused."""
    fields = []
    for number, line in enumerate(text.split("\n"), 1):
        name, equals, value = line.partition("=")
        if line.strip() and not (equals and name.strip()):
            raise SenderRefused(f"line {number} of the template is not name=value")
        if line.strip():
            fields.append({name.strip(): value.strip()})
    return _checked(Template("application/x-www-form-urlencoded", fields))


def _checked(template: Template) -> Template:
    used: set[str] = set()
    _collect(template.fields, used)
    unknown = sorted(used - set(PLACEHOLDERS))
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise SenderRefused(f"the template has {{{unknown[0]}}}, and there is only {known}")
    if "code" not in used or not used & {"address", "digits"}:
        raise SenderRefused("the template has {code}, and {address} or {digits}")
    return template


def _collect(value: Any, used: set[str]) -> None:
    if isinstance(value, str):
        used.update(_NAME.findall(value))
    elif isinstance(value, list):
        for each in value:
            _collect(each, used)
    elif isinstance(value, dict):
        for each in value.values():
            _collect(each, used)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _NAME.sub(lambda found: values[found.group(1)], value)
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    return value
