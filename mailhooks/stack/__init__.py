"""The stock daemons: their rendered configuration, and the supervisor that runs them beside ``mailhooks serve``."""
