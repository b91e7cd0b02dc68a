/* The virtual table: SQLite's methods, each a call of Python's half (vtab/extension.py) but for stepping through a part.
**
** The same methods serve the table-valued functions, which are only read.
*/
#include "audiomem.h"

#include <string.h>

struct table {
  sqlite3_vtab base;
  const sqlite3_api_routines *api;
  PyObject *object; /* NativeTable or FunctionTable */
  struct plans plans;
};

struct cursor {
  sqlite3_vtab_cursor base;
  PyObject *object; /* NativeCursor or FunctionCursor */
  struct part part;
  Py_ssize_t row;
};

static const sqlite3_api_routines *api_of(const sqlite3_vtab *vtab) { return ((const struct table *)vtab)->api; }

static const char ENDED[] = "audiomem: Python has ended in this process";

static PyObject *values_of(int count, sqlite3_value **values) {
  PyObject *made = py.PyTuple_New(count);
  int i;

  for (i = 0; made != NULL && i < count; i++) {
    PyObject *item = python_value(values[i]);

    if (item == NULL) {
      py.Py_DecRef(made);
      return NULL;
    }
    py.PyTuple_SetItem(made, i, item);
  }
  return made;
}

/* Call a method of a table that returns nothing of interest. `argument`: NULL without one. */
static int call_table(sqlite3_vtab *vtab, const char *method, PyObject *argument) {
  PyObject *result = call(((struct table *)vtab)->object, method, argument);

  if (result == NULL) return explain(((struct table *)vtab)->object, &vtab->zErrMsg);
  py.Py_DecRef(result);
  return SQLITE_OK;
}

static int ended(sqlite3_vtab *vtab) {
  sqlite3_free(vtab->zErrMsg);
  vtab->zErrMsg = sqlite3_mprintf("%s", ENDED);
  return SQLITE_ERROR;
}

/* ---- create, connect, disconnect ------------------------------------------------------------------------------- */

/* The vtab of a (declaration, object) pair, which is taken over. */
static int declare(sqlite3 *db, PyObject *declaration, PyObject *object, sqlite3_vtab **out, char **message) {
  struct table *table;
  struct cell text;
  int rc;

  if (cell_read(&text, declaration) < 0 || text.type != 't') return explain(object, message);
  rc = sqlite3_declare_vtab(db, text.as.bytes.data);
  if (rc != SQLITE_OK) {
    *message = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    return rc;
  }
  table = sqlite3_malloc(sizeof(*table));
  if (table == NULL) return SQLITE_NOMEM;
  memset(table, 0, sizeof(*table));
  py.Py_IncRef(object);
  table->object = object;
  table->api = sqlite3_api;
  *out = &table->base;
  return SQLITE_OK;
}

static int make(sqlite3 *db, struct door *door, int again, int argc, const char *const *argv, sqlite3_vtab **out,
                char **message) {
  struct gil gil;
  PyObject *arguments, *pair;
  int i, rc = door_open(door, message);

  if (rc != SQLITE_OK) return rc;
  gil = gil_take(door->api);
  if (!gil.entered) {
    *message = sqlite3_mprintf("%s", ENDED);
    return SQLITE_ERROR;
  }
  sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  arguments = py.PyTuple_New(argc); /* again, then argv from the database on */
  for (i = 0; arguments != NULL && i < argc; i++) {
    PyObject *item = i == 0 ? py.PyLong_FromLongLong(again) : text_object(argv[i]);

    if (item == NULL) {
      py.Py_DecRef(arguments);
      arguments = NULL;
    } else {
      py.PyTuple_SetItem(arguments, i, item);
    }
  }
  pair = arguments == NULL ? NULL : call(door->object, "create", arguments);
  if (pair == NULL) {
    rc = explain(door->object, message);
  } else {
    PyObject *object = py.PyTuple_GetItem(pair, 1), *closed;

    rc = declare(db, py.PyTuple_GetItem(pair, 0), object, out, message);
    if (rc != SQLITE_OK) {
      closed = call(object, "disconnect", NULL);
      if (closed == NULL) py.PyErr_Clear();
      else py.Py_DecRef(closed);
    }
    py.Py_DecRef(pair);
  }
  gil_give(&gil);
  return rc;
}

static int create_table(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **message) {
  return make(db, aux, 0, argc, argv, out, message);
}

static int connect_table(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out,
                         char **message) {
  return make(db, aux, 1, argc, argv, out, message);
}

static int connect_function(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out,
                            char **message) {
  struct function *function = aux;
  struct gil gil;
  PyObject *declaration;
  int rc = door_open(function->door, message);

  (void)argc;
  (void)argv;
  if (rc != SQLITE_OK) return rc;
  gil = gil_take(function->door->api);
  if (!gil.entered) {
    *message = sqlite3_mprintf("%s", ENDED);
    return SQLITE_ERROR;
  }
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  if (function->object == NULL) function->object = door_named(function->door, "function", function->name);
  declaration = function->object == NULL ? NULL : py.PyObject_GetAttrString(function->object, "declaration");
  if (declaration == NULL) {
    rc = explain(function->door->object, message);
  } else {
    rc = declare(db, declaration, function->object, out, message);
    py.Py_DecRef(declaration);
  }
  gil_give(&gil);
  return rc;
}

static int disconnect(sqlite3_vtab *vtab) {
  struct table *table = (struct table *)vtab;
  struct gil gil = gil_take(api_of(vtab));

  if (gil.entered) {
    /* closing can fail, too (a full disk): the log then stays, with every commit in it, and SQLite would keep the table */
    int rc = call_table(vtab, "disconnect", NULL);

    if (rc != SQLITE_OK) sqlite3_log(rc, "audiomem: %s", vtab->zErrMsg);
    py.Py_DecRef(table->object);
    py.PyErr_Clear();
  }
  plans_free(&table->plans);
  sqlite3_free(vtab->zErrMsg);
  sqlite3_free(table);
  gil_give(&gil);
  return SQLITE_OK;
}

/* DROP TABLE: the file is the user's, and stays; the log of SQLite says so. */
static int destroy(sqlite3_vtab *vtab) {
  struct gil gil = gil_take(api_of(vtab));

  if (gil.entered) {
    PyObject *said = call(((struct table *)vtab)->object, "dropped", NULL);
    struct cell text;

    if (said != NULL && cell_read(&text, said) == 0 && text.type == 't')
      sqlite3_log(SQLITE_NOTICE, "%s", text.as.bytes.data);
    if (said != NULL) py.Py_DecRef(said);
    py.PyErr_Clear();
  }
  gil_give(&gil);
  return disconnect(vtab);
}

/* ---- planning -------------------------------------------------------------------------------------------------- */

static PyObject *condition(sqlite3_index_info *info, int i) {
  const struct sqlite3_index_constraint *asked = &info->aConstraint[i];
  int newest = sqlite3_libversion_number() >= 3038000;
  int of_rows = asked->op != SQLITE_INDEX_CONSTRAINT_LIMIT && asked->op != SQLITE_INDEX_CONSTRAINT_OFFSET;
  sqlite3_value *value = NULL;
  const char *collation = "BINARY";
  int in_list = 0;
  PyObject *items[6];

  if (newest && sqlite3_vtab_rhs_value(info, i, &value) != SQLITE_OK) value = NULL;
  if (of_rows) collation = sqlite3_vtab_collation(info, i);
  if (asked->usable && of_rows) in_list = newest && sqlite3_vtab_in(info, i, -1);
  items[0] = py.PyLong_FromLongLong(asked->iColumn);
  items[1] = py.PyLong_FromLongLong(asked->op);
  items[2] = boolean(asked->usable);
  items[3] = text_object(collation ? collation : "BINARY");
  not_utf8 = 0;
  items[4] = value == NULL ? NULL : python_value(value);
  if (value == NULL || (items[4] != NULL && not_utf8)) { /* what is wrong with it is told when it is compared */
    if (items[4] != NULL) py.Py_DecRef(items[4]);
    py.Py_IncRef(py.none);
    items[4] = py.none;
  }
  items[5] = boolean(in_list);
  return tuple(6, items);
}

static PyObject *index_request(sqlite3_index_info *info) {
  PyObject *conditions = py.PyTuple_New(info->nConstraint), *order = py.PyTuple_New(info->nOrderBy);
  PyObject *items[3];
  int i;

  for (i = 0; conditions != NULL && i < info->nConstraint; i++) {
    PyObject *item = condition(info, i);

    if (item == NULL) {
      py.Py_DecRef(conditions);
      conditions = NULL;
    } else {
      py.PyTuple_SetItem(conditions, i, item);
    }
  }
  for (i = 0; order != NULL && i < info->nOrderBy; i++) {
    PyObject *pair[2], *item;

    pair[0] = py.PyLong_FromLongLong(info->aOrderBy[i].iColumn);
    pair[1] = boolean(info->aOrderBy[i].desc);
    item = tuple(2, pair);
    if (item == NULL) {
      py.Py_DecRef(order);
      order = NULL;
    } else {
      py.PyTuple_SetItem(order, i, item);
    }
  }
  items[0] = conditions;
  items[1] = order;
  items[2] = py.PyLong_FromUnsignedLongLong(info->colUsed);
  return tuple(3, items);
}

/* (uses, text, number, cost, rows, ordered, unique), see Planned in vtab/extension.py. -1 with an exception. */
static int set_plan(sqlite3_index_info *info, PyObject *plan) {
  PyObject *uses = py.PyTuple_GetItem(plan, 0);
  struct cell text;
  int i;

  for (i = 0; i < info->nConstraint; i++) {
    PyObject *use = py.PyTuple_GetItem(uses, i);

    if (use == NULL) return -1;
    info->aConstraintUsage[i].argvIndex = (int)py.PyLong_AsLongLong(py.PyTuple_GetItem(use, 0));
    info->aConstraintUsage[i].omit = (unsigned char)py.PyObject_IsTrue(py.PyTuple_GetItem(use, 1));
    if (sqlite3_libversion_number() >= 3038000 && py.PyObject_IsTrue(py.PyTuple_GetItem(use, 2)) > 0) {
      sqlite3_vtab_in(info, i, 1);
    }
  }
  if (cell_read(&text, py.PyTuple_GetItem(plan, 1)) < 0) return -1;
  info->idxStr = sqlite3_mprintf("%s", text.as.bytes.data);
  info->needToFreeIdxStr = 1;
  info->idxNum = (int)py.PyLong_AsLongLong(py.PyTuple_GetItem(plan, 2));
  info->estimatedCost = py.PyFloat_AsDouble(py.PyTuple_GetItem(plan, 3));
  info->estimatedRows = py.PyLong_AsLongLong(py.PyTuple_GetItem(plan, 4));
  info->orderByConsumed = py.PyObject_IsTrue(py.PyTuple_GetItem(plan, 5));
  info->idxFlags = py.PyObject_IsTrue(py.PyTuple_GetItem(plan, 6)) ? SQLITE_INDEX_SCAN_UNIQUE : 0;
  return py.PyErr_Occurred() ? -1 : 0;
}

static int best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
  struct table *table = (struct table *)vtab;
  struct gil gil;
  PyObject *request, *result;
  int rc = SQLITE_OK;

  host = api_of(vtab);
  if (plans_find(&table->plans, info, &rc)) return rc;
  gil = gil_take(api_of(vtab));
  if (!gil.entered) return ended(vtab);
  request = index_request(info);
  result = request == NULL ? NULL : call(table->object, "planned", request);
  if (result == py.none) {
    rc = SQLITE_CONSTRAINT; /* not with these conditions */
  } else if (result == NULL || set_plan(info, result) < 0) {
    rc = explain(table->object, &vtab->zErrMsg);
    if (result != NULL) py.Py_DecRef(result);
    gil_give(&gil);
    return rc;
  }
  plans_keep(&table->plans, info, result);
  py.Py_DecRef(result);
  gil_give(&gil);
  return rc;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static int open_cursor(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
  struct table *table = (struct table *)vtab;
  struct gil gil = gil_take(api_of(vtab));
  struct cursor *cursor;
  int rc = SQLITE_OK;

  if (!gil.entered) return ended(vtab);
  plans_forget(&table->plans); /* what is new is looked for */
  cursor = sqlite3_malloc(sizeof(*cursor));
  if (cursor == NULL) {
    rc = SQLITE_NOMEM;
  } else {
    memset(cursor, 0, sizeof(*cursor));
    cursor->object = call(table->object, "open", NULL);
    if (cursor->object == NULL) {
      rc = explain(table->object, &vtab->zErrMsg);
      sqlite3_free(cursor);
    } else {
      *out = &cursor->base;
    }
  }
  gil_give(&gil);
  return rc;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
  struct cursor *cursor = (struct cursor *)base;
  struct gil gil = gil_take(api_of(base->pVtab));

  if (gil.entered) {
    PyObject *result = call(cursor->object, "close", NULL);

    if (result == NULL) py.PyErr_Clear();
    else py.Py_DecRef(result);
    part_drop(&cursor->part);
    py.Py_DecRef(cursor->object);
  }
  sqlite3_free(cursor);
  gil_give(&gil);
  return SQLITE_OK;
}

/* Go to the first row of the part that Python gave; NULL: an exception instead of one. */
static int take(struct cursor *cursor, PyObject *given) {
  sqlite3_vtab *vtab = cursor->base.pVtab;

  cursor->row = 0;
  if (given == NULL || part_take(&cursor->part, given) < 0) {
    int rc = explain(((struct table *)vtab)->object, &vtab->zErrMsg);

    part_drop(&cursor->part);
    return rc;
  }
  return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int number, const char *text, int argc, sqlite3_value **argv) {
  struct cursor *cursor = (struct cursor *)base;
  struct gil gil = gil_take(api_of(base->pVtab));
  PyObject *items[2], *arguments;
  int rc;

  (void)number;
  if (!gil.entered) return ended(base->pVtab);
  not_utf8 = 0;
  items[0] = text_object(text);
  items[1] = values_of(argc, argv);
  arguments = tuple(2, items);
  rc = take(cursor, arguments == NULL ? NULL : call(cursor->object, not_utf8 ? "not_utf8" : "filter", arguments));
  gil_give(&gil);
  return rc;
}

static int next(sqlite3_vtab_cursor *base) {
  struct cursor *cursor = (struct cursor *)base;
  struct gil gil;
  int rc;

  if (++cursor->row < cursor->part.rows) return SQLITE_OK;
  gil = gil_take(api_of(base->pVtab));
  if (!gil.entered) return ended(base->pVtab);
  rc = take(cursor, call(cursor->object, "next", NULL));
  gil_give(&gil);
  return rc;
}

static int eof(sqlite3_vtab_cursor *base) {
  struct cursor *cursor = (struct cursor *)base;

  return cursor->row >= cursor->part.rows;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int number) {
  struct cursor *cursor = (struct cursor *)base;
  PyObject *items[2], *arguments, *value;
  struct cell cell;
  struct gil gil;
  int rc = SQLITE_OK;

  host = api_of(base->pVtab);
  if (number < 0) {
    sqlite3_result_int64(context, part_rowid(&cursor->part, cursor->row));
    return SQLITE_OK;
  }
  /* an UPDATE of other columns keeps NaN and -0.0, which SQLite would hand back as NULL and 0.0 */
  if (sqlite3_vtab_nochange(context) && part_is_altered(&cursor->part, number, cursor->row)) return SQLITE_OK;
  if (part_result(&cursor->part, number, cursor->row, context)) return SQLITE_OK;
  gil = gil_take(api_of(base->pVtab));
  if (!gil.entered) return ended(base->pVtab);
  items[0] = py.PyLong_FromLongLong(number);
  items[1] = py.PyLong_FromLongLong(cursor->row);
  arguments = tuple(2, items);
  value = arguments == NULL ? NULL : call(cursor->object, "other", arguments);
  if (value != NULL && !is_value(value)) {
    object_result(context, value);
  } else if (cell_read(&cell, value) < 0) {
    rc = explain(((struct table *)base->pVtab)->object, &base->pVtab->zErrMsg);
  } else if (!(sqlite3_vtab_nochange(context) && cell.type == 'f' && is_altered(cell.as.real))) {
    cell_result(context, &cell);
  }
  if (value != NULL) py.Py_DecRef(value);
  gil_give(&gil);
  return rc;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  struct cursor *cursor = (struct cursor *)base;

  *out = part_rowid(&cursor->part, cursor->row);
  return SQLITE_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static int update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *new_rowid) {
  struct table *table = (struct table *)vtab;
  struct gil gil = gil_take(api_of(vtab));
  PyObject *items[3], *arguments, *result = NULL;
  const char *method;
  int count = 0, rc = SQLITE_OK;
  struct cell cell;

  if (!gil.entered) return ended(vtab);
  not_utf8 = 0;
  plans_forget(&table->plans);
  if (argc == 1) {
    method = "delete";
    items[count++] = python_value(argv[0]);
  } else {
    method = "insert";
    if (sqlite3_value_type(argv[0]) != SQLITE_NULL) {
      method = "change";
      items[count++] = python_value(argv[0]);
    }
    items[count++] = python_value(argv[1]);
    items[count++] = values_of(argc - 2, argv + 2);
  }
  arguments = tuple(count, items);
  if (arguments != NULL) result = call(table->object, not_utf8 ? "not_utf8" : method, arguments);
  if (result == NULL || cell_read(&cell, result) < 0) {
    rc = explain(table->object, &vtab->zErrMsg);
  } else if (argc > 1 && cell.type != 'i') {
    rc = SQLITE_CONSTRAINT; /* OR IGNORE dropped the row; SQLite then does not count it in changes() */
  } else if (cell.type == 'i') {
    *new_rowid = cell.as.integer;
  }
  if (result != NULL) py.Py_DecRef(result);
  gil_give(&gil);
  return rc;
}

static int simply(sqlite3_vtab *vtab, const char *method) {
  struct gil gil = gil_take(api_of(vtab));
  int rc;

  if (!gil.entered) return ended(vtab);
  plans_forget(&((struct table *)vtab)->plans);
  rc = call_table(vtab, method, NULL);
  gil_give(&gil);
  return rc;
}

static int begin(sqlite3_vtab *vtab) { return simply(vtab, "begin"); }
static int sync_table(sqlite3_vtab *vtab) { return simply(vtab, "sync"); }

/* SQLite does not ask how these two went. */
static int end(sqlite3_vtab *vtab, const char *method) {
  int rc = simply(vtab, method);

  if (rc != SQLITE_OK) sqlite3_log(rc, "audiomem: %s: %s", method, vtab->zErrMsg);
  return rc;
}

static int commit(sqlite3_vtab *vtab) { return end(vtab, "commit"); }
static int rollback(sqlite3_vtab *vtab) { return end(vtab, "rollback"); }

static int leveled(sqlite3_vtab *vtab, const char *method, int level) {
  struct gil gil = gil_take(api_of(vtab));
  PyObject *item;
  int rc;

  if (!gil.entered) return ended(vtab);
  plans_forget(&((struct table *)vtab)->plans);
  item = py.PyLong_FromLongLong(level);
  rc = call_table(vtab, method, tuple(1, &item));
  gil_give(&gil);
  return rc;
}

static int savepoint(sqlite3_vtab *vtab, int level) { return leveled(vtab, "savepoint", level); }
static int release(sqlite3_vtab *vtab, int level) { return leveled(vtab, "release", level); }
static int rollback_to(sqlite3_vtab *vtab, int level) { return leveled(vtab, "rollback_to", level); }

static int rename_table(sqlite3_vtab *vtab, const char *name) {
  struct gil gil = gil_take(api_of(vtab));
  PyObject *item;
  int rc;

  if (!gil.entered) return ended(vtab);
  item = text_object(name);
  rc = call_table(vtab, "rename", tuple(1, &item));
  gil_give(&gil);
  return rc;
}

static int integrity(sqlite3_vtab *vtab, const char *schema, const char *name, int flags, char **message) {
  struct table *table = (struct table *)vtab;
  struct gil gil = gil_take(api_of(vtab));
  PyObject *result;
  struct cell cell;
  int rc = SQLITE_OK;

  (void)schema;
  (void)name;
  (void)flags;
  if (!gil.entered) return ended(vtab);
  result = call(table->object, "faults", NULL);
  if (cell_read(&cell, result) < 0) {
    rc = explain(table->object, message);
  } else if (cell.type == 't') {
    *message = sqlite3_mprintf("%.*s", (int)cell.as.bytes.size, cell.as.bytes.data);
  }
  if (result != NULL) py.Py_DecRef(result);
  gil_give(&gil);
  return rc;
}

/* MATCH where no plan answers it: a function of SQLite that knows the row. */
static void match(sqlite3_context *context, int argc, sqlite3_value **argv) {
  sqlite3_vtab *vtab = sqlite3_user_data(context);
  struct table *table = (struct table *)vtab;
  struct gil gil = gil_take(api_of(vtab));
  PyObject *arguments, *result = NULL;
  char *message = NULL;
  struct cell cell;
  int rc;

  if (!gil.entered) {
    sqlite3_result_error(context, ENDED, -1);
    return;
  }
  arguments = values_of(argc, argv);
  if (arguments != NULL) result = call(table->object, "matches", arguments);
  if (cell_read(&cell, result) < 0) {
    rc = explain(table->object, &message);
    sqlite3_result_error(context, message ? message : "out of memory", -1);
    sqlite3_result_error_code(context, rc);
    sqlite3_free(message);
  } else {
    cell_result(context, &cell);
  }
  if (result != NULL) py.Py_DecRef(result);
  gil_give(&gil);
}

static int find_function(sqlite3_vtab *vtab, int argc, const char *name,
                         void (**function)(sqlite3_context *, int, sqlite3_value **), void **user) {
  if (argc != 2 || sqlite3_stricmp(name, "match") != 0) return 0;
  *function = match;
  *user = vtab;
  return 1;
}

/* ---- modules --------------------------------------------------------------------------------------------------- */

/* sqlite3_module as SQLite 3.44 knows it; headers and hosts before look at less of it. */
struct module {
  sqlite3_module base;
#if SQLITE_VERSION_NUMBER < 3044000
  int (*xIntegrity)(sqlite3_vtab *, const char *, const char *, int, char **);
#endif
};

static const struct module TABLES = {
    {
        .iVersion = 4,
        .xCreate = create_table,
        .xConnect = connect_table,
        .xBestIndex = best_index,
        .xDisconnect = disconnect,
        .xDestroy = destroy,
        .xOpen = open_cursor,
        .xClose = close_cursor,
        .xFilter = filter,
        .xNext = next,
        .xEof = eof,
        .xColumn = column,
        .xRowid = rowid,
        .xUpdate = update,
        .xBegin = begin,
        .xSync = sync_table,
        .xCommit = commit,
        .xRollback = rollback,
        .xFindFunction = find_function,
        .xRename = rename_table,
        .xSavepoint = savepoint,
        .xRelease = release,
        .xRollbackTo = rollback_to,
#if SQLITE_VERSION_NUMBER >= 3044000
        .xIntegrity = integrity,
#endif
    },
#if SQLITE_VERSION_NUMBER < 3044000
    .xIntegrity = integrity,
#endif
};

/* Without xCreate, so that it is a table by its name alone. */
static const sqlite3_module FUNCTIONS = {
    .iVersion = 1,
    .xConnect = connect_function,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column,
    .xRowid = rowid,
};

void door_release(struct door *door) {
  struct gil gil;

  if (--door->references > 0) return;
  gil = gil_take(door->api);
  if (gil.entered && door->object != NULL) py.Py_DecRef(door->object);
  sqlite3_free(door);
  gil_give(&gil);
}

static void forget_module(void *aux) { door_release(aux); }

static void forget_function(void *aux) {
  struct function *function = aux;
  struct gil gil = gil_take(function->door->api);

  if (gil.entered && function->object != NULL) py.Py_DecRef(function->object);
  door_release(function->door);
  sqlite3_free(function);
  gil_give(&gil);
}

/* Both call the destructor themselves when they fail. */
int register_module(sqlite3 *db, struct door *door) {
  return sqlite3_create_module_v2(db, "audiomem", &TABLES.base, door, forget_module);
}

int register_function(sqlite3 *db, struct function *function) {
  return sqlite3_create_module_v2(db, function->name, &FUNCTIONS, function, forget_function);
}
