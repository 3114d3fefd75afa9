"""Where facts come from: one file per source, each bounded in time, none of which changes anything."""
