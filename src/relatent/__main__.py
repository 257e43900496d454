"""`python -m relatent` is `relatent`."""

from relatent.cli import main

if __name__ == "__main__":
    main()
