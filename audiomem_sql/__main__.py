"""``python -m audiomem_sql``: the same as the command ``audiomem``."""

from audiomem_sql.cli.main import main

if __name__ == "__main__":  # processes that read sources import this module again
    main()
