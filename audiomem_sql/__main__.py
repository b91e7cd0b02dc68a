"""``python -m audiomem_sql``: the same as the command ``audiomem``."""

from audiomem_sql.cli.main import main

main()
