"""Holds the house to its import rule: a module imports its own layer and those below it, and nothing else of ours."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "mailhooks"

# The layer of a module is that of the longest name here which it has or lies below. Every module must have one.
LAYERS = {
    "mailhooks": 0,  # the version
    "mailhooks.address": 0,
    "mailhooks.wire": 0,
    "mailhooks.passwords": 1,
    "mailhooks.store": 1,
    "mailhooks.tables": 2,
    "mailhooks.recipients": 2,
    "mailhooks.senders": 2,
    "mailhooks.logins": 2,
    "mailhooks.passdb": 2,
    "mailhooks.userdb": 2,
    "mailhooks.dicts": 2,
    "mailhooks.policy": 2,
    "mailhooks.explain": 2,
    "mailhooks.seed": 2,
    "mailhooks.maildir": 2,
    "mailhooks.spamprefs": 2,
    "mailhooks.throttle": 2,
    "mailhooks.workers": 3,
    "mailhooks.reactor": 3,
    "mailhooks.renewal": 3,
    "mailhooks.refresh": 3,
    "mailhooks.counters": 3,
    "mailhooks.servers": 3,
    "mailhooks.endpoints": 3,
    "mailhooks.tls": 3,
    "mailhooks.inherited": 3,
    "mailhooks.metrics": 3,
    "mailhooks.log": 3,
    "mailhooks.config": 4,
    "mailhooks.environment": 4,
    "mailhooks.service": 4,
    "mailhooks.verbosity": 4,
    "mailhooks.lifecycle": 4,
    "mailhooks.hooks": 4,
    "mailhooks.notify": 3,
    "mailhooks.run": 4,
    "mailhooks.own_addresses": 4,
    "mailhooks.cli": 4,
    "mailhooks.doctor": 4,
    "mailhooks.stack": 4,
    "mailhooks.__main__": 4,
}

LOWEST_WITH_TWISTED = 3  # below, everything is synchronous and can be used from the command line without a reactor
NO_INPUT_OR_OUTPUT = {  # what layer 0 has no business with
    "asyncio",
    "http",
    "io",
    "logging",
    "os",
    "pathlib",
    "select",
    "selectors",
    "shutil",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}
OUTSIDE_IN_LAYER_0 = {"idna", "scramp"}  # UTS 46 and SCRAM, which the standard library has not got


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


def layer_of(module: str) -> int | None:
    name = module
    while name != PACKAGE:
        if name in LAYERS:
            return LAYERS[name]
        name = name.rpartition(".")[0]
    return LAYERS[PACKAGE] if module == PACKAGE else None


def imports(source: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield what a module imports, wherever in it, in full names; ``from a import b`` may mean a.b or only a."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                up = parents[: len(parents) - node.level + is_package]
                base = ".".join([*up, *([base] if base else [])])
            yield from (f"{base}.{name.name}" if f"{base}.{name.name}" in MODULES else base for name in node.names)


def faults(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Say what a module imports that it must not."""
    layer = layer_of(module)
    if layer is None:
        return [f"{module} is in no layer"]
    found = []
    for imported in imports(source, module, is_package=is_package):
        top = imported.partition(".")[0]
        if top == PACKAGE:
            of_imported = layer_of(imported)
            if of_imported is None or of_imported > layer:
                found.append(f"{module} (layer {layer}) imports {imported} (layer {of_imported})")
        elif top == "twisted" and layer < LOWEST_WITH_TWISTED:
            found.append(f"{module} (layer {layer}) imports {imported}")
        elif layer == 0 and (top in NO_INPUT_OR_OUTPUT or (top not in STANDARD and top not in OUTSIDE_IN_LAYER_0)):
            found.append(f"{module} (layer 0) imports {imported}")
    return found


STANDARD = sys.stdlib_module_names


@pytest.mark.parametrize("module", MODULES)
def test_layers(module):
    path = MODULES[module]
    assert faults(path.read_text(), module, is_package=path.name == "__init__.py") == []


def test_every_layer_entry_is_a_module():
    assert "mailhooks.address" in MODULES
    assert set(LAYERS) - set(MODULES) == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mailhooks.wire.lines", "from mailhooks.store import Store"),
        ("mailhooks.wire.lines", "import mailhooks.store.model"),
        ("mailhooks.wire.lines", "from mailhooks import tables"),
        ("mailhooks.wire.lines", "from ..store import model"),
        ("mailhooks.wire", "from .. import tables"),
        ("mailhooks.wire.lines", "import socket"),
        ("mailhooks.wire.lines", "import attrs"),
        ("mailhooks.tables", "def f():\n    from mailhooks.servers import base"),
        ("mailhooks.tables", "from twisted.internet import defer"),
        ("mailhooks.servers.base", "from mailhooks.config import Config"),
        ("mailhooks.tables", "import mailhooks.unheard_of"),
        ("mailhooks.unheard_of", ""),
    ],
)
def test_the_test_sees_what_is_forbidden(module, source):
    assert len(faults(source, module, is_package=module == "mailhooks.wire")) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mailhooks.wire.lines", "import re\nfrom mailhooks.wire.errors import WireError"),
        ("mailhooks.address", "import idna"),
        ("mailhooks.wire.auth.client", "from . import shared\nfrom ..lines import LineParser"),
        ("mailhooks.tables", "from mailhooks import recipients\nfrom mailhooks.store import Store"),
        ("mailhooks.servers.base", "from twisted.internet import defer\nimport mailhooks.tables"),
        ("mailhooks.cli.user", "import mailhooks.config, twisted, os"),
    ],
)
def test_the_test_sees_what_is_allowed(module, source):
    assert faults(source, module) == []
