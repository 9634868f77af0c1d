"""``python -m ponant`` is the ``ponant`` command."""

from ponant.cli.main import run

if __name__ == "__main__":
    run()
