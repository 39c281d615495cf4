"""``python -m kgen``."""

from kgen.cli.app import main

if __name__ == "__main__":
    main()
