"""Programs that the stock daemons run: plain scripts on the standard library, copied beside the rendered files."""
