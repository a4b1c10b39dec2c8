"""System calls that a worker and its descendants are refused, as a seccomp filter. Linux on x86-64 and arm64.

What files a worker reaches is decided elsewhere; this closes what is no file: network, other processes, the kernel's
rarer doors. It also keeps all descendants in the worker's process group, so that one signal ends or stops them all.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SPEC_ALLOW = 1 << 2  # SECCOMP_FILTER_FLAG_SPEC_ALLOW: kernels before 5.16 slow down whoever has a filter without it
SET_MODE_FILTER = 1
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000  # what a filter returns
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # instructions of classic BPF
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in seccomp_data
X32 = 0x40000000  # the third set of numbers on x86-64
NAMESPACES = 0x7E020000  # CLONE_NEW*
KINDS_OF_SOCKET = 0xF  # the rest of the number are flags


@dataclass(frozen=True, slots=True)
class Machine:
    """What the kernel calls an architecture, and in which column of the table its numbers are."""

    name: int
    column: int


@dataclass(frozen=True, slots=True)
class Only:
    """A system call that is refused unless argument & mask == value."""

    call: str
    argument: int
    mask: int
    value: int


MACHINES = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}
WORD = 0xFFFFFFFF

# The network, and every local service that listens on a socket. The judge's own socket is there already.
NETWORK = "socket connect bind listen accept accept4"
# Other processes of the same user: their memory, their speed. Signals and /proc are closed by Landlock or a namespace.
OTHERS = (
    "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd pidfd_send_signal kcmp migrate_pages "
    "move_pages sched_setscheduler sched_setparam sched_setattr setpriority ioprio_set setsid setpgid"
)
# What outlives a process, or holds memory that is counted nowhere.
HIDDEN = "shmget semget msgget mq_open fallocate"
# Permissions and attributes of files: Landlock does not look at them.
ATTRIBUTES = (
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat setxattr lsetxattr "
    "fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr"
)
KERNEL = (
    "kexec_load kexec_file_load mount umount2 pivot_root move_mount open_tree fsopen fsmount fsconfig fspick "
    "mount_setattr unshare setns bpf perf_event_open add_key request_key keyctl userfaultfd open_by_handle_at "
    "fanotify_init inotify_add_watch"
)
# Programs that know these have another way where the kernel does not. The flags of clone3 cannot be seen from here.
UNKNOWN = "io_uring_setup io_uring_enter io_uring_register memfd_create memfd_secret pidfd_open clone3"

LIMITED = (
    Only("socketpair", 0, WORD, socket.AF_UNIX),
    Only("socketpair", 1, KINDS_OF_SOCKET, socket.SOCK_STREAM),  # others can be pointed at an address while they send
    Only("clone", 0, NAMESPACES, 0),
    Only("sched_setaffinity", 0, WORD, 0),  # of the calling thread
    Only("prlimit64", 0, WORD, 0),  # of the calling process
)

# CUDA's start-up listens on a local socket, and ends with error 304 where it may not. Nobody can be reached by one:
# connecting is refused, and so are the kinds of socket that can send without it.
CUDA = ("socket", "bind", "listen")
LOCAL = (Only("socket", 0, WORD, socket.AF_UNIX), Only("socket", 1, 0b10, 0))  # stream and seqpacket

# Numbers on x86-64 and arm64; None where a call does not exist.
NUMBERS: Mapping[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "kcmp": (312, 272), "migrate_pages": (256, 238),
    "move_pages": (279, 239), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "sched_setaffinity": (203, 122), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "prlimit64": (302, 261), "setsid": (112, 157), "setpgid": (109, 154), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "fallocate": (285, 47), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None),
    "utimes": (235, None), "utimensat": (280, 88), "futimesat": (261, None), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466), "file_setattr": (469, 469),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsmount": (432, 432), "fsconfig": (431, 431), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268), "clone": (56, 220), "clone3": (435, 435), "bpf": (321, 280),
    "perf_event_open": (298, 241), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "userfaultfd": (323, 282), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "inotify_add_watch": (254, 27), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "seccomp": (317, 277),
}  # fmt: skip


def missing() -> str:
    """Why there is no filter on this machine; "" where there is one."""
    if platform.machine() in MACHINES:
        return ""
    return f"no table of system calls for {platform.machine()}; there is one for {', '.join(MACHINES)}"


def refuse_calls(limited: Sequence[Only] = LIMITED, spared: Sequence[str] = ()) -> None:
    """From here on this process, its threads and its descendants are refused these calls. Raises OSError."""
    machine = MACHINES[platform.machine()]
    code = b"".join(program(machine, limited, spared))
    text = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(number_of("seccomp", machine) or 0)
    if libc.syscall(number, SET_MODE_FILTER, SPEC_ALLOW, filter_) != 0:
        raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def signals_to(pid: int) -> tuple[Only, ...]:
    """Signals to this process alone. Where nothing else keeps signals in, descendants can send none then."""
    return (Only("kill", 0, WORD, pid), Only("tgkill", 0, WORD, pid), Only("rt_tgsigqueueinfo", 0, WORD, pid),
            Only("rt_sigqueueinfo", 0, WORD, pid), Only("tkill", 0, WORD, pid))  # fmt: skip


def program(machine: Machine, limited: Sequence[Only], spared: Sequence[str] = ()) -> Iterator[bytes]:
    """The filter, instruction by instruction. The first rule that objects decides."""
    yield instruction(LOAD, ARCHITECTURE)
    yield instruction(EQUAL, machine.name, 1, 0)
    yield instruction(RETURN, KILL)
    yield instruction(LOAD, NUMBER)
    if machine is MACHINES["x86_64"]:
        yield from unless_skipped(instruction(AT_LEAST, X32, 0, 1), errno.ENOSYS)
    for names, error in ((f"{NETWORK} {OTHERS} {HIDDEN} {ATTRIBUTES} {KERNEL}", errno.EPERM), (UNKNOWN, errno.ENOSYS)):
        for name in names.split():
            if name not in spared and (number := number_of(name, machine)) is not None:
                yield from unless_skipped(instruction(EQUAL, number, 0, 1), error)
    for rule in limited:
        yield instruction(EQUAL, number_of(rule.call, machine) or 0, 0, 5)
        yield instruction(LOAD, ARGUMENTS + 8 * rule.argument)  # the lower half: both machines are little-endian
        yield instruction(AND, rule.mask)
        yield from unless_skipped(instruction(EQUAL, rule.value, 1, 0), errno.EPERM)
        yield instruction(LOAD, NUMBER)
    yield instruction(RETURN, ALLOW)


def unless_skipped(test: bytes, error: int) -> Iterator[bytes]:
    yield test
    yield instruction(RETURN, REFUSE | error)


def instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


def number_of(call: str, machine: Machine) -> int | None:
    return NUMBERS[call][machine.column]
