/* Table functions: bound once a statement, read by several threads, part by part. */
#define _GNU_SOURCE
#include "duckdb_door.h"

#include <stdlib.h>
#include <unistd.h>

/* The arguments in their order, then the named ones in theirs, as (name, type) in `named` of the function. */
static PyObject *arguments_of(duckdb_bind_info info, PyObject *function) {
  PyObject *named = py.PyObject_GetAttrString(function, "named"), *made;
  idx_t given = duckdb_bind_get_parameter_count(info), i;
  Py_ssize_t more = named == NULL ? 0 : py.PyTuple_Size(named);

  made = named == NULL ? NULL : py.PyTuple_New((Py_ssize_t)given + more);
  for (i = 0; made != NULL && i < given + (idx_t)more; i++) {
    duckdb_value value = i < given ? duckdb_bind_get_parameter(info, i)
                                   : duckdb_bind_get_named_parameter(
                                         info, text_at(py.PyTuple_GetItem(named, (Py_ssize_t)(i - given)), 0));
    PyObject *item = value_object(value);

    if (value != NULL) duckdb_destroy_value(&value);
    if (item == NULL) {
      py.Py_DecRef(made);
      made = NULL;
    } else {
      py.PyTuple_SetItem(made, (Py_ssize_t)i, item);
    }
  }
  if (named != NULL) py.Py_DecRef(named);
  return made;
}

/* Declare the columns of what the function gives. -1 with an exception. */
static int declare(duckdb_bind_info info, PyObject *source) {
  PyObject *columns = py.PyObject_GetAttrString(source, "columns"), *rows;
  Py_ssize_t i, count = columns == NULL ? 0 : py.PyTuple_Size(columns);
  int failed = columns == NULL;

  for (i = 0; i < count && !failed; i++) {
    PyObject *column = py.PyTuple_GetItem(columns, i); /* name, type, width */
    const char *name = text_at(column, 0);
    duckdb_logical_type type = logical((int)number_at(column, 1), (idx_t)number_at(column, 2));

    if (name == NULL) failed = 1;
    else duckdb_bind_add_result_column(info, name, type);
    duckdb_destroy_logical_type(&type);
  }
  if (columns != NULL) py.Py_DecRef(columns);
  rows = failed ? NULL : py.PyObject_GetAttrString(source, "rows");
  if (rows == NULL) return -1;
  if (rows != py.none) duckdb_bind_set_cardinality(info, (idx_t)py.PyLong_AsLongLong(rows), false);
  py.Py_DecRef(rows);
  return 0;
}

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
  given = read_settings(info) < 0 ? NULL : arguments_of(info, function);
  source = given == NULL ? NULL : call(function, "bind", given);
  if (source == NULL || declare(info, source) < 0) {
    REPORT(duckdb_bind_set_error, info);
    if (source != NULL) py.Py_DecRef(source);
  } else {
    duckdb_bind_set_bind_data(info, source, forget);
  }
  gil_give(&gil);
}

/* The rows of one statement. `types`: of the columns that it names, in its order; 0 for one that is none, as count(*) has. */
struct stream {
  PyObject *object;
  idx_t count;
  int types[];
};

/* What one thread of the statement has of the rows. DuckDB uses a single one where their order matters. */
struct share {
  struct part part;
  Py_ssize_t row;
};

static void close_share(void *data) {
  struct share *share = data;
  struct gil gil = gil_take(NULL);

  if (gil.entered) part_drop(&share->part);
  free(share);
  gil_give(&gil);
}

static void init_thread(duckdb_init_info info) {
  struct share *share = calloc(1, sizeof(*share));

  if (share == NULL) duckdb_init_set_error(info, "audiomem: out of memory");
  else duckdb_init_set_init_data(info, share, close_share);
}

static void close_stream(void *data) {
  struct stream *stream = data;
  struct gil gil = gil_take(NULL);

  if (gil.entered) {
    if (stream->object != NULL) {
      PyObject *closed = call(stream->object, "close", NULL);

      if (closed == NULL) py.PyErr_Clear();
      else py.Py_DecRef(closed);
      py.Py_DecRef(stream->object);
    }
  }
  free(stream);
  gil_give(&gil);
}

static void init(duckdb_init_info info) {
  PyObject *source = duckdb_init_get_bind_data(info), *columns, *wanted;
  idx_t count = duckdb_init_get_column_count(info), i;
  struct stream *stream = calloc(1, sizeof(*stream) + count * sizeof(int));
  struct gil gil;
  int failed;

  if (stream == NULL) {
    duckdb_init_set_error(info, "audiomem: out of memory");
    return;
  }
  gil = gil_take(NULL);
  if (!gil.entered) {
    duckdb_init_set_error(info, ENDED);
    free(stream);
    return;
  }
  stream->count = count;
  columns = py.PyObject_GetAttrString(source, "columns");
  wanted = py.PyTuple_New((Py_ssize_t)count); /* -1 for what is no column */
  failed = columns == NULL || wanted == NULL;
  for (i = 0; !failed && i < count; i++) {
    idx_t place = duckdb_init_get_column_index(info, i);
    int known = place < (idx_t)py.PyTuple_Size(columns);

    stream->types[i] = known ? (int)number_at(py.PyTuple_GetItem(columns, (Py_ssize_t)place), 1) : 0;
    py.PyTuple_SetItem(wanted, (Py_ssize_t)i, py.PyLong_FromLongLong(known ? (long long)place : -1));
  }
  if (!failed) {
    stream->object = call(source, "open", tuple(1, &wanted));
    wanted = NULL;
  }
  if (stream->object == NULL) {
    REPORT(duckdb_init_set_error, info);
  }
  if (wanted != NULL) py.Py_DecRef(wanted);
  if (columns != NULL) py.Py_DecRef(columns);
  if (stream->object == NULL) close_stream(stream);
  else duckdb_init_set_init_data(info, stream, close_stream);
  duckdb_init_set_max_threads(info, (idx_t)sysconf(_SC_NPROCESSORS_ONLN));
  gil_give(&gil);
}

/* Fetch the next part from Python. 0, or -1 and the error is set. */
static int next_part(duckdb_function_info info, struct stream *stream, struct share *share) {
  struct gil gil = gil_take(NULL);
  PyObject *given;
  int rc = 0;

  if (!gil.entered) {
    duckdb_function_set_error(info, ENDED);
    return -1;
  }
  share->row = 0;
  given = call(stream->object, "next", NULL);
  if (given == NULL || part_take(&share->part, given) < 0) {
    REPORT(duckdb_function_set_error, info);
    part_drop(&share->part);
    rc = -1;
  }
  gil_give(&gil);
  return rc;
}

static void run(duckdb_function_info info, duckdb_data_chunk chunk) {
  struct stream *stream = duckdb_function_get_init_data(info);
  struct share *share = duckdb_function_get_local_init_data(info);
  idx_t rows = duckdb_vector_size(), i;

  if (share->row >= share->part.rows && next_part(info, stream, share) < 0) return;
  if (rows > (idx_t)(share->part.rows - share->row)) rows = (idx_t)(share->part.rows - share->row);
  for (i = 0; rows > 0 && i < stream->count; i++) {
    if (stream->types[i] == 0) continue;
    fill(duckdb_data_chunk_get_vector(chunk, i), stream->types[i], &share->part.columns[i], share->row, rows);
  }
  share->row += (Py_ssize_t)rows;
  duckdb_data_chunk_set_size(chunk, rows);
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

/* (name, type) of each column of the table that COPY fills. */
static PyObject *target_columns(duckdb_bind_info info) {
  idx_t count = duckdb_table_function_bind_get_result_column_count(info), i;
  PyObject *made = py.PyTuple_New((Py_ssize_t)count);

  for (i = 0; made != NULL && i < count; i++) {
    duckdb_logical_type type = duckdb_table_function_bind_get_result_column_type(info, i);
    PyObject *column = tuple(
        2, (PyObject *[]){text_object(duckdb_table_function_bind_get_result_column_name(info, i)), described(type)});

    duckdb_destroy_logical_type(&type);
    if (column == NULL) {
      py.Py_DecRef(made);
      return NULL;
    }
    py.PyTuple_SetItem(made, (Py_ssize_t)i, column);
  }
  return made;
}

static void bind_copy(duckdb_bind_info info) {
  PyObject *function = duckdb_bind_get_extra_info(info), *given = NULL, *columns, *source = NULL;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_bind_set_error(info, ENDED);
    return;
  }
  columns = target_columns(info);
  if (columns != NULL) given = arguments_of(info, function);
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
