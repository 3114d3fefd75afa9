"""``python -m benchmarks [GROUP …]``: run the rows, print the table, write JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from .groups import auth, dicts, lookups, policy, postmap, size, tails
from .load import HERE, Load, compile_program
from .measure import ROUNDS, Row

GROUPS: dict[str, Callable[[Path, Load], Iterator[Row]]] = {
    "socketmap": lookups.socketmap,
    "postmap": postmap.postmap,
    "policy": policy.policy,
    "auth": auth.auth,
    "tails": tails.tails,
    "dict": dicts.dict_commits,
    "size": size.size,
    "import": size.imports,
}
RESULTS = HERE / "results"


def machine() -> dict[str, str]:
    """Say what was measured where."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )

    def first_line(*command: str) -> str:
        return (subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines() or ["?"])[0]

    return {
        "cpu": f"{os.cpu_count()} × {model}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "twisted": version("twisted"),
        "mailhooks": version("mailhooks"),
        "postfix": first_line("postconf", "-h", "mail_version"),
        "dovecot": first_line("dovecot", "--version"),
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
    }


def show(row: Row) -> str:
    """Make one line of the table."""
    sign = "≤" if row.at_most else "≥"
    figure = f"{row.value:,.2f}" if row.value < 100 else f"{row.value:,.0f}"
    mark = " " if row.reached else "!"
    spread = "{:.2f}–{:.2f}".format(*row.middle) if row.middle else ""
    bounds = f"{sign} {row.must:,g} (aim {row.aim:,g})"
    return f"{mark} {row.name:62} {figure + row.unit:>12} {spread:>11}  {bounds}   {row.detail}"


def main() -> int:
    """Run the groups that were asked for; 1 when a "must" was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="default: all")
    wanted = parser.parse_args().groups or list(GROUPS)
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    print(f"Medians of {ROUNDS} rounds, and between which figures half of the rounds lie.", flush=True)
    rows: list[Row] = []
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="mailhooks-bench-", dir="/var/tmp") as place:
            directory = Path(place)
            directory.chmod(0o755)  # Dovecot and PostgreSQL run as their own users
            load = Load(compile_program("load", directory))
            for row in GROUPS[name](directory, load):
                rows.append(row)
                print(show(row), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(
        json.dumps({"machine": about, "rows": [asdict(row) | {"reached": row.reached} for row in rows]}, indent=1)
    )
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
