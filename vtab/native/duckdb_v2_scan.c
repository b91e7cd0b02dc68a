/* The table function audiomem_scan of DuckDB's second C API. */
#define _GNU_SOURCE
#include "duckdb_v2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- binding ----------------------------------------------------------------------------------------------------- */

/* The path, then the named arguments in their order. */
static PyObject *arguments_of(handle info, PyObject *named) {
  Py_ssize_t count = py.PyTuple_Size(named) + 1, i;
  PyObject *made = py.PyTuple_New(count);

  for (i = 0; made != NULL && i < count; i++) {
    idx_t place = 0;
    bool found = true;
    handle value = NULL;
    PyObject *item;

    if (i > 0) {
      struct str name = text_of(text_at(py.PyTuple_GetItem(named, i - 1), 0));

      found = v2_bind_arg_index(info, &name, &place, &found, NULL) == 0 && found;
    }
    if (found) v2_bind_arg_value(info, place, &value, NULL);
    item = v2_value_object(value);
    if (value != NULL) v2_value_destroy(&value);
    if (item == NULL) {
      py.Py_DecRef(made);
      return NULL;
    }
    py.PyTuple_SetItem(made, i, item);
  }
  return made;
}

static const char *const NAMES[] = {
    [DUCKDB_BOOLEAN] = "BOOLEAN",     [DUCKDB_BIGINT] = "BIGINT",   [DUCKDB_FLOAT] = "FLOAT", [DUCKDB_DOUBLE] = "DOUBLE",
    [DUCKDB_TIMESTAMP] = "TIMESTAMP", [DUCKDB_VARCHAR] = "VARCHAR", [DUCKDB_BLOB] = "BLOB",
};

static int declare_column(handle result, handle factory, PyObject *column) {
  int number = (int)number_at(column, 1), rc;
  struct str name, text;
  handle type = NULL;
  char array[64];

  if (text_at(column, 0) == NULL) return -1;
  name = text_of(text_at(column, 0));
  snprintf(array, sizeof(array), "FLOAT[%lld]", number_at(column, 2));
  text = text_of(number == DUCKDB_ARRAY ? array : NAMES[number]);
  if (v2_type_of(factory, &text, &type, NULL) != 0) return -1;
  rc = v2_result_column(result, &name, type, NULL);
  v2_type_destroy(&type);
  return rc == 0 ? 0 : -1;
}

static int declare(handle result, handle context, PyObject *source) {
  PyObject *columns = py.PyObject_GetAttrString(source, "columns"), *rows = py.PyObject_GetAttrString(source, "rows");
  handle factory = NULL;
  Py_ssize_t i;
  int rc = columns == NULL || rows == NULL || v2_context_factory(context, &factory, NULL) != 0 ? -1 : 0;

  for (i = 0; rc == 0 && i < py.PyTuple_Size(columns); i++) {
    rc = declare_column(result, factory, py.PyTuple_GetItem(columns, i));
  }
  if (rc == 0 && rows != py.none) v2_cardinality(result, (idx_t)py.PyLong_AsLongLong(rows), false, NULL);
  if (columns != NULL) py.Py_DecRef(columns);
  if (rows != NULL) py.Py_DecRef(rows);
  if (rc < 0 && !py.PyErr_Occurred()) py.PyErr_SetString(*py.runtime_error, "DuckDB does not take the columns");
  return rc;
}

/* The setting is the stable extension's; where it is not there, as while that is loaded, nothing is set. */
static int read_settings(handle context) {
  struct str name = text_of(CACHE_SETTING);
  handle config = NULL, value = NULL;
  PyObject *text;
  int scope;

  if (v2_context_config(context, &config, NULL) != 0 || v2_config_value(config, &name, &value, &scope, NULL) != 0) return 0;
  text = v2_value_object(value);
  v2_value_destroy(&value);
  return use_cache(text);
}

static void bind(handle info, handle result, handle context, handle *error) {
  PyObject *function = NULL, *named, *given, *source = NULL;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    v2_fail(error, ENDED);
    return;
  }
  v2_bind_user_data(info, (void **)&function, NULL);
  named = py.PyObject_GetAttrString(function, "named");
  given = named == NULL || read_settings(context) < 0 ? NULL : arguments_of(info, named);
  if (given != NULL) source = call(function, "bind", given);
  if (source == NULL || declare(result, context, source) < 0) {
    v2_report(error);
    if (source != NULL) py.Py_DecRef(source);
  } else {
    struct opaque data = {source, forget, NULL};

    v2_bind_set_data(info, &data, NULL);
  }
  if (named != NULL) py.Py_DecRef(named);
  gil_give(&gil);
}

/* The conditions of the WHERE, as trees. None is accepted: DuckDB applies them to the rows that are left. */
static void filter(handle info, handle context, handle *error) {
  PyObject *source = NULL, *trees, *done = NULL;
  struct gil gil = gil_take(NULL);
  idx_t count = 0, i;

  (void)context;
  if (!gil.entered) {
    v2_fail(error, ENDED);
    return;
  }
  v2_filter_bind_data(info, (void **)&source, NULL);
  v2_filter_count(info, &count, NULL);
  trees = py.PyTuple_New((Py_ssize_t)count);
  for (i = 0; trees != NULL && i < count; i++) {
    handle expression = NULL;
    PyObject *tree = v2_filter(info, i, &expression, NULL) == 0 ? v2_tree(info, expression) : text_object(NULL);

    if (tree == NULL) {
      py.Py_DecRef(trees);
      trees = NULL;
    } else {
      py.PyTuple_SetItem(trees, (Py_ssize_t)i, tree);
    }
  }
  if (trees != NULL) done = call(source, "prune", tuple(1, &trees));
  if (done == NULL) v2_report(error);
  else py.Py_DecRef(done);
  gil_give(&gil);
}

/* ---- scanning ---------------------------------------------------------------------------------------------------- */

/* The rows of one statement. `types`: of the columns that it names, in its order; 0 for one that is none. */
struct stream {
  PyObject *object;
  int64_t rows, done; /* all rows, 0 if that is not known; those that were handed out */
  idx_t count;
  int types[];
};

/* What one thread of the statement has of the rows. number: of its part, by which DuckDB puts them in order. */
struct share {
  struct part part;
  Py_ssize_t row;
  idx_t number;
};

static void close_stream(void *data) {
  struct stream *stream = data;
  struct gil gil = gil_take(NULL);

  if (gil.entered && stream->object != NULL) {
    PyObject *closed = call(stream->object, "close", NULL);

    if (closed == NULL) py.PyErr_Clear();
    else py.Py_DecRef(closed);
    py.Py_DecRef(stream->object);
  }
  free(stream);
  gil_give(&gil);
}

static void close_share(void *data) {
  struct share *share = data;
  struct gil gil = gil_take(NULL);

  if (gil.entered) part_drop(&share->part);
  free(share);
  gil_give(&gil);
}

static int open_stream(handle info, struct stream *stream, PyObject *source) {
  PyObject *columns = py.PyObject_GetAttrString(source, "columns"), *rows = py.PyObject_GetAttrString(source, "rows");
  PyObject *wanted = py.PyTuple_New((Py_ssize_t)stream->count); /* -1 for what is no column */
  int failed = columns == NULL || rows == NULL || wanted == NULL;
  idx_t i;

  for (i = 0; !failed && i < stream->count; i++) {
    idx_t place = (idx_t)-1;
    int known = v2_global_column(info, i, &place, NULL) == 0 && place < (idx_t)py.PyTuple_Size(columns);

    stream->types[i] = known ? (int)number_at(py.PyTuple_GetItem(columns, (Py_ssize_t)place), 1) : 0;
    py.PyTuple_SetItem(wanted, (Py_ssize_t)i, py.PyLong_FromLongLong(known ? (long long)place : -1));
  }
  if (!failed) {
    stream->rows = rows == py.none ? 0 : py.PyLong_AsLongLong(rows);
    stream->object = call(source, "open", tuple(1, &wanted));
    wanted = NULL;
  }
  if (wanted != NULL) py.Py_DecRef(wanted);
  if (columns != NULL) py.Py_DecRef(columns);
  if (rows != NULL) py.Py_DecRef(rows);
  return stream->object == NULL ? -1 : 0;
}

static void init(handle info, handle context, handle *error) {
  struct gil gil = gil_take(NULL);
  struct stream *stream;
  void *source = NULL;
  idx_t count = 0;

  (void)context;
  v2_global_bind_data(info, &source, NULL);
  v2_global_columns(info, &count, NULL);
  stream = calloc(1, sizeof(*stream) + count * sizeof(int));
  if (stream == NULL || !gil.entered) {
    v2_fail(error, gil.entered ? "audiomem: out of memory" : ENDED);
    free(stream);
  } else {
    stream->count = count;
    if (open_stream(info, stream, source) < 0) {
      v2_report(error);
      close_stream(stream);
    } else {
      struct opaque state = {stream, close_stream, NULL};

      v2_global_set_state(info, &state, NULL);
      v2_global_threads(info, (idx_t)sysconf(_SC_NPROCESSORS_ONLN), NULL);
    }
  }
  gil_give(&gil);
}

static void init_thread(handle info, handle context, handle *error) {
  struct share *share = calloc(1, sizeof(*share));
  struct opaque state = {share, close_share, NULL};

  (void)context;
  if (share == NULL) v2_fail(error, "audiomem: out of memory");
  else v2_local_set_state(info, &state, NULL);
}

static int next_part(struct stream *stream, struct share *share, handle *error) {
  struct gil gil = gil_take(NULL);
  PyObject *given;
  int rc = 0;

  if (!gil.entered) {
    v2_fail(error, ENDED);
    return -1;
  }
  share->row = 0;
  given = call(stream->object, "next", NULL);
  if (given != NULL && given != py.none) share->number = (idx_t)number_at(given, 2);
  if (given == NULL || part_take(&share->part, given) < 0) {
    v2_report(error);
    part_drop(&share->part);
    rc = -1;
  }
  __atomic_add_fetch(&stream->done, share->part.rows, __ATOMIC_RELAXED);
  gil_give(&gil);
  return rc;
}

static void run(handle info, handle context, handle *error) {
  struct stream *stream = NULL;
  struct share *share = NULL;
  handle chunk = NULL, vector = NULL;
  idx_t rows = 2048, i;

  (void)context;
  v2_exec_global(info, (void **)&stream, NULL);
  v2_exec_local(info, (void **)&share, NULL);
  v2_exec_chunk(info, &chunk, NULL);
  if (share->row >= share->part.rows && next_part(stream, share, error) < 0) return;
  if (rows > (idx_t)(share->part.rows - share->row)) rows = (idx_t)(share->part.rows - share->row);
  for (i = 0; rows > 0 && i < stream->count; i++) {
    v2_chunk_vector(chunk, i, &vector, NULL);
    v2_vector_set_size(vector, rows, NULL);
    if (stream->types[i] != 0) fill(vector, stream->types[i], &share->part.columns[i], share->row, rows);
  }
  share->row += (Py_ssize_t)rows;
  if (v2_chunk_vector(chunk, 0, &vector, NULL) == 0) v2_vector_set_size(vector, rows, NULL);
}

static void partition(handle info, handle context, handle *error) {
  struct share *share = NULL;

  (void)context;
  (void)error;
  v2_partition_local(info, (void **)&share, NULL);
  v2_partition_set(info, share == NULL ? 0 : share->number, NULL);
}

static void progress(handle info, handle context, handle *error) {
  struct stream *stream = NULL;

  (void)context;
  (void)error;
  v2_progress_global(info, (void **)&stream, NULL);
  if (stream != NULL && stream->rows > 0) {
    v2_progress_set(info, (double)__atomic_load_n(&stream->done, __ATOMIC_RELAXED) / (double)stream->rows, NULL);
  }
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

static int add_parameters(handle made, handle factory, PyObject *named, handle *error) {
  struct str path = text_of("path");
  handle signature = NULL, type = NULL, null = NULL, varchar = NULL;
  struct str text = text_of("VARCHAR");
  Py_ssize_t i;
  int rc;

  rc = v2_table_signature(made, &signature, error) || v2_type_by_id(factory, ID_ANY, NULL, NULL, 0, &type, error) ||
       v2_type_of(factory, &text, &varchar, error) || v2_value_null(factory, varchar, &null, error) ||
       v2_parameter(signature, &path, type, NULL, POSITIONAL_ONLY, error);
  for (i = 0; rc == 0 && i < py.PyTuple_Size(named); i++) {
    struct str name = text_of(text_at(py.PyTuple_GetItem(named, i), 0));

    rc = v2_parameter(signature, &name, type, null, NAMED_ONLY, error);
  }
  if (null != NULL) v2_value_destroy(&null);
  if (varchar != NULL) v2_type_destroy(&varchar);
  if (type != NULL) v2_type_destroy(&type);
  return rc;
}

int v2_register_scan(handle extension, handle factory, PyObject *function) {
  PyObject *named = py.PyObject_GetAttrString(function, "named");
  struct opaque data = {kept(function), forget, NULL};
  struct str name = text_of("audiomem_scan");
  handle made = NULL, error = NULL;
  int rc;

  rc = named == NULL || v2_table_create(factory, &made, &error) || v2_table_name(made, &name, &error) ||
       add_parameters(made, factory, named, &error) || v2_table_user_data(made, &data, &error) || v2_table_on_bind(made, bind, &error) ||
       v2_table_on_filter(made, filter, &error) || v2_table_on_global(made, init, &error) ||
       v2_table_on_local(made, init_thread, &error) || v2_table_on_exec(made, run, &error) ||
       v2_table_on_partition(made, partition, &error) || v2_table_on_progress(made, progress, &error) ||
       v2_table_projection(made, true, &error) || v2_table_register(extension, made, &error);
  if (made != NULL) v2_table_destroy(&made);
  if (named != NULL) py.Py_DecRef(named);
  if (rc != 0) v2_refused("audiomem_scan", &error);
  return rc == 0 ? 0 : -1;
}
