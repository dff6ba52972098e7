"""`python -m hpo`."""

from hpo.cli import main

if __name__ == "__main__":
    main(prog_name="hpo")
