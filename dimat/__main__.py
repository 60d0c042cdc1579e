"""``python -m dimat``."""

from dimat.cli import main

if __name__ == "__main__":
    main()
