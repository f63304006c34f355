"""`python -m groot.cli`, for launchers such as `accelerate launch -m groot.cli train ...`."""

from groot.cli import main

if __name__ == "__main__":
    main()
