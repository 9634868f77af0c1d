"""Takes from this process what a parser needs none of: memory, time, files, network, programs."""

import ctypes
import os
import platform
import resource
import struct
import sys

MEMORY_BYTES = 2 * 2**30

_NICE = 5  # documents yield to conversations
_OPEN_FILES = 64

# linux/seccomp.h, linux/filter.h and linux/audit.h
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER_MODE = 22, 38, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | 1  # the call fails with EPERM
_NUMBER, _MACHINE = 0, 4  # offsets into struct seccomp_data
_X32 = 0x40000000

# socket, connect, execve, kill, ptrace, process_vm_readv, process_vm_writev, execveat,
# io_uring_setup
_CALLS = {
    "x86_64": (0xC000003E, (41, 42, 59, 62, 101, 310, 311, 322, 425)),
    "aarch64": (0xC00000B7, (198, 203, 221, 129, 117, 270, 271, 281, 425)),
}


def confine() -> None:
    """Limit memory, files and priority; on Linux give up network and other programs for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes are not files
    os.nice(_NICE)
    if sys.platform == "linux":  # elsewhere the limit is not kept or counts shared memory
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        _deny_calls()


def allow_seconds(seconds: float) -> None:
    """End the process once it has computed for so long from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _deny_calls() -> None:
    """Install a seccomp filter (Documentation/userspace-api/seccomp_filter.rst), where known."""
    if platform.machine() not in _CALLS:
        return
    machine, numbers = _CALLS[platform.machine()]
    steps = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _DENY)]
    steps += [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, len(numbers) + 1, 0, _X32)]
    steps += [(_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    code = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # A kernel without seccomp refuses; the other limits stand all the same.
    libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.create_string_buffer(head), 0, 0)
