"""The verbs of `e2ee-admin` that keep a server alive: `backup`, `check`, `rotate-certificate`.

Knows the command line and the file that a backup becomes; the server makes the copy.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

from e2ee.server.admin_client import FAILED, LONG_SECONDS, USAGE, ask, fail
from e2ee.server.admin_requests import Examine, MakeBackup, RotateCertificate

PEM_BYTES = 8 * 1024


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def backup(state_dir: Path, file: Path, as_json: bool) -> None:
    """Copy the database to FILE while the server runs; FILE must not exist.

    FILE is encrypted: it opens with server.secret alone, so keep that at another place. What else has
    to be kept is printed. How to put it back: docs/operations/backup.md.

    \b
    Example:
      e2ee-admin backup "/backup/e2ee-$(date +%F).sqlite3"
    """
    if file.exists():
        fail(f"{file} exists: a backup replaces no file", "usage", USAGE, as_json)
    if not file.absolute().parent.is_dir():
        fail(f"there is no directory {file.absolute().parent}", "usage", USAGE, as_json)
    answer = ask(state_dir, MakeBackup(), as_json, LONG_SECONDS)
    try:
        _take_away(state_dir / str(answer.pop("name")), file)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", "failed", FAILED, as_json)
    answer["file"] = str(file)
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(f"backup {file} {answer['bytes']} bytes")
    for kept in answer["keep"]:
        click.echo(f"keep as well, at another place: {kept}", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def check(state_dir: Path, as_json: bool) -> None:
    """Look at what could hurt: database, disk, files, certificate, passcodes, backups.

    Exit code 1 if something should be done soon; advice alone is 0.

    \b
    Example:
      e2ee-admin check || mail -s "e2ee" ops@example.org < /dev/null
    """
    findings: list[dict[str, Any]] = ask(state_dir, Examine(), as_json, LONG_SECONDS)["findings"]
    for finding in findings:
        line = f"{finding['level'] + ':':9}{finding['name']}: {finding['message']}"
        click.echo(json.dumps(finding) if as_json else line)
    if any(finding["level"] in ("warning", "error") for finding in findings):
        raise SystemExit(FAILED)


@click.command("rotate-certificate")
@click.option(
    "--backup-key", type=click.Path(path_type=Path),
    help="The backup key, if it is not in the state directory.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Although not everybody has connected since the last rotation.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def rotate_certificate(state_dir: Path, backup_key: Path | None, force: bool, as_json: bool) -> None:
    """Go over to the backup key, and make a new one. Clients that have the old link follow by themselves.

    With a certificate of a CA, first have one issued for the backup key and put it into place. See
    docs/operations/certificates.md.

    \b
    Examples:
      e2ee-admin rotate-certificate
      e2ee-admin rotate-certificate --backup-key /media/safe/backup-key.pem
    """
    pem = None if backup_key is None else _read_key(backup_key, as_json)
    answer = ask(state_dir, RotateCertificate(pem, force), as_json)
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(answer["connect_link"])
    click.echo(f"move the new backup key to a safe place: {answer['backup_key']}", err=True)


def _read_key(path: Path, as_json: bool) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(PEM_BYTES + 1)
        text = content.decode("ascii")
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}", "usage", USAGE, as_json)
    except UnicodeDecodeError:
        fail(f"{path} is not a key in PEM form", "usage", USAGE, as_json)
    if len(content) > PEM_BYTES:
        fail(f"{path} is not a key in PEM form", "usage", USAGE, as_json)
    return text


def _take_away(copy: Path, file: Path) -> None:
    """Move the copy to where it belongs: whole or not at all, also on another disk, never over a file."""
    try:
        os.link(copy, file)
    except FileExistsError:
        raise
    except OSError:
        _carry(copy, file)
    finally:
        copy.unlink(missing_ok=True)


def _carry(copy: Path, file: Path) -> None:
    """To another file system, which knows no link of ours."""
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as target:
            with copy.open("rb") as source:
                shutil.copyfileobj(source, target, 1024 * 1024)
            target.flush()
            os.fsync(target.fileno())
        part.rename(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
