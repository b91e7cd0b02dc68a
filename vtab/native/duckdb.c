/* DuckDB's loadable extension: `LOAD 'audiomem.duckdb_extension'`.
**
** What the functions do is in Python (vtab/duckdb/extension.py), which is called once for a statement, and once for a part of
** rows; here values are moved between DuckDB's vectors and Arrow's arrays.
*/
#define _GNU_SOURCE
#include "duckdb_door.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

duckdb_any_function duck[DUCKDB_USED];

/* `FROM 'x.flac'`: a file that is a table is scanned, and everything else is left alone. */
static void replace(duckdb_replacement_scan_info info, const char *name, void *data) {
  struct gil gil;
  PyObject *item, *answer;

  gil = gil_take(NULL);
  if (!gil.entered) {
    gil_give(&gil);
    return;
  }
  item = text_object(name);
  answer = item == NULL ? NULL : call(data, "is_table", tuple(1, &item));
  if (answer != NULL && py.PyObject_IsTrue(answer) > 0) {
    duckdb_value path = duckdb_create_varchar(name);

    duckdb_replacement_scan_set_function_name(info, "audiomem_scan");
    duckdb_replacement_scan_add_parameter(info, path);
    duckdb_destroy_value(&path);
  }
  if (answer != NULL) py.Py_DecRef(answer);
  py.PyErr_Clear();
  gil_give(&gil);
}

/* Object: (name, description). All settings are text. */
static int register_setting(duckdb_connection connection, PyObject *object) {
  duckdb_config_option made = duckdb_create_config_option();
  duckdb_logical_type type = logical(DUCKDB_VARCHAR, 0);
  duckdb_value empty = duckdb_create_varchar("");
  int rc;

  duckdb_config_option_set_name(made, text_at(object, 0));
  duckdb_config_option_set_type(made, type);
  duckdb_config_option_set_default_value(made, empty);
  duckdb_config_option_set_description(made, text_at(object, 1));
  rc = duckdb_register_config_option(connection, made) == DUCKDB_SUCCESS ? 0 : -1;
  duckdb_destroy_value(&empty);
  duckdb_destroy_logical_type(&type);
  duckdb_destroy_config_option(&made);
  return rc;
}

static char *register_each(duckdb_connection connection, PyObject *door, const char *which,
                           int (*one)(duckdb_connection, PyObject *)) {
  PyObject *all = py.PyObject_GetAttrString(door, which);
  Py_ssize_t i, count = all == NULL ? 0 : py.PyTuple_Size(all);
  char *failed = all == NULL ? failure() : NULL;

  for (i = 0; failed == NULL && i < count; i++) {
    if (one(connection, py.PyTuple_GetItem(all, i)) < 0) {
      failed = py.PyErr_Occurred() ? failure() : words("audiomem: DuckDB does not take the functions");
    }
  }
  if (all != NULL) py.Py_DecRef(all);
  return failed;
}

/* Load the scan that was built for this release of DuckDB, where it lies beside this file: see duckdb_v2.c. 0 if there is none. */
static int loaded_for_release(duckdb_connection connection) {
  const char *release = duckdb_library_version(), *wanted = getenv("AUDIOMEM_DUCKDB_INTERFACE");
  char path[PATH_MAX], statement[3 * PATH_MAX], *end = statement, *letter;
  int major, minor, patch;
  Dl_info info;

  if (wanted != NULL && strcmp(wanted, "stable") == 0) return 0;
  if (sscanf(release, "v%d.%d.%d", &major, &minor, &patch) != 3 || strchr(release, '-') != NULL) return 0;
  if (dladdr((void *)&loaded_for_release, &info) == 0 || realpath(info.dli_fname, path) == NULL) return 0;
  letter = strrchr(path, '/');
  if (letter == NULL || (size_t)(letter - path) + 64 > sizeof(path)) return 0;
  snprintf(letter, 64, "/audiomem_%d_%d_%d.duckdb_extension", major, minor, patch);
  if (access(path, R_OK) != 0) return 0;
  end += sprintf(end, "LOAD '");
  for (letter = path; *letter; letter++) {
    if (*letter == '\'') *end++ = '\'';
    *end++ = *letter;
  }
  strcpy(end, "'");
  return duckdb_query(connection, statement, NULL) == DUCKDB_SUCCESS;
}

/* NULL, or what went wrong. */
static char *register_all(duckdb_database database) {
  PyObject *module = py.PyImport_ImportModule(PYTHON_LOADABLE), *door;
  duckdb_connection connection;
  char *failed;

  if (module == NULL) return import_failed();
  door = call(module, PYTHON_ATTACH_DUCKDB, NULL);
  py.Py_DecRef(module);
  if (door == NULL) return failure();
  if (duckdb_connect(database, &connection) != DUCKDB_SUCCESS) {
    failed = words("audiomem: DuckDB gives no connection");
  } else {
    void *thread = py.PyEval_SaveThread(); /* the other file takes the GIL, perhaps on another thread */
    int scans = loaded_for_release(connection);

    py.PyEval_RestoreThread(thread);
    failed = register_each(connection, door, scans ? "other_tables" : "tables", register_table_function);
    if (failed == NULL) failed = register_each(connection, door, "scalars", register_scalar_function);
    if (failed == NULL) failed = register_each(connection, door, "aggregates", register_writing_function);
    if (failed == NULL && has_next_band()) failed = register_each(connection, door, "settings", register_setting);
    if (failed == NULL && has_next_band()) failed = register_each(connection, door, "copies", register_copy_function);
    if (failed == NULL) duckdb_add_replacement_scan(database, replace, kept(door), forget);
    duckdb_disconnect(&connection);
  }
  py.Py_DecRef(door);
  return failed;
}

/* The table of functions is gone when the entry point returns. */
static void take_band(const void *given, size_t count) {
  memset(duck, 0, sizeof(duck));
  memcpy(duck, given, count * sizeof(duck[0]));
}

/* Whether a release has what 1.5.6 made stable. It must be asked for only where it is: to be refused fails the LOAD. What is
** built between releases ("v1.5.6-dev1") counts as the release before. */
static int knows_next_band(const char *release) {
  int major = 0, minor = 0, patch = 0;

  if (sscanf(release, "v%d.%d.%d", &major, &minor, &patch) != 3) return 0;
  if (strchr(release, '-') != NULL) patch--;
  return major > 1 || (major == 1 && (minor > 5 || (minor == 5 && patch >= 6)));
}

#ifdef __GNUC__
__attribute__((visibility("default")))
#endif
bool audiomem_init_c_api(duckdb_extension_info info, struct duckdb_extension_access *access) {
  const void *given;
  char *failed = NULL;
  struct gil gil;

  given = access->get_api(info, DUCKDB_API_VERSION);
  if (given == NULL) return false; /* DuckDB has said what it does not have */
  take_band(given, DUCKDB_FIRST_BAND);
  if (knows_next_band(duckdb_library_version())) {
    given = access->get_api(info, DUCKDB_NEXT_VERSION);
    if (given == NULL) return false;
    take_band(given, DUCKDB_USED);
  }
  if (runtime_start(&failed) == 0) {
    gil = gil_take(NULL);
    failed = gil.entered ? register_all(*access->get_database(info)) : words("%s", ENDED);
    gil_give(&gil);
  }
  if (failed != NULL) access->set_error(info, failed);
  free(failed);
  return failed == NULL;
}
