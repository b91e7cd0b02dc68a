/* Reading of memory whose layout nobody promises. It knows neither Python nor DuckDB, so that a test can forge what it reads. */
#ifndef AUDIOMEM_DUCKDB_LAYOUT_H
#define AUDIOMEM_DUCKDB_LAYOUT_H

#include <stddef.h>

/* Copy memory of this process that may not be there; 0 then. */
int copied_memory(void *to, const void *from, size_t size);

enum { NAME_BYTES = 1 << 16 };

/* What is known of a COPY through DuckDB's API, by which the rest is told from anything else. */
struct known_copy {
  size_t count;             /* of the columns */
  const void *const *types; /* of each column: the handle that DuckDB gave, a copy of its own type */
  size_t type_size;         /* of such a type: 24 in DuckDB 1.x, 8 in 2.0 */
  const void *words[5];     /* what was registered: bind, global_init, sink, finalize, and extra_info */
};

/* The names of the columns, for free_names(); NULL where anything is not as expected. */
char **names_of_copy(const void *info, const struct known_copy *known);
void free_names(char **names, size_t count);

#endif
