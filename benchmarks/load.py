"""Building and running the load generator, and reading what a process cost."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


def compile_program(name: str, directory: Path) -> Path:
    """Compile one of the C programs of this directory."""
    target = directory / name
    subprocess.run(["gcc", "-O2", "-Wall", "-D_GNU_SOURCE", "-o", target, HERE / f"{name}.c"], check=True)
    return target


def write_pairs(path: Path, pairs: Iterable[tuple[bytes, bytes]]) -> Path:
    """Write requests and the replies they must get."""
    with path.open("wb") as stream:
        for request, reply in pairs:
            stream.write(struct.pack("I", len(request)) + request + struct.pack("I", len(reply)) + reply)
    return path


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and all its descendants, in seconds."""
    total, waiting = 0.0, [pid]
    while waiting:
        each = waiting.pop()
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            for task in Path(f"/proc/{each}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def resident_bytes(pid: int) -> int:
    """Return the resident memory of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


@dataclass(frozen=True)
class Result:
    """One run of the load generator."""

    rate: float  # requests a second
    cpu: float  # the server's seconds of CPU a request
    p50: float  # seconds
    p99: float


@dataclass(frozen=True)
class Load:
    """The load generator: a closed or open loop over the pairs of a file."""

    program: Path

    def run(
        self,
        socket: Path,
        pairs: Path,
        *,
        pid: int,
        options: Iterable[str] = (),
        connections: int = 16,
        seconds: float = 1,
        punctual: bool = False,
    ) -> Result:
        """Run once. A single wrong reply ends the benchmark: fast errors are no speed.

        ``punctual`` runs the generator before all else (sched(7), SCHED_FIFO; needs root). Latencies count from when a
        request was due: a generator that is itself woken late would be told as a server that answers late.
        """
        first = ["chrt", "--fifo", "1"] if punctual else []
        before = cpu_seconds(pid)
        done = subprocess.run(
            [*first, self.program, socket, str(connections), str(seconds), pairs, *options],
            capture_output=True,
            text=True,
            timeout=seconds + 120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{socket.name}: {done.stderr}{done.stdout}")
        figures = json.loads(done.stdout)
        requests = figures["requests"]
        cpu = (cpu_seconds(pid) - before) / requests
        return Result(requests / figures["seconds"], cpu, figures["p50"], figures["p99"])
