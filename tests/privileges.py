"""What a user may do who is not root: tests often run as root, for whom no file is read-only."""

from __future__ import annotations

import os
from pathlib import Path

OBEY_PERMISSIONS = """
import ctypes, os, sys
if os.geteuid() == 0 and sys.platform == "linux":
    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("process", ctypes.c_int)]
    class Capabilities(ctypes.Structure):
        _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]
    system, header, held = ctypes.CDLL(None, use_errno=True), Header(0x20080522, 0), (Capabilities * 2)()
    assert system.capget(ctypes.byref(header), held) == 0, os.strerror(ctypes.get_errno())
    for name in ("effective", "permitted", "inheritable"):
        setattr(held[0], name, getattr(held[0], name) & ~0b10)  # CAP_DAC_OVERRIDE
    assert system.capset(ctypes.byref(header), held) == 0, os.strerror(ctypes.get_errno())
"""
"""For a script in a process of its own: from here on file permissions bind it, root or not.

Another user id would do, too, but could not read this package and its Python where these are root's.
"""


def make_read_only(folder: Path) -> None:
    """Take the permission to write a folder, and all in it, from everybody."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def make_writeable(folder: Path) -> None:
    """Give it back, so that the folder can be removed."""
    for root, _, _ in os.walk(folder):
        Path(root).chmod(0o755)
