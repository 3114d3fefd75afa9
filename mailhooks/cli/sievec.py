"""Does a Sieve script compile? Asked of Pigeonhole's own ``sievec``, where it is installed.

It compiles by the configuration that ``mailhooks up`` rendered, else by the machine's. What it cannot say for another
reason than the script is a warning: a script that does not compile costs no mail, which then stays in INBOX.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.cli.errors import BadInput, say
from mailhooks.config import ConfigError
from mailhooks.stack import paths

if TYPE_CHECKING:
    from mailhooks.config import Config

SECONDS = 20  # the largest script compiles in less than one
MAX_SAID = 500  # characters of its complaint that are repeated
NAME = "script"

# What sievec says of a script; without it the failure is its own (no configuration, no room).
_SCRIPTS_FAULT = "failed to compile sieve script"


def check(script: str, config: Config) -> None:
    """Raise BadInput, with the first complaint, for a script that does not compile."""
    program = shutil.which("sievec")
    if program is None:
        return
    with tempfile.TemporaryDirectory(prefix="mailhooks-sieve-") as directory:
        source = Path(directory, f"{NAME}.sieve")
        source.write_text(script, encoding="utf-8", newline="")
        command = [program, *_configuration(config), str(source), str(source.with_suffix(".svbin"))]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=SECONDS, check=False, env={**os.environ, "LC_ALL": "C"}
            )
        except (OSError, subprocess.SubprocessError) as error:
            say(f"the script could not be checked: {type(error).__name__}")
            return
    said = done.stderr.decode(errors="replace")
    if done.returncode and _SCRIPTS_FAULT in said:
        raise BadInput(f"the script does not compile: {said.splitlines()[0][:MAX_SAID]}")
    if done.returncode:
        say(f"the script could not be checked: sievec ended with {done.returncode}")


def _configuration(config: Config) -> list[str]:
    try:
        rendered = paths.layout(config).dovecot_config / "dovecot.conf"
        return ["-c", str(rendered)] if rendered.is_file() else []
    except (ConfigError, OSError):
        return []
