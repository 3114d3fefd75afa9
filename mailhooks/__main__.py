"""``python -m mailhooks`` is ``mailhooks``."""

from mailhooks.cli import main

if __name__ == "__main__":
    main(prog_name="mailhooks")
