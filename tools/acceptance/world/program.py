"""A program of some hundred bytes for Linux on x86-64: an executable that no compiler and no base image is needed for.

It behaves by the word that it is started with, as ``tests/e2e/images.py`` says it of the emulator's containers: it
prints its lines, waits, and ends with its code; or it answers every HTTP request on port 8080 with ``200 ok``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

PORT = 8080
MOMENT = 0.4
"""Seconds until an end that nobody gave a time, as in ``tests/e2e/containers.py``."""

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

ADDRESS = 0x400000
HEADERS = 64 + 56
"""Bytes of the ELF header and of its one program header (elf(5))."""

# Numbers of system calls (Linux, arch/x86/entry/syscalls/syscall_64.tbl).
READ, WRITE, CLOSE, NANOSLEEP, SOCKET, ACCEPT, BIND, LISTEN, EXIT_GROUP = 0, 1, 3, 35, 41, 43, 49, 50, 231

EAX, EDI, ESI, EDX, ECX = b"\xb8", b"\xbf", b"\xbe", b"\xba", b"\xb9"
"""``mov <register>, <32 bits>``."""

TO_RDI, TO_RSI = b"\x48\x8d\x3d", b"\x48\x8d\x35"
"""``lea <register>, [rip + <32 bits>]``."""

JUMP, IF_UNEQUAL, IF_NEGATIVE, IF_LESS = b"\xe9", b"\x0f\x85", b"\x0f\x88", b"\x0f\x8c"


class _Code:
    """Machine code with labels; a label may be used before it is placed."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._labels: dict[str, int] = {}
        self._uses: list[tuple[int, str]] = []

    def add(self, *parts: bytes) -> None:
        for part in parts:
            self._bytes += part

    def move(self, register: bytes, value: int) -> None:
        self.add(register, struct.pack("<I", value))

    def refer(self, instruction: bytes, label: str) -> None:
        self.add(instruction)
        self._uses.append((len(self._bytes), label))
        self.add(bytes(4))

    def place(self, label: str) -> None:
        self._labels[label] = len(self._bytes)

    def call(self, number: int) -> None:
        self.move(EAX, number)
        self.add(b"\x0f\x05")

    def finished(self) -> bytes:
        for position, label in self._uses:
            struct.pack_into("<i", self._bytes, position, self._labels[label] - position - 4)
        return bytes(self._bytes)


def executable(behavior: Mapping[str, Mapping[str, Any]], port: int = PORT) -> bytes:
    """Return the executable.

    Parameters
    ----------
    behavior
        From the word to ``{"exit_code": 1, "seconds": 0.4, "logs": ["…"]}``. Without an exit code it serves after its
        lines; ``migrate`` ends well unless it is told otherwise, and any other word serves.
    port
        Where it serves.
    """
    code = _Code()
    data: dict[str, bytes] = {"response": RESPONSE, "address": struct.pack(">HHIQ", 0x0200, port, 0, 0)}
    code.add(b"\x48\x83\x3c\x24\x02")  # cmp qword [rsp], 2: the number of arguments, the program's own name included
    code.refer(IF_LESS, "serve")
    for number, (word, how) in enumerate({"migrate": {}, **behavior}.items()):
        data[f"word{number}"] = word.encode() + b"\0"
        code.add(b"\x48\x8b\x74\x24\x10")  # mov rsi, [rsp + 16]: the first argument
        code.refer(TO_RDI, f"word{number}")
        code.move(ECX, len(word.encode()) + 1)
        code.add(b"\xfc\xf3\xa6")  # cld; repe cmpsb
        code.refer(IF_UNEQUAL, f"after{number}")
        _play(code, data, number, {**({"exit_code": 0} if word == "migrate" else {}), **how})
        code.place(f"after{number}")
    _serve(code)
    for label, content in data.items():
        code.place(label)
        code.add(content)
    return _elf(code.finished())


def _play(code: _Code, data: dict[str, bytes], number: int, how: Mapping[str, Any]) -> None:
    lines = "".join(f"{line}\n" for line in how.get("logs", ())).encode()
    if lines:
        data[f"lines{number}"] = lines
        code.move(EDI, 1)
        code.refer(TO_RSI, f"lines{number}")
        code.move(EDX, len(lines))
        code.call(WRITE)
    if how.get("exit_code") is None:
        code.refer(JUMP, "serve")
        return
    seconds = float(how.get("seconds", MOMENT))
    data[f"time{number}"] = struct.pack("<QQ", int(seconds), int(seconds % 1 * 1e9))
    code.refer(TO_RDI, f"time{number}")
    code.add(b"\x31\xf6")  # xor esi, esi
    code.call(NANOSLEEP)
    code.move(EDI, int(how["exit_code"]))
    code.call(EXIT_GROUP)


def _serve(code: _Code) -> None:
    """Answer each connection after its first read: one that is closed unread would be reset."""
    code.place("serve")
    code.add(b"\x48\x81\xec\x00\x08\x00\x00")  # sub rsp, 2048: room for what is read
    code.move(EDI, 2)
    code.move(ESI, 1)
    code.add(b"\x31\xd2")  # xor edx, edx
    code.call(SOCKET)
    code.add(b"\x89\xc3", b"\x89\xdf")  # mov ebx, eax; mov edi, ebx
    code.refer(TO_RSI, "address")
    code.move(EDX, 16)
    code.call(BIND)
    code.add(b"\x85\xc0")  # test eax, eax
    code.refer(IF_NEGATIVE, "failed")
    code.add(b"\x89\xdf")
    code.move(ESI, 128)
    code.call(LISTEN)
    code.place("accept")
    code.add(b"\x89\xdf", b"\x31\xf6", b"\x31\xd2")
    code.call(ACCEPT)
    code.add(b"\x85\xc0")
    code.refer(IF_NEGATIVE, "accept")
    code.add(b"\x41\x89\xc4", b"\x44\x89\xe7", b"\x48\x89\xe6")  # mov r12d, eax; mov edi, r12d; mov rsi, rsp
    code.move(EDX, 2048)
    code.call(READ)
    code.add(b"\x44\x89\xe7")
    code.refer(TO_RSI, "response")
    code.move(EDX, len(RESPONSE))
    code.call(WRITE)
    code.add(b"\x44\x89\xe7")
    code.call(CLOSE)
    code.refer(JUMP, "accept")
    code.place("failed")
    code.move(EDI, 1)
    code.call(EXIT_GROUP)


def _elf(code: bytes) -> bytes:
    size = HEADERS + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, ADDRESS + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    # One segment, read and executed; nothing of it is written.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, ADDRESS, ADDRESS, size, size, 0x1000)
    return header + segment + code
