/* COPY … TO, from DuckDB 1.5.6 on: bound, begun with a path, given vectors, finished. Python writes, vtab/duckdb/writing.py. */
#include "duckdb_door.h"

#include <stdlib.h>

struct options {
  duckdb_value values;
  duckdb_logical_type type;
};

static PyObject *option_at(void *data, Py_ssize_t place) {
  const struct options *options = data;
  duckdb_value value = duckdb_get_struct_child(options->values, (idx_t)place);
  char *name = duckdb_struct_type_child_name(options->type, (idx_t)place);
  PyObject *made = tuple(2, (PyObject *[]){text_object(name), value_object(value)});

  duckdb_free(name);
  duckdb_destroy_value(&value);
  return made;
}

/* ((NAME, value), …) of the options in brackets. */
static PyObject *options_of(duckdb_copy_info info) {
  duckdb_value values = duckdb_copy_function_bind_get_options(info);
  struct options options = {values, duckdb_get_value_type(values)}; /* the value's own; NULL without options */
  idx_t count = duckdb_is_null_value(values) ? 0 : duckdb_struct_type_child_count(options.type);
  PyObject *made = tuple_of((Py_ssize_t)count, option_at, &options);

  duckdb_destroy_value(&values);
  return made;
}

static PyObject *type_at(void *info, Py_ssize_t place) {
  duckdb_logical_type type = duckdb_copy_function_bind_get_column_type(info, (idx_t)place);
  PyObject *made = described(type);

  duckdb_destroy_logical_type(&type);
  return made;
}

struct settings {
  duckdb_client_context context;
  PyObject *names;
};

static PyObject *setting_at(void *data, Py_ssize_t place) {
  const struct settings *settings = data;

  return setting(settings->context, text_at(settings->names, place));
}

/* The values of the settings that the function names, in their order. */
static PyObject *settings_of(duckdb_copy_info info, PyObject *function) {
  struct settings settings = {NULL, py.PyObject_GetAttrString(function, "settings")};
  PyObject *made;

  if (settings.names == NULL) return NULL;
  settings.context = duckdb_copy_function_bind_get_client_context(info);
  made = tuple_of(py.PyTuple_Size(settings.names), setting_at, &settings);
  duckdb_destroy_client_context(&settings.context);
  py.Py_DecRef(settings.names);
  return made;
}

static void begin(duckdb_copy_info);
static void sink(duckdb_copy_info, duckdb_data_chunk);
static void finish(duckdb_copy_info);

static void bind(duckdb_copy_info info) {
  PyObject *function = duckdb_copy_function_bind_get_extra_info(info), *bound;
  idx_t count = duckdb_copy_function_bind_get_column_count(info);
  const void *const registered[] = {(void *)bind, (void *)begin, (void *)sink, (void *)finish, function};
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_copy_function_bind_set_error(info, ENDED);
    return;
  }
  bound = call(function, "bind",
               tuple(4, (PyObject *[]){copied_names(info, registered, count), tuple_of((Py_ssize_t)count, type_at, info), options_of(info),
                                       settings_of(info, function)}));
  if (bound == NULL) REPORT(duckdb_copy_function_bind_set_error, info);
  else duckdb_copy_function_bind_set_bind_data(info, bound, forget);
  gil_give(&gil);
}

/* The writer of a file, when DuckDB no longer needs it: whatever is not finished is taken back. */
static void drop(void *writer) {
  struct gil gil = gil_take(NULL);

  if (gil.entered) {
    PyObject *closed = call(writer, "close", NULL);

    if (closed == NULL) py.PyErr_Clear();
    else py.Py_DecRef(closed);
    py.Py_DecRef(writer);
  }
  gil_give(&gil);
}

static void begin(duckdb_copy_info info) {
  PyObject *bound = duckdb_copy_function_global_init_get_bind_data(info), *path, *writer;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_copy_function_global_init_set_error(info, ENDED);
    return;
  }
  path = text_object(duckdb_copy_function_global_init_get_file_path(info));
  writer = path == NULL ? NULL : call(bound, "begin", tuple(1, &path));
  if (writer == NULL) REPORT(duckdb_copy_function_global_init_set_error, info);
  else duckdb_copy_function_global_init_set_global_state(info, writer, drop);
  gil_give(&gil);
}

struct chunk {
  duckdb_data_chunk handle;
  PyObject *types;
};

static PyObject *column_at(void *data, Py_ssize_t place) {
  const struct chunk *chunk = data;
  duckdb_vector vector = duckdb_data_chunk_get_vector(chunk->handle, (idx_t)place);

  return values_in(vector, py.PyTuple_GetItem(chunk->types, place), duckdb_data_chunk_get_size(chunk->handle));
}

static void sink(duckdb_copy_info info, duckdb_data_chunk chunk) {
  PyObject *writer = duckdb_copy_function_sink_get_global_state(info), *types, *columns = NULL, *done = NULL;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_copy_function_sink_set_error(info, ENDED);
    return;
  }
  types = py.PyObject_GetAttrString(writer, "types");
  if (types != NULL) columns = tuple_of(py.PyTuple_Size(types), column_at, &(struct chunk){chunk, types});
  if (columns != NULL) {
    PyObject *rows = py.PyLong_FromLongLong((long long)duckdb_data_chunk_get_size(chunk));

    done = call(writer, "write", tuple(2, (PyObject *[]){rows, columns}));
  }
  if (done == NULL) REPORT(duckdb_copy_function_sink_set_error, info);
  else py.Py_DecRef(done);
  if (types != NULL) py.Py_DecRef(types);
  gil_give(&gil);
}

static void finish(duckdb_copy_info info) {
  PyObject *writer = duckdb_copy_function_finalize_get_global_state(info), *done;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_copy_function_finalize_set_error(info, ENDED);
    return;
  }
  done = call(writer, "finish", NULL);
  if (done == NULL) REPORT(duckdb_copy_function_finalize_set_error, info);
  else py.Py_DecRef(done);
  gil_give(&gil);
}

/* Object: name, named (of COPY … FROM), bind, read. */
int register_copy_function(duckdb_connection connection, PyObject *object) {
  PyObject *name = py.PyObject_GetAttrString(object, "name");
  duckdb_table_function from = name == NULL ? NULL : copy_from_function(object);
  duckdb_copy_function made;
  struct cell text;
  int rc = -1;

  if (from != NULL && cell_read(&text, name) == 0) {
    made = duckdb_create_copy_function();
    duckdb_copy_function_set_name(made, text.as.bytes.data);
    duckdb_copy_function_set_extra_info(made, kept(object), forget);
    duckdb_copy_function_set_bind(made, bind);
    duckdb_copy_function_set_global_init(made, begin);
    duckdb_copy_function_set_sink(made, sink);
    duckdb_copy_function_set_finalize(made, finish);
    duckdb_copy_function_set_copy_from_function(made, from);
    rc = duckdb_register_copy_function(connection, made) == DUCKDB_SUCCESS ? 0 : -1;
    duckdb_destroy_copy_function(&made);
  }
  if (from != NULL) duckdb_destroy_table_function(&from);
  if (name != NULL) py.Py_DecRef(name);
  return rc;
}
