"""How Sphinx builds these pages: ``make docs``."""

from __future__ import annotations

import re
from pathlib import Path

_package = (Path(__file__).parent.parent / "mailhooks/__init__.py").read_text()

project = "mailhooks"
author = "the mailhooks authors"
copyright = "the mailhooks authors, MIT licence"  # noqa: A001 - Sphinx's name
release = re.findall(r'__version__ = "(.+)"', _package)[0]
version = release

exclude_patterns = ["_build"]
nitpicky = True  # a reference that leads nowhere is a warning, and a warning ends the build
highlight_language = "text"  # what stands after :: is mostly a shell's line with placeholders
smartquotes = False  # these pages show commands: quotes and dashes stay what they are

html_theme = "alabaster"  # comes with Sphinx
html_theme_options = {
    "description": "One live store of mail accounts for stock Postfix, Dovecot and SpamAssassin",
    "fixed_sidebar": True,
    "page_width": "1100px",
    "body_max_width": "none",
    "show_powered_by": False,
}
html_show_sourcelink = False
