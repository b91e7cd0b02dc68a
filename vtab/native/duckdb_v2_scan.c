/* The table function audiomem_scan of DuckDB's second C API. */
#define _GNU_SOURCE
#include "duckdb_v2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static PyObject *argument_at(void *info, Py_ssize_t place) {
  handle value = NULL;
  PyObject *made;

  v2_bind_arg_value(info, (idx_t)place, &value, NULL);
  made = v2_value_object(value);
  if (value != NULL) v2_value_destroy(&value);
  return made;
}

static PyObject *argument_called(void *info, const char *called) {
  struct str name = text_of(called);
  bool found = false;
  idx_t place = 0;

  if (v2_bind_arg_index(info, &name, &place, &found, NULL) != 0 || !found) return text_object(NULL);
  return argument_at(info, (Py_ssize_t)place);
}

static const struct arguments GIVEN = {1, argument_at, argument_called}; /* the path, and the others by name */

struct declaring {
  handle result, factory;
};

static int add_column(void *data, const char *called, PyObject *described, const char *spelled) {
  const struct declaring *declaring = data;
  struct str name = text_of(called), text = text_of(spelled);
  handle type = NULL;
  int rc;

  (void)described;
  if (declaring->factory == NULL || v2_type_of(declaring->factory, &text, &type, NULL) != 0) return -1;
  rc = v2_result_column(declaring->result, &name, type, NULL);
  v2_type_destroy(&type);
  return rc == 0 ? 0 : -1;
}

static void set_rows(void *data, idx_t rows) { v2_cardinality(((const struct declaring *)data)->result, rows, false, NULL); }

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
  struct declaring declaring = {result, NULL};
  PyObject *function = NULL, *given, *source = NULL;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    v2_fail(error, ENDED);
    return;
  }
  v2_bind_user_data(info, (void **)&function, NULL);
  given = read_settings(context) < 0 ? NULL : arguments_of(function, &GIVEN, info);
  if (given != NULL) source = call(function, "bind", given);
  if (source != NULL) v2_context_factory(context, &declaring.factory, NULL);
  if (source == NULL || declare(source, add_column, set_rows, &declaring) < 0) {
    v2_report(error);
    if (source != NULL) py.Py_DecRef(source);
  } else {
    struct opaque data = {source, forget, NULL};

    v2_bind_set_data(info, &data, NULL);
  }
  gil_give(&gil);
}

static PyObject *condition_at(void *info, Py_ssize_t place) {
  handle expression = NULL;

  return v2_filter(info, (idx_t)place, &expression, NULL) == 0 ? v2_tree(info, expression) : text_object(NULL);
}

/* The conditions of the WHERE, as trees. None is accepted: DuckDB applies them to the rows that are left. */
static void filter(handle info, handle context, handle *error) {
  PyObject *source = NULL, *trees, *done = NULL;
  struct gil gil = gil_take(NULL);
  idx_t count = 0;

  (void)context;
  if (!gil.entered) {
    v2_fail(error, ENDED);
    return;
  }
  v2_filter_bind_data(info, (void **)&source, NULL);
  v2_filter_count(info, &count, NULL);
  trees = tuple_of((Py_ssize_t)count, condition_at, info);
  if (trees != NULL) done = call(source, "prune", tuple(1, &trees));
  if (done == NULL) v2_report(error);
  else py.Py_DecRef(done);
  gil_give(&gil);
}

/* ---- scanning ---------------------------------------------------------------------------------------------------- */

static idx_t column_place(void *info, idx_t at) {
  idx_t place = (idx_t)-1;

  return v2_global_column(info, at, &place, NULL) == 0 ? place : (idx_t)-1;
}

static void init(handle info, handle context, handle *error) {
  struct opaque state = {NULL, close_stream, NULL};
  void *source = NULL;
  idx_t count = 0;
  char *failed;

  (void)context;
  v2_global_bind_data(info, &source, NULL);
  v2_global_columns(info, &count, NULL);
  state.ptr = open_stream(source, count, column_place, info, &failed);
  if (state.ptr == NULL) {
    v2_fail(error, failed);
    free(failed);
  } else {
    v2_global_set_state(info, &state, NULL);
    v2_global_threads(info, (idx_t)sysconf(_SC_NPROCESSORS_ONLN), NULL);
  }
}

static void init_thread(handle info, handle context, handle *error) {
  struct share *share = calloc(1, sizeof(*share));
  struct opaque state = {share, close_share, NULL};

  (void)context;
  if (share == NULL) v2_fail(error, "audiomem: out of memory");
  else v2_local_set_state(info, &state, NULL);
}

static void run(handle info, handle context, handle *error) {
  struct stream *stream = NULL;
  struct share *share = NULL;
  handle chunk = NULL, vector = NULL;
  idx_t rows, i;
  char *failed;

  (void)context;
  v2_exec_global(info, (void **)&stream, NULL);
  v2_exec_local(info, (void **)&share, NULL);
  v2_exec_chunk(info, &chunk, NULL);
  rows = ready_rows(stream, share, 2048, &failed);
  if (failed != NULL) {
    v2_fail(error, failed);
    free(failed);
    return;
  }
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
