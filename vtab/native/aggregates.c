/* Aggregates of one argument, which are window functions as well: an object of Python for each group has methods add,
** remove and result. */
#include "audiomem.h"

struct aggregate {
  struct door *door;
  const char *name;
  PyObject *make; /* NULL before its first use */
};

static const char *const NAMES[] = {"decimal_sum"};
enum { COUNT = sizeof(NAMES) / sizeof(NAMES[0]) };

/* Tell SQLite what Python said. */
static void fail(sqlite3_context *context, const struct aggregate *aggregate) {
  char *message = NULL;
  int rc = explain(aggregate->door->object, &message);

  sqlite3_result_error(context, message ? message : "out of memory", -1);
  sqlite3_result_error_code(context, rc);
  sqlite3_free(message);
}

/* The object of a group; NULL without an exception if it has none and none is to be made. */
static PyObject **state_of(sqlite3_context *context, struct aggregate *aggregate, int make) {
  PyObject **state = sqlite3_aggregate_context(context, make ? (int)sizeof(*state) : 0);

  if (make && aggregate->make == NULL) aggregate->make = door_named(aggregate->door, "aggregate", aggregate->name);
  if (make && aggregate->make == NULL) return NULL;
  if (state != NULL && *state == NULL && make) *state = py.PyObject_CallObject(aggregate->make, NULL);
  return state;
}

static void take(const sqlite3_api_routines *library, sqlite3_context *context, sqlite3_value *value, const char *method) {
  struct aggregate *aggregate;
  PyObject **state, *item, *arguments, *result = NULL;
  const void *before = host;
  struct gil gil;
  int is_open;

  host = library;
  aggregate = sqlite3_user_data(context);
  is_open = function_opened(context, aggregate->door);
  host = before;
  if (!is_open) return;
  gil = gil_take(library);
  if (!gil.entered) {
    sqlite3_result_error(context, "audiomem: Python has ended in this process", -1);
    gil_give(&gil);
    return;
  }
  not_utf8 = 0;
  state = state_of(context, aggregate, 1);
  item = state == NULL || *state == NULL ? NULL : python_value(value);
  arguments = item == NULL ? NULL : tuple(1, &item);
  if (arguments != NULL) result = call(not_utf8 ? aggregate->door->object : *state, not_utf8 ? "not_utf8" : method, arguments);
  if (result == NULL) fail(context, aggregate);
  else py.Py_DecRef(result);
  gil_give(&gil);
}

static void give(const sqlite3_api_routines *library, sqlite3_context *context, int last) {
  struct gil gil = gil_take(library);
  struct aggregate *aggregate = sqlite3_user_data(context);
  PyObject **state, *result = NULL;
  struct cell cell;

  if (!gil.entered) return;
  state = state_of(context, aggregate, 0);
  if (state == NULL || *state == NULL) {
    sqlite3_result_null(context);
  } else {
    result = call(*state, "result", NULL);
    if (cell_read(&cell, result) < 0) fail(context, aggregate);
    else cell_result(context, &cell);
    if (result != NULL) py.Py_DecRef(result);
    if (last) {
      py.Py_DecRef(*state);
      *state = NULL;
    }
  }
  gil_give(&gil);
}

struct callbacks {
  void (*step)(sqlite3_context *, int, sqlite3_value **);
  void (*final)(sqlite3_context *);
  void (*value)(sqlite3_context *);
  void (*inverse)(sqlite3_context *, int, sqlite3_value **);
};

#define CALLBACKS(number)                                                                                            \
  static void step_##number(sqlite3_context *context, int count, sqlite3_value **values) {                         \
    (void)count;                                                                                                   \
    take(libraries[number], context, values[0], "add");                                                            \
  }                                                                                                                \
  static void inverse_##number(sqlite3_context *context, int count, sqlite3_value **values) {                      \
    (void)count;                                                                                                   \
    take(libraries[number], context, values[0], "remove");                                                         \
  }                                                                                                                \
  static void value_##number(sqlite3_context *context) { give(libraries[number], context, 0); }                    \
  static void final_##number(sqlite3_context *context) { give(libraries[number], context, 1); }
CALLBACKS(0)
CALLBACKS(1)
CALLBACKS(2)
CALLBACKS(3)
static const struct callbacks EACH[MOST_LIBRARIES] = {{step_0, final_0, value_0, inverse_0},
                                                      {step_1, final_1, value_1, inverse_1},
                                                      {step_2, final_2, value_2, inverse_2},
                                                      {step_3, final_3, value_3, inverse_3}};

static void forget(void *aux) {
  struct aggregate *aggregate = aux;
  struct gil gil = gil_take(aggregate->door->api);

  if (gil.entered && aggregate->make != NULL) py.Py_DecRef(aggregate->make);
  door_release(aggregate->door);
  sqlite3_free(aggregate);
  gil_give(&gil);
}

int register_aggregates(sqlite3 *db, struct door *door) {
  const struct callbacks *own = &EACH[library_number(door->api)];
  int i, rc = SQLITE_OK;

  for (i = 0; rc == SQLITE_OK && i < COUNT; i++) {
    struct aggregate *aggregate = sqlite3_malloc(sizeof(*aggregate));

    if (aggregate == NULL) return SQLITE_NOMEM;
    aggregate->door = door;
    aggregate->name = NAMES[i];
    aggregate->make = NULL;
    door->references++;
    rc = sqlite3_create_window_function(db, NAMES[i], 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, aggregate,
                                        own->step, own->final, own->value, own->inverse, forget);
  }
  return rc;
}
