/* The names of the columns that COPY … TO writes.
**
** DuckDB's stable interface hands COPY the types of its columns, and no names. DuckDB has them beside the types, in the
** object that it calls `info`: references to the context, the input, the types and the names, the last two std::vectors. In
** the releases of RELEASES, which the tests run, that is read, from Linux's builds with GNU's C++ library. Nothing is believed:
** every pointer is read by the system, which refuses what is no memory of this process, and names and types must be as many
** as DuckDB says and lie as that library lays them. Where anything differs there are no names, and Python says what helps.
*/
#include "duckdb_door.h"

#include <string.h>

static const char *const RELEASES[] = {"v1.5.6", "v2.0.0", "v2.0.1"};
enum { NAME_BYTES = 1 << 16 };

#ifdef __linux__

/* std::vector and std::string of GNU's C++ library. */
struct vector {
  const char *begin, *end, *limit;
};
struct string {
  const char *data;
  size_t size;
  char inlined[16];
};
struct bind_info {
  const void *context, *input;
  const struct vector *types, *names;
};

static PyObject *name_at(const struct string *place) {
  struct string name;
  char text[NAME_BYTES];

  if (!copied_memory(&name, place, sizeof(name)) || name.size >= NAME_BYTES) return NULL;
  if ((name.data == place->inlined) != (name.size < sizeof(name.inlined))) return NULL;
  if (!copied_memory(text, name.data, name.size + 1) || text[name.size] != '\0' || strlen(text) != name.size) return NULL;
  return py.PyUnicode_FromStringAndSize(text, (Py_ssize_t)name.size);
}

static PyObject *names_in(const void *info, idx_t count) {
  struct bind_info bound;
  struct vector types, names;
  PyObject *made;
  idx_t i;

  if (!copied_memory(&bound, info, sizeof(bound)) || !copied_memory(&types, bound.types, sizeof(types)) ||
      !copied_memory(&names, bound.names, sizeof(names))) {
    return NULL;
  }
  if (count == 0 || names.begin == NULL || (size_t)(names.end - names.begin) != count * sizeof(struct string)) return NULL;
  if (types.begin == NULL || types.end <= types.begin || (size_t)(types.end - types.begin) % count != 0) return NULL;
  made = py.PyTuple_New((Py_ssize_t)count);
  for (i = 0; made != NULL && i < count; i++) {
    PyObject *name = name_at((const struct string *)names.begin + i);

    if (name == NULL) {
      py.Py_DecRef(made);
      return NULL;
    }
    py.PyTuple_SetItem(made, (Py_ssize_t)i, name);
  }
  return made;
}

static PyObject *read_names(const void *info, idx_t count) {
  PyObject *made = names_in(info, count);

  py.PyErr_Clear();
  return made;
}

#else

static PyObject *read_names(const void *info, idx_t count) {
  (void)info;
  (void)count;
  return NULL;
}

#endif

PyObject *copied_names(duckdb_copy_info info, idx_t count) {
  const char *release = duckdb_library_version();
  size_t i;

  for (i = 0; i < sizeof(RELEASES) / sizeof(RELEASES[0]); i++) {
    if (strcmp(release, RELEASES[i]) == 0) {
      PyObject *made = read_names(info, count);

      if (made != NULL) return made;
    }
  }
  return text_object(NULL);
}
