"""As much of a ManageSieve client (RFC 5804) as the scenarios need."""

from __future__ import annotations

import base64
import socket

from server import trusting


class ManageSieve:
    """A connection with TLS; every command answers its OK, NO or BYE line."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.stream = self.socket.makefile("rwb")
        self.greeting = self._answer()
        assert self._command(b"STARTTLS").startswith("OK")
        self.socket = trusting().wrap_socket(self.socket)
        self.stream = self.socket.makefile("rwb")
        self._answer()

    def _answer(self) -> str:
        self.lines: list[str] = []
        while True:
            line = self.stream.readline().decode()
            assert line, "the server closed the connection"
            if line.startswith(("OK", "NO", "BYE")):
                return line.strip()
            self.lines.append(line.strip())

    def _command(self, command: bytes) -> str:
        self.stream.write(command + b"\r\n")
        self.stream.flush()
        return self._answer()

    def login(self, user: str, password: str) -> str:
        token = base64.b64encode(f"\0{user}\0{password}".encode())
        return self._command(b'AUTHENTICATE "PLAIN" "' + token + b'"')

    def put(self, name: str, script: str) -> str:
        data = script.encode()
        return self._command(f'PUTSCRIPT "{name}" {{{len(data)}+}}\r\n'.encode() + data)

    def activate(self, name: str) -> str:
        return self._command(f'SETACTIVE "{name}"'.encode())

    def close(self) -> None:
        self.stream.close()
        self.socket.close()
