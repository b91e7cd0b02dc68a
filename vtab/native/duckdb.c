/* DuckDB's loadable extension: `LOAD 'audiomem.duckdb_extension'`.
**
** What the functions do is in Python (vtab/duckdb/extension.py), which is called once for a statement, and once for a part of
** rows; here values are moved between DuckDB's vectors and Arrow's arrays.
*/
#define _GNU_SOURCE
#include "duckdb.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

duckdb_any_function duck[DUCKDB_USED];

static const char ENDED[] = "audiomem: Python has ended in this process";

/* ---- errors and objects ------------------------------------------------------------------------------------------ */

/* The exception that is on its way, as text for free(). */
static char *failure(void) {
  PyObject *type, *value, *traceback, *module, *explanation = NULL;
  struct cell text;
  char *message = NULL;

  py.PyErr_Fetch(&type, &value, &traceback);
  py.PyErr_NormalizeException(&type, &value, &traceback);
  module = py.PyImport_ImportModule(PYTHON_DUCKDB);
  if (module != NULL && value != NULL) {
    py.Py_IncRef(value);
    explanation = call(module, PYTHON_MESSAGE, tuple(1, (PyObject *[]){value}));
  }
  if (explanation != NULL && cell_read(&text, explanation) == 0 && text.type == 't') message = words("%s", text.as.bytes.data);
  if (message == NULL) message = words("audiomem: an error that Python cannot explain");
  py.PyErr_Clear();
  if (explanation != NULL) py.Py_DecRef(explanation);
  if (module != NULL) py.Py_DecRef(module);
  if (type != NULL) py.Py_DecRef(type);
  if (value != NULL) py.Py_DecRef(value);
  if (traceback != NULL) py.Py_DecRef(traceback);
  return message;
}

/* What DuckDB keeps of ours is an object of Python. */
static void forget(void *object) {
  struct gil gil = gil_take(NULL);

  if (gil.entered) py.Py_DecRef(object);
  gil_give(&gil);
}

static void *kept(PyObject *object) {
  py.Py_IncRef(object);
  return object;
}

static long long number_at(PyObject *values, Py_ssize_t place) {
  return py.PyLong_AsLongLong(py.PyTuple_GetItem(values, place));
}

static const char *text_at(PyObject *values, Py_ssize_t place) {
  struct cell cell;

  return cell_read(&cell, py.PyTuple_GetItem(values, place)) < 0 || cell.type != 't' ? NULL : cell.as.bytes.data;
}

/* A logical type by its number; an array of `width` floats, and of lists only those of floats. */
static duckdb_logical_type logical(int type, idx_t width) {
  duckdb_logical_type item, made;

  if (type != DUCKDB_ARRAY && type != DUCKDB_LIST) return duckdb_create_logical_type(type);
  item = duckdb_create_logical_type(DUCKDB_FLOAT);
  made = type == DUCKDB_ARRAY ? duckdb_create_array_type(item, width) : duckdb_create_list_type(item);
  duckdb_destroy_logical_type(&item);
  return made;
}

/* ---- from arrays to vectors -------------------------------------------------------------------------------------- */

static void set_null(duckdb_vector vector, idx_t row) {
  uint64_t *validity;

  duckdb_vector_ensure_validity_writable(vector);
  validity = duckdb_vector_get_validity(vector);
  validity[row / 64] &= ~((uint64_t)1 << (row % 64));
}

/* A list of floats, at the end of those that are there. */
static void set_floats(duckdb_vector vector, idx_t row, const char *data, size_t size) {
  duckdb_list_entry *entry = (duckdb_list_entry *)duckdb_vector_get_data(vector) + row;
  idx_t before = duckdb_list_vector_get_size(vector);

  duckdb_list_vector_reserve(vector, before + size / 4);
  duckdb_list_vector_set_size(vector, before + size / 4);
  memcpy((float *)duckdb_vector_get_data(duckdb_list_vector_get_child(vector)) + before, data, size);
  entry->offset = before;
  entry->length = size / 4;
}

static void set_cell(duckdb_vector vector, int type, idx_t row, const struct cell *cell) {
  void *data = duckdb_vector_get_data(vector);

  if (cell->type == 'n') {
    set_null(vector, row);
  } else if (cell->type == 't' || cell->type == 'b') {
    if (type == DUCKDB_LIST) set_floats(vector, row, cell->as.bytes.data, (size_t)cell->as.bytes.size);
    else duckdb_vector_assign_string_element_len(vector, row, cell->as.bytes.data, (idx_t)cell->as.bytes.size);
  } else if (type == DUCKDB_DOUBLE) {
    ((double *)data)[row] = cell->type == 'f' ? cell->as.real : (double)cell->as.integer;
  } else if (type == DUCKDB_FLOAT) {
    ((float *)data)[row] = (float)(cell->type == 'f' ? cell->as.real : (double)cell->as.integer);
  } else if (type == DUCKDB_BOOLEAN) {
    ((bool *)data)[row] = cell->as.integer != 0;
  } else {
    ((int64_t *)data)[row] = cell->as.integer;
  }
}

/* Rows `first` to `first` + `count` of a column; a vector of DuckDB begins at 0. */
static void fill(duckdb_vector vector, int type, const struct column *column, int64_t first, idx_t count) {
  int64_t at = column->offset + first;
  void *data = duckdb_vector_get_data(vector);
  idx_t i;

  switch (column->kind) {
  case ABSENT:
    for (i = 0; i < count; i++) set_null(vector, i);
    return;
  case CONSTANT:
    for (i = 0; i < count; i++) set_cell(vector, type, i, column->cells);
    return;
  case CELLS:
    for (i = 0; i < count; i++) set_cell(vector, type, i, column->cells + first + i);
    return;
  case INTEGERS:
  case TIMES:
  case REALS:
    memcpy(data, (const int64_t *)column->values + at, 8 * count);
    break;
  case FLOATS:
    memcpy(data, (const float *)column->values + at, 4 * count);
    break;
  case BOOLEANS:
    for (i = 0; i < count; i++) {
      int64_t bit = at + (int64_t)i;

      ((bool *)data)[i] = ((const uint8_t *)column->values)[bit >> 3] >> (bit & 7) & 1;
    }
    break;
  case TEXTS:
  case BLOBS: {
    const int32_t *places = (const int32_t *)column->values + at;

    for (i = 0; i < count; i++) {
      if (!is_there(column, at + (int64_t)i)) continue;
      duckdb_vector_assign_string_element_len(vector, i, column->data ? column->data + places[i] : "",
                                              (idx_t)(places[i + 1] - places[i]));
    }
    break;
  }
  case TEXTS64:
  case BLOBS64: {
    const int64_t *places = (const int64_t *)column->values + at;

    for (i = 0; i < count; i++) {
      if (!is_there(column, at + (int64_t)i)) continue;
      duckdb_vector_assign_string_element_len(vector, i, column->data ? column->data + places[i] : "",
                                              (idx_t)(places[i + 1] - places[i]));
    }
    break;
  }
  case VECTORS:
    memcpy(duckdb_vector_get_data(duckdb_array_vector_get_child(vector)),
           (const char *)column->values + (size_t)at * column->width, column->width * count);
    break;
  }
  for (i = 0; column->validity != NULL && i < count; i++) {
    if (!is_there(column, at + (int64_t)i)) set_null(vector, i);
  }
}

/* ---- table functions --------------------------------------------------------------------------------------------- */

/* An argument: None for NULL and for what is not given, an int, text, or (type, text) for a value of another type. */
static PyObject *argument(duckdb_value value) {
  PyObject *made;
  char *text;
  int type;

  if (value == NULL || duckdb_is_null_value(value)) return text_object(NULL);
  type = duckdb_get_type_id(duckdb_get_value_type(value));
  if (type >= DUCKDB_TINYINT && type < DUCKDB_UBIGINT) return py.PyLong_FromLongLong(duckdb_get_int64(value));
  text = duckdb_get_varchar(value);
  made = text_object(text);
  duckdb_free(text);
  if (type == DUCKDB_VARCHAR || made == NULL) return made;
  return tuple(2, (PyObject *[]){py.PyLong_FromLongLong(type), made});
}

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
    PyObject *item = argument(value);

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

static void bind(duckdb_bind_info info) {
  PyObject *function = duckdb_bind_get_extra_info(info), *given, *source;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_bind_set_error(info, ENDED);
    return;
  }
  given = arguments_of(info, function);
  source = given == NULL ? NULL : call(function, "bind", given);
  if (source == NULL || declare(info, source) < 0) {
    char *message = failure();

    duckdb_bind_set_error(info, message);
    free(message);
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
    char *message = failure();

    duckdb_init_set_error(info, message);
    free(message);
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
    char *message = failure();

    duckdb_function_set_error(info, message);
    free(message);
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

/* ---- scalar functions -------------------------------------------------------------------------------------------- */

/* A value of a vector that DuckDB gives: text, an integer, or a list of floats as bytes. */
static PyObject *value_at(duckdb_vector vector, int type, idx_t row) {
  const uint64_t *validity = duckdb_vector_get_validity(vector);
  void *data = duckdb_vector_get_data(vector);

  if (validity != NULL && !(validity[row / 64] >> (row % 64) & 1)) return text_object(NULL);
  if (type == DUCKDB_LIST) {
    const duckdb_list_entry *entry = (const duckdb_list_entry *)data + row;
    const float *floats = duckdb_vector_get_data(duckdb_list_vector_get_child(vector));

    return py.PyBytes_FromStringAndSize((const char *)(floats + entry->offset), (Py_ssize_t)(4 * entry->length));
  }
  if (type == DUCKDB_VARCHAR) {
    const duckdb_string_t *text = (const duckdb_string_t *)data + row;
    uint32_t length = text->value.inlined.length;

    return py.PyUnicode_FromStringAndSize(length <= 12 ? text->value.inlined.data : text->value.pointer.data, length);
  }
  return py.PyLong_FromLongLong(((const int64_t *)data)[row]);
}

static PyObject *values_of(duckdb_vector vector, idx_t rows) {
  duckdb_logical_type type = duckdb_vector_get_column_type(vector);
  PyObject *list = py.PyList_New(0);
  int number = duckdb_get_type_id(type);
  idx_t row;

  duckdb_destroy_logical_type(&type);
  for (row = 0; list != NULL && row < rows; row++) {
    PyObject *item = value_at(vector, number, row);
    int failed = item == NULL || py.PyList_Append(list, item) < 0;

    if (item != NULL) py.Py_DecRef(item);
    if (failed) {
      py.Py_DecRef(list);
      list = NULL;
    }
  }
  return list;
}

static void scalar(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  PyObject *function = duckdb_scalar_function_get_extra_info(info), *columns, *results;
  idx_t rows = duckdb_data_chunk_get_size(input), count = duckdb_data_chunk_get_column_count(input), i;
  duckdb_logical_type logical_type = duckdb_vector_get_column_type(output);
  int type = duckdb_get_type_id(logical_type), failed;
  struct gil gil = gil_take(NULL);

  duckdb_destroy_logical_type(&logical_type);
  if (!gil.entered) {
    duckdb_scalar_function_set_error(info, ENDED);
    return;
  }
  columns = py.PyTuple_New((Py_ssize_t)count + 1); /* the number of rows, then a list for each argument */
  failed = columns == NULL;
  if (!failed) py.PyTuple_SetItem(columns, 0, py.PyLong_FromLongLong((long long)rows));
  for (i = 0; i < count && !failed; i++) {
    PyObject *values = values_of(duckdb_data_chunk_get_vector(input, i), rows);

    failed = values == NULL;
    if (!failed) py.PyTuple_SetItem(columns, (Py_ssize_t)i + 1, values);
  }
  results = failed ? NULL : call(function, "call", columns);
  if (failed && columns != NULL) py.Py_DecRef(columns);
  failed = results == NULL;
  for (i = 0; i < rows && !failed; i++) {
    struct cell cell;

    failed = cell_read(&cell, py.PyList_GetItem(results, (Py_ssize_t)i)) < 0;
    if (!failed) set_cell(output, type, i, &cell);
  }
  if (failed) {
    char *message = failure();

    duckdb_scalar_function_set_error(info, message);
    free(message);
  }
  if (results != NULL) py.Py_DecRef(results);
  gil_give(&gil);
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

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

/* Object: name, positional (types), named ((name, type), …), bind. -1 if it cannot be registered. */
static int register_table_function(duckdb_connection connection, PyObject *object) {
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
    for (i = 0; i < py.PyTuple_Size(named); i++) {
      PyObject *each = py.PyTuple_GetItem(named, i);
      duckdb_logical_type type = logical((int)number_at(each, 1), 0);

      duckdb_table_function_add_named_parameter(made, text_at(each, 0), type);
      duckdb_destroy_logical_type(&type);
    }
    duckdb_table_function_set_extra_info(made, kept(object), forget);
    duckdb_table_function_set_bind(made, bind);
    duckdb_table_function_set_init(made, init);
    duckdb_table_function_set_local_init(made, init_thread);
    duckdb_table_function_set_function(made, run);
    duckdb_table_function_supports_projection_pushdown(made, true);
    rc = duckdb_register_table_function(connection, made) == DUCKDB_SUCCESS ? 0 : -1;
  }
  duckdb_destroy_table_function(&made);
  if (name != NULL) py.Py_DecRef(name);
  if (positional != NULL) py.Py_DecRef(positional);
  if (named != NULL) py.Py_DecRef(named);
  return rc;
}

/* Object: name, overloads ((parameter types), …), returns, call. */
static int register_scalar_function(duckdb_connection connection, PyObject *object) {
  PyObject *name = py.PyObject_GetAttrString(object, "name"), *overloads = py.PyObject_GetAttrString(object, "overloads"),
           *returns = py.PyObject_GetAttrString(object, "returns");
  struct cell text;
  Py_ssize_t i, j;
  int rc = -1;

  if (name != NULL && overloads != NULL && returns != NULL && cell_read(&text, name) == 0) {
    duckdb_scalar_function_set set = duckdb_create_scalar_function_set(text.as.bytes.data);

    for (i = 0; i < py.PyTuple_Size(overloads); i++) {
      PyObject *types = py.PyTuple_GetItem(overloads, i);
      duckdb_scalar_function made = duckdb_create_scalar_function();
      duckdb_logical_type type = logical((int)py.PyLong_AsLongLong(returns), 0);

      duckdb_scalar_function_set_name(made, text.as.bytes.data);
      duckdb_scalar_function_set_return_type(made, type);
      duckdb_destroy_logical_type(&type);
      for (j = 0; j < py.PyTuple_Size(types); j++) {
        type = logical((int)number_at(types, j), 0);
        duckdb_scalar_function_add_parameter(made, type);
        duckdb_destroy_logical_type(&type);
      }
      duckdb_scalar_function_set_special_handling(made); /* NULLs are ours to answer */
      duckdb_scalar_function_set_extra_info(made, kept(object), forget);
      duckdb_scalar_function_set_function(made, scalar);
      duckdb_add_scalar_function_to_set(set, made);
      duckdb_destroy_scalar_function(&made);
    }
    rc = duckdb_register_scalar_function_set(connection, set) == DUCKDB_SUCCESS ? 0 : -1;
    duckdb_destroy_scalar_function_set(&set);
  }
  if (name != NULL) py.Py_DecRef(name);
  if (overloads != NULL) py.Py_DecRef(overloads);
  if (returns != NULL) py.Py_DecRef(returns);
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
    failed = register_each(connection, door, "tables", register_table_function);
    if (failed == NULL) failed = register_each(connection, door, "scalars", register_scalar_function);
    if (failed == NULL) duckdb_add_replacement_scan(database, replace, kept(door), forget);
    duckdb_disconnect(&connection);
  }
  py.Py_DecRef(door);
  return failed;
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
  memcpy(duck, given, sizeof(duck)); /* it is gone when this function ends */
  if (runtime_start(&failed) == 0) {
    gil = gil_take(NULL);
    failed = gil.entered ? register_all(*access->get_database(info)) : words("%s", ENDED);
    gil_give(&gil);
  }
  if (failed != NULL) access->set_error(info, failed);
  free(failed);
  return failed == NULL;
}
