/* The names of the columns that COPY … TO writes.
**
** DuckDB's first C API hands COPY the types of its columns, and no names; no function of it does, in 1.5.6 as in 2.0.1.
** (The second one has duckdb_v2_copy_to_bind_get_column_name. It is there in 2.0.0 and 2.0.1 only, not in 1.5.6, and knows no
** handles of the first one; COPY as a whole would have to be built against it.) DuckDB has the names in the object that it
** calls `info`, between what it does hand over. In the releases of RELEASES, which the tests run, they are read there, from
** Linux's builds of 64 bits with GNU's C++ library.
**
** That no other layout can be taken for this one, and no pointer leads to a crash, is made sure so:
**
** - The release is one of RELEASES, letter by letter. A later one, a fork or a build between releases has no names.
** - Every pointer is followed by the system, which refuses what is no memory of this process (copied_memory).
** - What stands before the names must be a vector of as many types as DuckDB says, each the same as the API's copy of it, its
**   pointers included; what stands behind them must lead to the four functions and the object that were registered here.
** - The names must be a vector of as many strings as there are types, with each string's text inside it if it is short and
**   outside it if it is long, ended by its only zero, and UTF-8.
**
** Where anything differs there are no names, and Python says what helps, as in a release that is not known.
** tests/vtab/duckdb/layout.c forges each of these.
*/
#include "duckdb_door.h"

#include <stdlib.h>
#include <string.h>

/* Not texts, which the linker would put together with others: a test looks for them in the built file. */
static const struct {
  char name[8];
  size_t type_size;
} RELEASES[] = {{"v1.5.6", 24}, {"v2.0.0", 8}, {"v2.0.1", 8}};

/* The size of a type in this release, 0 where it is none of RELEASES. */
static size_t type_size(void) {
  const char *release = duckdb_library_version();
  size_t i;

  for (i = 0; i < sizeof(RELEASES) / sizeof(RELEASES[0]); i++) {
    if (strcmp(release, RELEASES[i].name) == 0) return RELEASES[i].type_size;
  }
  return 0;
}

static PyObject *name_at(void *names, Py_ssize_t place) { return text_object(((char **)names)[place]); }

PyObject *copied_names(duckdb_copy_info info, const void *const registered[5], idx_t count) {
  void **types = calloc(count, sizeof(*types));
  struct known_copy known = {count, (const void *const *)types, type_size(), {0}};
  PyObject *made = NULL;
  char **names = NULL;
  idx_t i;

  memcpy(known.words, registered, sizeof(known.words));
  if (types != NULL && known.type_size != 0) {
    for (i = 0; i < count; i++) types[i] = duckdb_copy_function_bind_get_column_type(info, i);
    names = names_of_copy(info, &known);
    for (i = 0; i < count; i++) duckdb_destroy_logical_type(&types[i]);
  }
  free(types);
  if (names != NULL) {
    made = tuple_of((Py_ssize_t)count, name_at, names);
    py.PyErr_Clear(); /* a name that is no text */
    free_names(names, count);
  }
  return made == NULL ? text_object(NULL) : made;
}
