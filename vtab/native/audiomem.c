/* The entry points: `.load audiomem` registers module `audiomem` and all functions with the connection, by their names:
** Python is started at the first use of one.
**
** It is never unloaded, because Python cannot be.
*/
#include "audiomem.h"

#include <pthread.h>

/* ---- what Python asks of the connection -------------------------------------------------------------------------- */

static sqlite3 *database(PyObject *self) { return py.PyCapsule_GetPointer(self, "sqlite3"); }

static PyObject *none(void) {
  py.Py_IncRef(py.none);
  return py.none;
}

static const char *only_text(PyObject *arguments) {
  struct cell cell;

  if (cell_read(&cell, py.PyTuple_GetItem(arguments, 0)) < 0 || cell.type != 't') return NULL;
  return cell.as.bytes.data;
}

static PyObject *host_execute(PyObject *self, PyObject *arguments) {
  const char *sql = only_text(arguments);
  sqlite3 *db = database(self);
  char *message = NULL;
  void *thread;
  int rc;

  if (sql == NULL || db == NULL) return NULL;
  thread = py.PyEval_SaveThread(); /* the statements may come back to our tables */
  rc = sqlite3_exec(db, sql, NULL, NULL, &message);
  py.PyEval_RestoreThread(thread);
  if (rc != SQLITE_OK && !py.PyErr_Occurred()) /* a handler of the host may have left an exception */
    py.PyErr_SetString(*py.runtime_error, rc == SQLITE_INTERRUPT || message == NULL ? sqlite3_errstr(rc) : message);
  sqlite3_free(message);
  return rc == SQLITE_OK ? none() : NULL;
}

static PyObject *host_filename(PyObject *self, PyObject *arguments) {
  const char *name = only_text(arguments);
  sqlite3 *db = database(self);

  return name == NULL || db == NULL ? NULL : text_object(sqlite3_db_filename(db, name));
}

static PyObject *host_rowid(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return py.PyLong_FromLongLong(sqlite3_last_insert_rowid(database(self)));
}

static PyObject *host_set_rowid(PyObject *self, PyObject *arguments) {
  sqlite3_set_last_insert_rowid(database(self), py.PyLong_AsLongLong(py.PyTuple_GetItem(arguments, 0)));
  return none();
}

static PyObject *host_conflict(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return py.PyLong_FromLongLong(sqlite3_vtab_on_conflict(database(self)));
}

static PyObject *host_autocommit(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return py.PyLong_FromLongLong(sqlite3_get_autocommit(database(self)));
}

/* The integers in the first column of a query, as the bytes of an array of int64. */
static PyObject *host_integers(PyObject *self, PyObject *arguments) {
  const char *sql = only_text(arguments);
  sqlite3 *db = database(self);
  sqlite3_stmt *statement = NULL;
  sqlite3_int64 *numbers = NULL;
  size_t count = 0, room = 0;
  char *message = NULL;
  PyObject *result = NULL;
  void *thread;
  int rc;

  if (sql == NULL || db == NULL) return NULL;
  thread = py.PyEval_SaveThread(); /* the statement may come back to our tables */
  rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
    if (count == room) {
      sqlite3_int64 *more = sqlite3_realloc64(numbers, (room = 2 * room + 1024) * sizeof(*numbers));

      if (more == NULL) {
        rc = SQLITE_NOMEM;
        break;
      }
      numbers = more;
    }
    numbers[count++] = sqlite3_column_int64(statement, 0);
    rc = SQLITE_OK;
  }
  if (rc != SQLITE_DONE) message = sqlite3_mprintf("%s", rc == SQLITE_NOMEM ? "out of memory" : sqlite3_errmsg(db));
  sqlite3_finalize(statement);
  py.PyEval_RestoreThread(thread);
  if (rc == SQLITE_DONE) {
    result = py.PyBytes_FromStringAndSize((const char *)numbers, (Py_ssize_t)(count * sizeof(*numbers)));
  } else if (!py.PyErr_Occurred()) { /* a table of ours may have left an exception */
    py.PyErr_SetString(*py.runtime_error, message ? message : "out of memory");
  }
  sqlite3_free(message);
  sqlite3_free(numbers);
  return result;
}

static PyObject *host_changes(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return py.PyLong_FromLongLong(sqlite3_total_changes(database(self)));
}

static PyObject *host_finds(PyObject *self, PyObject *arguments) {
  const char *sql = only_text(arguments);
  sqlite3 *db = database(self);
  sqlite3_stmt *statement = NULL;
  void *thread;
  int rc;

  if (sql == NULL || db == NULL) return NULL;
  thread = py.PyEval_SaveThread();
  rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(statement);
  sqlite3_finalize(statement);
  py.PyEval_RestoreThread(thread);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? boolean(rc == SQLITE_ROW) : none();
}

/* The statement behind `statement` (NULL: the first) that is in the middle of writing, or NULL. */
static sqlite3_stmt *writing_after(sqlite3 *db, sqlite3_stmt *statement) {
  do {
    statement = sqlite3_next_stmt(db, statement);
  } while (statement != NULL && (!sqlite3_stmt_busy(statement) || sqlite3_stmt_readonly(statement)));
  return statement;
}

/* Characters of a statement that Python looks at (HEAD in vtab/statement_text.py), in bytes. */
enum { HEAD = 1 << 14, WHOLE = 1 << 30 }; /* SQLite takes none that is longer */

/* The text of a statement, or at most the first `most` bytes; None if it keeps none (sqlite3_prepare) or is no UTF-8. */
static PyObject *statement_text(sqlite3_stmt *statement, Py_ssize_t most) {
  const char *sql = sqlite3_sql(statement);
  Py_ssize_t size = 0;
  PyObject *text;

  if (sql == NULL) return none();
  while (size < most && sql[size] != '\0') size++;
  if (sql[size] != '\0') {
    while (size > 0 && ((unsigned char)sql[size] & 0xC0) == 0x80) size--; /* not within a character */
  }
  text = py.PyUnicode_FromStringAndSize(sql, size);
  if (text != NULL) return text;
  py.PyErr_Clear();
  return none();
}

/* The texts of the statements that are in the middle of writing, if they have at least `columns` columns. */
static PyObject *writing_texts(sqlite3 *db, int columns, Py_ssize_t most) {
  sqlite3_stmt *each = NULL;
  PyObject *texts;
  int count = 0, i = 0;

  while ((each = writing_after(db, each)) != NULL) count += sqlite3_column_count(each) >= columns;
  texts = py.PyTuple_New(count);
  while (texts != NULL && (each = writing_after(db, each)) != NULL) {
    if (sqlite3_column_count(each) >= columns) py.PyTuple_SetItem(texts, i++, statement_text(each, most));
  }
  return texts;
}

static PyObject *host_writing(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return writing_texts(database(self), 0, HEAD);
}

static PyObject *host_returning(PyObject *self, PyObject *arguments) {
  (void)arguments;
  return writing_texts(database(self), 1, WHOLE); /* those of INSERT … RETURNING */
}

/* In the order of NativeHost. */
static struct PyMethodDef HOST[] = {
    {"execute", host_execute, METH_VARARGS, "Run statements."},
    {"db_filename", host_filename, METH_VARARGS, "The file of an attached database."},
    {"last_insert_rowid", host_rowid, METH_NOARGS, "The rowid of the last INSERT."},
    {"set_last_insert_rowid", host_set_rowid, METH_VARARGS, "Let that be another one from now on."},
    {"vtab_on_conflict", host_conflict, METH_NOARGS, "The conflict mode of the statement that calls xUpdate."},
    {"autocommit", host_autocommit, METH_NOARGS, "Whether no transaction was begun by hand."},
    {"total_changes", host_changes, METH_NOARGS, "Rows changed by the statements that have ended."},
    {"finds", host_finds, METH_VARARGS, "Whether a SELECT has a row; None if it cannot be run."},
    {"writing", host_writing, METH_NOARGS, "The texts of the statements that are in the middle of writing."},
    {"returning", host_returning, METH_NOARGS, "The texts of those with a RETURNING clause."},
    {"integers", host_integers, METH_VARARGS, "The integers of the first column of a query."},
};
enum { HOST_COUNT = sizeof(HOST) / sizeof(HOST[0]) };

/* ---- scalar functions -------------------------------------------------------------------------------------------- */

#define DIRECTONLY 0x80000 /* headers before 3.31 and 3.31 have no names for these */
#define INNOCUOUS 0x200000

/* The scalar functions, each with `fewest` to `most` arguments; Python has the same, of udfs.all_functions(). */
static const struct {
  const char *name;
  int fewest, most, flags;
} SCALARS[] = {
    {"audiomem_version", 0, 0, INNOCUOUS},
    {"embed", 1, 3, DIRECTONLY},
    {"audiomem_device", 0, 1, DIRECTONLY},
    {"vec_from_json", 1, 1, INNOCUOUS},
    {"vec_to_json", 1, 1, INNOCUOUS},
    {"cosine_distance", 2, 2, INNOCUOUS},
    {"l2_distance", 2, 2, INNOCUOUS},
    {"highlight", 2, 4, 0},
    {"snippet", 2, 6, 0},
    {"decimal_add", 2, 2, INNOCUOUS},
    {"decimal_sub", 2, 2, INNOCUOUS},
    {"decimal_mul", 2, 2, INNOCUOUS},
    {"decimal_cmp", 2, 2, INNOCUOUS},
    {"bm25", 0, 65, 0},
};
enum { SCALAR_COUNT = sizeof(SCALARS) / sizeof(SCALARS[0]) };

/* The table-valued functions, of vtab/table_functions.py. */
static const char *const TABLE_FUNCTIONS[] = {
    "audiomem_explain", "audiomem_vocabulary", "audiomem_suggest",  "audiomem_verify",     "audiomem_bands",
    "audiomem_snapshots", "audiomem_cache",    "audiomem_changes",  "audiomem_knn",        "audiomem_duplicates",
    "audiomem_clusters",  "audiomem_cluster_rows", "audiomem_map",
};
enum { TABLE_FUNCTION_COUNT = sizeof(TABLE_FUNCTIONS) / sizeof(TABLE_FUNCTIONS[0]) };

struct scalar {
  struct door *door;
  const char *name;
  PyObject *callable; /* NULL before its first use */
};

int function_opened(sqlite3_context *context, struct door *door) {
  char *message = NULL;
  int rc = door_open(door, &message);

  if (rc == SQLITE_OK) return 1;
  sqlite3_result_error(context, message ? message : "out of memory", -1);
  sqlite3_result_error_code(context, rc);
  sqlite3_free(message);
  return 0;
}

static void scalar_in(const sqlite3_api_routines *library, sqlite3_context *context, int argc, sqlite3_value **argv) {
  const void *before = host;
  struct scalar *scalar;
  PyObject *arguments = NULL, *result = NULL;
  char *message = NULL;
  struct cell cell;
  struct gil gil;
  int i, rc, is_open;

  host = library;
  scalar = sqlite3_user_data(context);
  is_open = function_opened(context, scalar->door);
  host = before;
  if (!is_open) return;
  gil = gil_take(library);
  if (!gil.entered) {
    sqlite3_result_error(context, "audiomem: Python has ended in this process", -1);
    gil_give(&gil);
    return;
  }
  not_utf8 = 0;
  if (scalar->callable == NULL) scalar->callable = door_named(scalar->door, "scalar", scalar->name);
  if (scalar->callable != NULL) arguments = py.PyTuple_New(argc);
  for (i = 0; arguments != NULL && i < argc; i++) {
    PyObject *item = python_value(argv[i]);

    if (item == NULL) {
      py.Py_DecRef(arguments);
      arguments = NULL;
    } else {
      py.PyTuple_SetItem(arguments, i, item);
    }
  }
  if (arguments != NULL && not_utf8) {
    result = call(scalar->door->object, "not_utf8", arguments);
  } else if (arguments != NULL) {
    result = py.PyObject_CallObject(scalar->callable, arguments);
    host = library;
    py.Py_DecRef(arguments);
  }
  if (cell_read(&cell, result) < 0) {
    rc = explain(scalar->door->object, &message);
    sqlite3_result_error(context, message ? message : "out of memory", -1);
    sqlite3_result_error_code(context, rc);
    sqlite3_free(message);
  } else {
    cell_result(context, &cell);
  }
  if (result != NULL) py.Py_DecRef(result);
  gil_give(&gil);
}

#define SCALAR_CALL(number)                                                                      \
  static void scalar_call_##number(sqlite3_context *context, int argc, sqlite3_value **argv) { \
    scalar_in(libraries[number], context, argc, argv);                                         \
  }
SCALAR_CALL(0)
SCALAR_CALL(1)
SCALAR_CALL(2)
SCALAR_CALL(3)
static void (*const SCALAR_CALLS[MOST_LIBRARIES])(sqlite3_context *, int, sqlite3_value **) = {
    scalar_call_0, scalar_call_1, scalar_call_2, scalar_call_3};

static void scalar_forget(void *aux) {
  struct scalar *scalar = aux;
  struct gil gil = gil_take(scalar->door->api);

  if (gil.entered && scalar->callable != NULL) py.Py_DecRef(scalar->callable);
  door_release(scalar->door);
  sqlite3_free(scalar);
  gil_give(&gil);
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

/* Call audiomem_sql.loadable.attach(*host functions). NULL with an exception. */
static PyObject *attach(sqlite3 *db) {
  PyObject *module = py.PyImport_ImportModule(PYTHON_LOADABLE), *self, *arguments, *result = NULL;
  int i;

  if (module == NULL) return NULL;
  self = py.PyCapsule_New(db, "sqlite3", NULL);
  arguments = py.PyTuple_New(HOST_COUNT);
  for (i = 0; self != NULL && arguments != NULL && i < HOST_COUNT; i++) {
    py.PyTuple_SetItem(arguments, i, py.PyCFunction_NewEx(&HOST[i], self, NULL));
  }
  if (self != NULL && arguments != NULL) result = call(module, PYTHON_ATTACH, arguments);
  if (self != NULL) py.Py_DecRef(self);
  py.Py_DecRef(module);
  return result;
}

const sqlite3_api_routines *libraries[MOST_LIBRARIES];

int library_number(const sqlite3_api_routines *library) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  int i;

  pthread_mutex_lock(&mutex);
  for (i = 0; i < MOST_LIBRARIES && libraries[i] != library; i++) {
    if (libraries[i] == NULL) libraries[i] = library;
    if (libraries[i] == library) break;
  }
  pthread_mutex_unlock(&mutex);
  return i < MOST_LIBRARIES ? i : -1;
}

int door_open(struct door *door, char **message) {
  char *failed = NULL;
  const void *before = host;
  struct gil gil;
  int rc;

  if (door->object != NULL) return SQLITE_OK;
  host = door->api;
  rc = runtime_start(&failed);
  if (rc < 0) *message = sqlite_words(failed);
  host = before;
  if (rc < 0) return SQLITE_ERROR;
  gil = gil_take(door->api);
  if (!gil.entered) {
    *message = sqlite3_mprintf("audiomem: Python has ended in this process");
  } else {
    door->object = attach(door->db);
    if (door->object == NULL) *message = sqlite_words(import_failed());
  }
  gil_give(&gil);
  return door->object == NULL ? SQLITE_ERROR : SQLITE_OK;
}

PyObject *door_named(struct door *door, const char *method, const char *name) {
  PyObject *text = text_object(name), *arguments = text == NULL ? NULL : tuple(1, &text);

  return arguments == NULL ? NULL : call(door->object, method, arguments);
}

static int register_scalars(sqlite3 *db, struct door *door) {
  int i, count, rc = SQLITE_OK;

  for (i = 0; i < SCALAR_COUNT; i++) {
    for (count = SCALARS[i].fewest; rc == SQLITE_OK && count <= SCALARS[i].most; count++) {
      struct scalar *scalar = sqlite3_malloc(sizeof(*scalar));

      if (scalar == NULL) return SQLITE_NOMEM;
      scalar->door = door;
      scalar->name = SCALARS[i].name;
      scalar->callable = NULL;
      door->references++;
      rc = sqlite3_create_function_v2(db, scalar->name, count, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SCALARS[i].flags,
                                      scalar, SCALAR_CALLS[library_number(door->api)], NULL, NULL, scalar_forget);
    }
  }
  return rc;
}

static int register_functions(sqlite3 *db, struct door *door) {
  int i, rc = SQLITE_OK;

  for (i = 0; rc == SQLITE_OK && i < TABLE_FUNCTION_COUNT; i++) {
    struct function *function = sqlite3_malloc(sizeof(*function));

    if (function == NULL) return SQLITE_NOMEM;
    function->door = door;
    function->name = TABLE_FUNCTIONS[i];
    function->object = NULL;
    door->references++;
    rc = register_function(db, function);
  }
  return rc;
}

/* Only names are registered, unless Python runs: it is started when one of them is used. */
static int register_all(sqlite3 *db, char **message) {
  struct door *door = sqlite3_malloc(sizeof(*door));
  int rc = SQLITE_OK;

  if (door == NULL) return SQLITE_NOMEM;
  door->api = sqlite3_api;
  door->db = db;
  door->object = NULL;
  door->references = 1; /* this function's */
  if (library_number(door->api) < 0) {
    *message = sqlite3_mprintf("audiomem: it is loaded into more than %d libraries of SQLite in this process", MOST_LIBRARIES);
    rc = SQLITE_ERROR;
  }
  if (rc == SQLITE_OK && runtime_runs()) rc = door_open(door, message);
  if (rc == SQLITE_OK) rc = sqlite3_create_collation_v2(db, "audiomem_time", SQLITE_UTF8, NULL, compare_times, NULL);
  if (rc == SQLITE_OK) {
    rc = sqlite3_create_collation_v2(db, "audiomem_decimal", SQLITE_UTF8, NULL, compare_numbers, NULL);
  }
  if (rc == SQLITE_OK) {
    door->references++;
    rc = register_module(db, door);
  }
  if (rc == SQLITE_OK) rc = register_scalars(db, door);
  if (rc == SQLITE_OK) rc = register_aggregates(db, door);
  if (rc == SQLITE_OK) rc = register_functions(db, door);
  door_release(door);
  return rc;
}

#ifdef __GNUC__
__attribute__((visibility("default")))
#endif
int sqlite3_audiomem_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
  char *failed = NULL;
  int rc;

  host = api;
  if (sqlite3_libversion_number() < 3026000) { /* SQLITE_VTAB_DIRECTONLY is younger; nothing else is needed of 3.31 */
    *message = sqlite3_mprintf("audiomem: SQLite 3.26 or newer is needed, and this is %s", sqlite3_libversion());
    return SQLITE_ERROR;
  }
  if (runtime_find(&failed) < 0) {
    *message = sqlite_words(failed);
    return SQLITE_ERROR;
  }
  rc = register_all(db, message);
  return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}

/* The other entry point, for hosts that open connections of their own accord, as litecli does for its completion:
** every connection that is opened from now on, by this SQLite in this process, has the module. The caller's own does
** not get it. It is asked for by name only: a host that opens strangers' databases beside its own decides for itself.
*/
#ifdef __GNUC__
__attribute__((visibility("default")))
#endif
int audiomem_every_connection(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
  int rc;

  (void)db;
  (void)message;
  host = api;
  rc = sqlite3_auto_extension((void (*)(void))sqlite3_audiomem_init);
  return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}
