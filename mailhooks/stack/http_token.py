"""The bearer token of the HTTP port, as the admin's own commands read it; the daemon has a copy (``up.copy_token``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.config import Config, ConfigError
from mailhooks.environment import WrongVariable, read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping


def read(config: Config, environment: Mapping[str, str] = os.environ) -> str:
    """Read the file that is named; "" without one. Raises ConfigError, which says who names it."""
    name = config.http.token_file
    if not name:
        return ""
    try:
        return read_secret("HTTP_TOKEN_FILE" if environment.get("HTTP_TOKEN_FILE") else "http.token_file", Path(name))
    except WrongVariable as error:
        raise ConfigError(str(error)) from error
