"""On what kind of file system a folder lies: a share tells nothing of what others write to it."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|9p|afs|ceph|glusterfs|lustre|ncpfs|davfs|virtiofs|vboxsf|fuse($|\..*)"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def file_system(folder: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that a folder lies on; "" where the system does not tell.

    See proc_pid_mountinfo(5): the mount point is the fifth field, the type the first after " - ".
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    nearest, kind = 0, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(_ESCAPED.sub(lambda m: chr(int(m.group(1), 8)), before.split(" ")[4]))
        if folder.is_relative_to(point) and len(point.parts) >= nearest:
            nearest, kind = len(point.parts), after.partition(" ")[0]
    return kind


def is_network(kind: str) -> bool:
    """Whether others may write to a file system without this machine being told."""
    return _NETWORK.fullmatch(kind) is not None
