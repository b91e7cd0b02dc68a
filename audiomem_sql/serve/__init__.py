"""Tables over HTTP: what ``audiomem serve`` runs (docs/SERVE.md).

A request comes in by a route (``rows``, ``searches``, ``statements``, ``table_files``, ``writes``), is let in
by ``access``, works on a :class:`~audiomem_sql.serve.served_table.ServedTable` in one of the threads of
``work``, and is answered as an encoder of ``formats`` writes it.
"""
