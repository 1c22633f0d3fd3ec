"""Safety numbers, certificates and authorities → records for people or objects for scripts. Pure.

Knows the client's values, not where they are printed; all else that is printed stands in `render`.
"""

from __future__ import annotations

from e2ee.client.events import SafetyNumber, TrustChange
from e2ee.client.identification.certificate_values import OwnIdentity, TrustedAuthority
from e2ee.ids import Address
from e2ee.ui.render import JsonObject
from e2ee.ui.times import rfc3339

# --- safety numbers ---------------------------------------------------------------------------


def digit_groups(digits: str) -> str:
    """A safety number in groups of five."""
    return " ".join(digits[start : start + 5] for start in range(0, len(digits), 5))


def safety_number_records(number: SafetyNumber) -> list[str]:
    """The digits, whether they have been compared, and what a certificate says."""
    records = [digit_groups(number.digits), "verified" if number.verified else "not verified"]
    if number.verified_by is not None:
        return [*records, f"verified by {number.verified_by}"]
    return records if number.refusal is None else [*records, f"certificate not accepted: {number.refusal}"]


def safety_number_object(number: SafetyNumber) -> JsonObject:
    """The digits in one piece."""
    return {
        "type": "safety_number",
        "address": str(number.address),
        "digits": number.digits,
        "verified": number.verified,
        "verified_by": number.verified_by,
        "certificate_error": number.refusal,
    }


def trust_records(change: TrustChange) -> list[str]:
    """Both safety numbers, or that there was nothing to accept."""
    if change.new_digits is None:
        return ["nothing to accept"]
    old = digit_groups(change.old_digits) if change.old_digits else "none"
    return [f"old: {old}", f"new: {digit_groups(change.new_digits)}"]


def trust_object(address: Address, change: TrustChange) -> JsonObject:
    """The same for scripts; both are null if there was nothing to accept."""
    return {"type": "trust", "address": str(address), "old": change.old_digits, "new": change.new_digits}


# --- certificates -----------------------------------------------------------------------------


def identity_records(identity: OwnIdentity | None) -> list[str]:
    """Whom the own certificate names, who has issued it, and until when it is valid."""
    if identity is None:
        return ["no certificate"]
    records = [
        f"subject: {identity.subject}",
        f"issuer: {identity.issuer}",
        f"serial: {identity.serial}",
        f"valid until: {_day(identity.not_after)}",
    ]
    return records if identity.refusal is None else [*records, f"proves nothing: {identity.refusal}"]


def identity_object(identity: OwnIdentity | None) -> JsonObject:
    """The same for scripts; null where there is none."""
    if identity is None:
        return {"type": "identity", "attached": False}
    return {
        "type": "identity",
        "attached": True,
        "subject": identity.subject,
        "issuer": identity.issuer,
        "serial": identity.serial,
        "not_before": rfc3339(identity.not_before),
        "not_after": rfc3339(identity.not_after),
        "error": identity.refusal,
    }


def authority_record(one: TrustedAuthority) -> str:
    """`FINGERPRINT NAME (until when)`."""
    lists = "no revocation list"
    if one.revocations_until is not None:
        lists = f"revocation list until {_day(one.revocations_until)}"
    return f"{one.fingerprint.hex()} {one.name} (valid until {_day(one.not_after)}, {lists})"


def authority_object(one: TrustedAuthority) -> JsonObject:
    """The same for scripts."""
    until = one.revocations_until
    return {
        "type": "authority",
        "name": one.name,
        "fingerprint": one.fingerprint.hex(),
        "not_after": rfc3339(one.not_after),
        "revocations_until": None if until is None else rfc3339(until),
    }


def _day(time: int) -> str:
    return rfc3339(time)[:10]
