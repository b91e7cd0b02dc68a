/* Table functions: bound once a statement, read by several threads, part by part. */
#define _GNU_SOURCE
#include "duckdb_door.h"

#include <stdlib.h>
#include <unistd.h>

static PyObject *argument(duckdb_value value) {
  PyObject *made = value_object(value);

  if (value != NULL) duckdb_destroy_value(&value);
  return made;
}

static PyObject *argument_at(void *info, Py_ssize_t place) { return argument(duckdb_bind_get_parameter(info, (idx_t)place)); }

static PyObject *argument_called(void *info, const char *name) { return argument(duckdb_bind_get_named_parameter(info, name)); }

static PyObject *call_arguments(duckdb_bind_info info, PyObject *function) {
  const struct arguments given = {(Py_ssize_t)duckdb_bind_get_parameter_count(info), argument_at, argument_called};

  return arguments_of(function, &given, info);
}

static int add_column(void *info, const char *name, PyObject *type, const char *spelled) {
  duckdb_logical_type made = logical_of(type);

  (void)spelled;
  duckdb_bind_add_result_column(info, name, made);
  duckdb_destroy_logical_type(&made);
  return 0;
}

static void set_rows(void *info, idx_t rows) { duckdb_bind_set_cardinality(info, rows, false); }

static int read_settings(duckdb_bind_info info) {
  duckdb_client_context context = NULL;
  int rc;

  if (!has_next_band()) return 0;
  duckdb_table_function_get_client_context(info, &context);
  rc = use_cache(setting(context, CACHE_SETTING));
  duckdb_destroy_client_context(&context);
  return rc;
}

static void bind(duckdb_bind_info info) {
  PyObject *function = duckdb_bind_get_extra_info(info), *given, *source;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_bind_set_error(info, ENDED);
    return;
  }
  given = read_settings(info) < 0 ? NULL : call_arguments(info, function);
  source = given == NULL ? NULL : call(function, "bind", given);
  if (source == NULL || declare(source, add_column, set_rows, info) < 0) {
    REPORT(duckdb_bind_set_error, info);
    if (source != NULL) py.Py_DecRef(source);
  } else {
    duckdb_bind_set_bind_data(info, source, forget);
  }
  gil_give(&gil);
}

static void init_thread(duckdb_init_info info) {
  struct share *share = calloc(1, sizeof(*share));

  if (share == NULL) duckdb_init_set_error(info, "audiomem: out of memory");
  else duckdb_init_set_init_data(info, share, close_share);
}

static idx_t column_place(void *info, idx_t at) { return duckdb_init_get_column_index(info, at); }

static void init(duckdb_init_info info) {
  PyObject *source = duckdb_init_get_bind_data(info);
  char *failed;
  struct stream *stream = open_stream(source, duckdb_init_get_column_count(info), column_place, info, &failed);

  if (stream == NULL) duckdb_init_set_error(info, failed);
  else duckdb_init_set_init_data(info, stream, close_stream);
  free(failed);
  duckdb_init_set_max_threads(info, (idx_t)sysconf(_SC_NPROCESSORS_ONLN)); /* one, where the order of rows matters */
}

static void run(duckdb_function_info info, duckdb_data_chunk chunk) {
  struct stream *stream = duckdb_function_get_init_data(info);
  struct share *share = duckdb_function_get_local_init_data(info);
  char *failed;
  idx_t rows = ready_rows(stream, share, duckdb_vector_size(), &failed), i;

  if (failed != NULL) duckdb_function_set_error(info, failed);
  for (i = 0; rows > 0 && i < stream->count; i++) {
    if (stream->types[i] == 0) continue;
    fill(duckdb_data_chunk_get_vector(chunk, i), stream->types[i], &share->part.columns[i], share->row, rows);
  }
  share->row += (Py_ssize_t)rows;
  duckdb_data_chunk_set_size(chunk, rows);
  free(failed);
}

/* Give a function what all have: its object, the named parameters, and what DuckDB calls. */
static void complete(duckdb_table_function made, PyObject *object, PyObject *named, duckdb_table_function_bind_t binds) {
  Py_ssize_t i;

  for (i = 0; i < py.PyTuple_Size(named); i++) {
    PyObject *each = py.PyTuple_GetItem(named, i);
    duckdb_logical_type type = logical((int)number_at(each, 1), 0);

    duckdb_table_function_add_named_parameter(made, text_at(each, 0), type);
    duckdb_destroy_logical_type(&type);
  }
  duckdb_table_function_set_extra_info(made, kept(object), forget);
  duckdb_table_function_set_bind(made, binds);
  duckdb_table_function_set_init(made, init);
  duckdb_table_function_set_local_init(made, init_thread);
  duckdb_table_function_set_function(made, run);
}

/* Object: name, positional (types), named ((name, type), …), bind. -1 if it cannot be registered. */
int register_table_function(duckdb_connection connection, PyObject *object) {
  PyObject *name = py.PyObject_GetAttrString(object, "name"), *positional = py.PyObject_GetAttrString(object, "positional"),
           *named = py.PyObject_GetAttrString(object, "named");
  duckdb_table_function made = duckdb_create_table_function();
  struct cell text;
  Py_ssize_t i;
  int rc = -1;

  if (name != NULL && positional != NULL && named != NULL && cell_read(&text, name) == 0) {
    duckdb_table_function_set_name(made, text.as.bytes.data);
    for (i = 0; i < py.PyTuple_Size(positional); i++) {
      duckdb_logical_type type = logical((int)number_at(positional, i), 0);

      duckdb_table_function_add_parameter(made, type);
      duckdb_destroy_logical_type(&type);
    }
    complete(made, object, named, bind);
    duckdb_table_function_supports_projection_pushdown(made, true);
    rc = duckdb_register_table_function(connection, made) == DUCKDB_SUCCESS ? 0 : -1;
  }
  duckdb_destroy_table_function(&made);
  if (name != NULL) py.Py_DecRef(name);
  if (positional != NULL) py.Py_DecRef(positional);
  if (named != NULL) py.Py_DecRef(named);
  return rc;
}

/* ---- COPY … FROM ------------------------------------------------------------------------------------------------- */

/* (name, type) of a column of the table that COPY fills. */
static PyObject *target_column(void *info, Py_ssize_t place) {
  duckdb_logical_type type = duckdb_table_function_bind_get_result_column_type(info, (idx_t)place);
  PyObject *name = text_object(duckdb_table_function_bind_get_result_column_name(info, (idx_t)place));
  PyObject *made = tuple(2, (PyObject *[]){name, described(type)});

  duckdb_destroy_logical_type(&type);
  return made;
}

static void bind_copy(duckdb_bind_info info) {
  PyObject *function = duckdb_bind_get_extra_info(info), *given = NULL, *columns, *source = NULL;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_bind_set_error(info, ENDED);
    return;
  }
  columns = tuple_of((Py_ssize_t)duckdb_table_function_bind_get_result_column_count(info), target_column, info);
  if (columns != NULL) given = call_arguments(info, function);
  if (given != NULL) {
    source = call(function, "read", tuple(2, (PyObject *[]){columns, given}));
  } else if (columns != NULL) {
    py.Py_DecRef(columns);
  }
  if (source == NULL) REPORT(duckdb_bind_set_error, info);
  else duckdb_bind_set_bind_data(info, source, forget);
  gil_give(&gil);
}

duckdb_table_function copy_from_function(PyObject *object) {
  PyObject *named = py.PyObject_GetAttrString(object, "named");
  duckdb_logical_type path = logical(DUCKDB_VARCHAR, 0);
  duckdb_table_function made;

  if (named == NULL) return NULL;
  made = duckdb_create_table_function();
  duckdb_table_function_add_parameter(made, path);
  duckdb_destroy_logical_type(&path);
  complete(made, object, named, bind_copy);
  py.Py_DecRef(named);
  return made;
}
