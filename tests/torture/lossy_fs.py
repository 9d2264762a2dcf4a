"""A file system that loses what was not synced when its process ends, as a power cut does.

``python -m tests.torture.lossy_fs DISK MOUNT`` shows DISK at MOUNT until it is killed. The bytes
written to a file stay in its memory; fsync and fdatasync put them on DISK. Names (create, rename,
remove) are on DISK at once, as on a journaling file system that orders them: the proof is about
the content of files.

It implements the kernel's FUSE protocol (linux/fuse.h) itself, so that it needs root and /dev/fuse
and no installation.
"""

import contextlib
import ctypes
import errno
import os
import signal
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ops.embedded.processes import die_with_parent

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_ATTRIBUTES = struct.Struct("<6Q10I")
_SETATTR = struct.Struct("<2I6Q8I")
_IO = struct.Struct("<2Q2IQ2I")
_WRITE_MAX = 1 << 17
_REQUEST_MAX = _WRITE_MAX + (1 << 12)
_BLOCK = 512
_ROOT = 1
_VERSION = (7, 31)
_BIG_WRITES = 1 << 5
_SET_MODE, _SET_OWNER, _SET_GROUP, _SET_SIZE = 1, 2, 4, 8
_DETACH = 2


@dataclass
class _Content:
    """The content of a file; from offset ``synced`` on it is not on the disk yet."""

    data: bytearray
    synced: int


class LossyDisk:
    """Answers the kernel's requests for one directory."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._paths = {_ROOT: ""}
        self._numbers = {"": _ROOT}
        self._contents: dict[int, _Content] = {}
        #: By the kernel's operation number; any other is answered ENOSYS.
        self._operations: dict[int, Callable[[int, bytes], bytes]] = {
            1: self._look_up,
            3: lambda node, _: self._attributes(node),
            4: self._set_attributes,
            9: self._make_directory,
            10: self._unlink,
            11: self._remove_directory,
            12: lambda node, body: self._rename(node, body, skip=8),
            14: self._open,
            15: self._read,
            16: self._write,
            17: lambda _, __: self._statistics(),
            18: lambda _, __: b"",  # release
            20: self._sync,
            25: lambda _, __: b"",  # flush, at each close: it promises nothing
            26: self._initialise,
            27: lambda _, __: bytes(16),  # opendir
            28: self._read_directory,
            29: lambda _, __: b"",  # releasedir
            30: lambda _, __: b"",  # fsyncdir: names are on the disk already
            35: self._create,
            45: lambda node, body: self._rename(node, body, skip=16),
        }

    def serve(self, device: int) -> NoReturn:
        """Answer until the directory is unmounted or this process is killed."""
        while True:
            request = os.read(device, _REQUEST_MAX)
            _, operation, unique, node, *_ = _IN.unpack_from(request)
            if operation in (2, 36, 42):
                continue  # forget, interrupt: no answer is wanted
            try:
                answer, status = self._answer(operation, node, request[_IN.size :]), 0
            except OSError as problem:
                answer, status = b"", -(problem.errno or errno.EIO)
            with contextlib.suppress(FileNotFoundError):  # the calling process was killed
                os.write(device, _OUT.pack(_OUT.size + len(answer), status, unique) + answer)

    def _answer(self, operation: int, node: int, body: bytes) -> bytes:
        if operation not in self._operations:
            raise OSError(errno.ENOSYS, "not implemented")
        return self._operations[operation](node, body)

    # --- names ---

    def _path(self, node: int) -> Path:
        return self._disk / self._paths[node]

    def _child(self, node: int, name: bytes) -> str:
        return os.path.join(self._paths[node], os.fsdecode(name.split(b"\0")[0]))

    def _look_up(self, node: int, body: bytes) -> bytes:
        return self._entry(self._child(node, body))

    def _entry(self, path: str) -> bytes:
        (self._disk / path).lstat()
        number = self._numbers.setdefault(path, max(self._paths) + 1)
        self._paths[number] = path
        # No cache time: the kernel asks this process again.
        return struct.pack("<4Q2I", number, 0, 0, 0, 0, 0) + self._packed(number)

    def _make_directory(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body[8:])
        (self._disk / path).mkdir(mode=struct.unpack_from("<I", body)[0])
        self._take_over(path)
        return self._entry(path)

    def _create(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body[16:])
        mode = struct.unpack_from("<4I", body)[1]
        os.close(os.open(self._disk / path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        self._take_over(path)
        entry = self._entry(path)
        self._content(self._numbers[path])
        return entry + bytes(16)

    def _take_over(self, path: str) -> None:
        # The owner of the disk's directory is the only user: there is one server.
        owner = self._disk.stat()
        os.chown(self._disk / path, owner.st_uid, owner.st_gid)

    def _unlink(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body)
        (self._disk / path).unlink()
        # Open descriptors keep using the number; the name is free.
        self._numbers.pop(path, None)
        return b""

    def _remove_directory(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body)
        (self._disk / path).rmdir()
        self._numbers.pop(path, None)
        return b""

    def _rename(self, node: int, body: bytes, *, skip: int) -> bytes:
        old_name, new_name, _ = body[skip:].split(b"\0", 2)
        old = self._child(node, old_name)
        new = self._child(struct.unpack_from("<Q", body)[0], new_name)
        (self._disk / old).rename(self._disk / new)
        self._numbers.pop(new, None)
        for path in [path for path in self._numbers if path == old or path.startswith(f"{old}/")]:
            number = self._numbers.pop(path)
            moved = new + path[len(old) :]
            self._numbers[moved], self._paths[number] = number, moved
        return b""

    def _read_directory(self, node: int, body: bytes) -> bytes:
        _, offset, size, *_ = _IO.unpack_from(body)
        listed = b""
        for at, name in enumerate([".", "..", *sorted(os.listdir(self._path(node)))]):
            encoded = os.fsencode(name)
            entry = struct.pack("<2Q2I", at + 2, at + 1, len(encoded), 0) + encoded
            entry += bytes(-len(entry) % 8)
            if at >= offset and len(listed) + len(entry) <= size:
                listed += entry
            elif at >= offset:
                break
        return listed

    # --- contents ---

    def _content(self, node: int) -> _Content:
        if node not in self._contents:
            data = bytearray(self._path(node).read_bytes())
            self._contents[node] = _Content(data, len(data))
        return self._contents[node]

    def _open(self, node: int, _: bytes) -> bytes:
        # Loaded now: a later removal or replacement of the name does not change this file.
        self._content(node)
        return bytes(16)

    def _read(self, node: int, body: bytes) -> bytes:
        _, offset, size, *_ = _IO.unpack_from(body)
        return bytes(self._content(node).data[offset : offset + size])

    def _write(self, node: int, body: bytes) -> bytes:
        _, offset, size, *_ = _IO.unpack_from(body)
        content = self._content(node)
        content.data.extend(bytes(max(0, offset - len(content.data))))
        content.data[offset : offset + size] = body[_IO.size : _IO.size + size]
        content.synced = min(content.synced, offset)
        return struct.pack("<2I", size, 0)

    def _resize(self, node: int, size: int) -> None:
        content = self._content(node)
        content.synced = min(content.synced, size, len(content.data))
        del content.data[size:]
        content.data.extend(bytes(size - len(content.data)))

    def _sync(self, node: int, _: bytes) -> bytes:
        content = self._content(node)
        if self._numbers.get(self._paths[node]) == node:
            # Not truncated on open: the power may be cut here too.
            with self._path(node).open("r+b", buffering=0) as file:
                file.seek(content.synced)
                file.write(content.data[content.synced :])
                file.truncate(len(content.data))
        content.synced = len(content.data)
        return b""

    # --- attributes ---

    def _attributes(self, node: int) -> bytes:
        return struct.pack("<Q2I", 0, 0, 0) + self._packed(node)

    def _packed(self, node: int) -> bytes:
        if self._numbers.get(self._paths[node]) == node:
            of = self._path(node).lstat()
            mode, links, owner, group = of.st_mode, of.st_nlink, of.st_uid, of.st_gid
            size, changed_s = of.st_size, int(of.st_mtime)
        else:
            root = self._disk.stat()
            mode, links, owner, group = stat.S_IFREG | 0o600, 0, root.st_uid, root.st_gid
            size, changed_s = 0, 0
        if node in self._contents:
            size = len(self._contents[node].data)
        blocks = -(-size // _BLOCK)
        return _ATTRIBUTES.pack(
            node, size, blocks, changed_s, changed_s, changed_s, 0, 0, 0,
            mode, links, owner, group, 0, 4096, 0,
        )  # fmt: skip

    def _set_attributes(self, node: int, body: bytes) -> bytes:
        which, _, _, size, _, _, _, _, _, _, _, mode, _, owner, group, _ = _SETATTR.unpack_from(
            body
        )
        path = self._path(node)
        if which & _SET_MODE:
            path.chmod(stat.S_IMODE(mode))
        if which & (_SET_OWNER | _SET_GROUP):
            os.chown(
                path,
                owner if which & _SET_OWNER else -1,
                group if which & _SET_GROUP else -1,
            )
        if which & _SET_SIZE:
            self._resize(node, size)
        return self._attributes(node)

    def _statistics(self) -> bytes:
        of = os.statvfs(self._disk)
        return struct.pack(
            "<5Q4I24x", of.f_blocks, of.f_bfree, of.f_bavail, of.f_files, of.f_ffree,
            of.f_bsize, of.f_namemax, of.f_frsize, 0,
        )  # fmt: skip

    def _initialise(self, _: int, body: bytes) -> bytes:
        read_ahead = struct.unpack_from("<4I", body)[2]
        return struct.pack(
            "<4I2H2I2H8I", *_VERSION, read_ahead, _BIG_WRITES, 16, 12, _WRITE_MAX, 1, 0, 0, *[0] * 8
        )


def mount(disk: Path, at: Path) -> NoReturn:
    """Show ``disk`` at ``at`` until this process is killed. Raises OSError if it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    if libc.mount(b"lossy", os.fsencode(at), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(at))
    LossyDisk(disk).serve(device)


def unmount(at: Path) -> None:
    """Unmount what is mounted at ``at``, in use or not; harmless when nothing is."""
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(at), _DETACH)


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    mount(Path(sys.argv[1]), Path(sys.argv[2]))
