"""``python -m ensemble_htr``: the same as the console script."""

from ensemble_htr.cli.main import main

if __name__ == "__main__":
    main()
