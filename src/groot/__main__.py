"""`python -m groot`: the same as the command `groot`."""

from groot.cli import main

if __name__ == "__main__":
    main()
