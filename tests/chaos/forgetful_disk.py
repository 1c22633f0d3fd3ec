"""A disk that loses at a power cut what was not brought onto it: a file system as a pure model.

Two states of everything: what programs see, and what is on the platter. `fsync` of a file brings its content
and length there, `fsync` of a directory its names; nothing else does, and a file's name is no part of the
file. Stricter than any file system in use, as strict as POSIX allows. Modes and kinds are kept from the
beginning: no promise hangs on them.

Knows no FUSE (`forgetful_mount`). Paths are absolute within the disk; errors are OSError with an errno.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

Lot = Callable[[], bool]
"""Whether one change that was not synced has reached the platter all the same."""


def nothing_more() -> bool:
    """The lot of a disk that writes nothing before it is told to."""
    return False


@dataclass(eq=False)
class File:
    """Content with its changes since the last sync. Sockets are files without content."""

    mode: int
    content: bytearray = field(default_factory=bytearray)
    on_platter: bytes = b""
    changes: list[Callable[[bytearray], None]] = field(default_factory=list)

    def change(self, apply: Callable[[bytearray], None]) -> None:
        """Now, and perhaps on the platter."""
        apply(self.content)
        self.changes.append(apply)

    def sync(self) -> None:
        """Everything is on the platter."""
        self.on_platter = bytes(self.content)
        self.changes.clear()

    def lose(self, lot: Lot) -> None:
        """What was not synced is gone, but for what had luck: any of it, in its order."""
        content = bytearray(self.on_platter)
        for apply in self.changes:
            if lot():
                apply(content)
        self.content = content
        self.sync()


@dataclass(eq=False)
class Directory:
    """Names with their changes since the last sync."""

    mode: int
    names: dict[str, Node] = field(default_factory=dict)
    on_platter: dict[str, Node] = field(default_factory=dict)
    changes: list[tuple[str, Node | None]] = field(default_factory=list)

    def put(self, name: str, node: Node | None) -> None:
        """Give or, with None, take a name."""
        if node is None:
            del self.names[name]
        else:
            self.names[name] = node
        self.changes.append((name, node))

    def sync(self) -> None:
        """The names are on the platter; what they name is not, by that alone."""
        self.on_platter = dict(self.names)
        self.changes.clear()

    def lose(self, lot: Lot) -> None:
        """Names that were not synced are gone, but for the first few that had luck; then what is in it."""
        names = dict(self.on_platter)
        for name, node in self.changes:
            if not lot():
                break
            names.pop(name, None)
            if node is not None:
                names[name] = node
        self.names = names
        self.sync()
        for node in names.values():
            node.lose(lot)


Node = File | Directory


class ForgetfulDisk:
    """The whole tree. `dead`: the power has failed, and every operation is an I/O error until it is back."""

    def __init__(self) -> None:
        self.root = Directory(stat.S_IFDIR | 0o755)
        self.dead = False

    # --- the power ----------------------------------------------------------------------------

    def cut_power(self, lot: Lot = nothing_more) -> None:
        """From now on nothing is written and nothing is read; what was not synced is lost by `lot`."""
        self.dead = True
        self.root.lose(lot)

    def restore_power(self) -> None:
        """Back, with what is on the platter."""
        self.dead = False

    def alive(self) -> None:
        """Raise EIO if the power has failed."""
        if self.dead:
            raise OSError(errno.EIO, "the power has failed")

    # --- names --------------------------------------------------------------------------------

    def find(self, path: str) -> Node:
        """What is there; raises ENOENT, ENOTDIR, EIO."""
        self.alive()
        node: Node = self.root
        for name in _parts(path):
            if not isinstance(node, Directory):
                raise OSError(errno.ENOTDIR, path)
            if name not in node.names:
                raise OSError(errno.ENOENT, path)
            node = node.names[name]
        return node

    def directory(self, path: str) -> Directory:
        """Raises ENOENT, ENOTDIR, EIO."""
        node = self.find(path)
        if not isinstance(node, Directory):
            raise OSError(errno.ENOTDIR, path)
        return node

    def file(self, path: str) -> File:
        """Raises ENOENT, EISDIR, EIO."""
        node = self.find(path)
        if isinstance(node, Directory):
            raise OSError(errno.EISDIR, path)
        return node

    def make_file(self, path: str, mode: int) -> File:
        """A new, empty one."""
        node = File(mode)
        self._put(path, node)
        return node

    def make_directory(self, path: str, mode: int) -> None:
        """A new, empty one."""
        self._put(path, Directory(stat.S_IFDIR | mode))

    def remove(self, path: str) -> None:
        """Take away the name of a file, or of an empty directory."""
        node = self.find(path)
        if isinstance(node, Directory) and node.names:
            raise OSError(errno.ENOTEMPTY, path)
        parent, name = self._place(path)
        parent.put(name, None)

    def rename(self, old: str, new: str) -> None:
        """At once, for whoever looks; on the platter, two directories may know it at different times."""
        node = self.find(old)
        source, old_name = self._place(old)
        target, new_name = self._place(new)
        if (source, old_name) != (target, new_name):
            target.put(new_name, node)
            source.put(old_name, None)

    def _put(self, path: str, node: Node) -> None:
        parent, name = self._place(path)
        if name in parent.names:
            raise OSError(errno.EEXIST, path)
        parent.put(name, node)

    def _place(self, path: str) -> tuple[Directory, str]:
        parts = _parts(path)
        if not parts:
            raise OSError(errno.EBUSY, path)
        return self.directory("/".join(parts[:-1])), parts[-1]

    # --- content ------------------------------------------------------------------------------

    def write(self, file: File, data: bytes, offset: int) -> None:
        """Put these bytes there; a hole before them is zeros."""
        self.alive()

        def apply(content: bytearray) -> None:
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data

        file.change(apply)

    def truncate(self, file: File, length: int) -> None:
        """Cut or fill with zeros."""
        self.alive()

        def apply(content: bytearray) -> None:
            del content[length:]
            content.extend(bytes(length - len(content)))

        file.change(apply)

    def read(self, file: File, size: int, offset: int) -> bytes:
        """As programs see it now."""
        self.alive()
        return bytes(file.content[offset : offset + size])

    def sync(self, node: Node) -> None:
        """What `fsync` does."""
        self.alive()
        node.sync()


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
