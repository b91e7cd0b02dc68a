/* The rows that a table function gives: one stream for a statement, from which each of its threads takes part after part. */
#include "duckdb_door.h"

#include <stdlib.h>

void close_share(void *data) {
  struct share *share = data;
  struct gil gil = gil_take(NULL);

  if (gil.entered) part_drop(&share->part);
  free(share);
  gil_give(&gil);
}

void close_stream(void *data) {
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

struct opening {
  struct stream *stream;
  PyObject *columns;
  idx_t (*place)(void *, idx_t);
  void *info;
};

/* The place of a column that the statement names, -1 for what is none; its type is kept. */
static PyObject *wanted_at(void *data, Py_ssize_t at) {
  const struct opening *opening = data;
  idx_t place = opening->place(opening->info, (idx_t)at);
  int known = place < (idx_t)py.PyTuple_Size(opening->columns);

  opening->stream->types[at] = known ? (int)number_at(py.PyTuple_GetItem(py.PyTuple_GetItem(opening->columns, (Py_ssize_t)place), 1), 0) : 0;
  return py.PyLong_FromLongLong(known ? (long long)place : -1);
}

static void open_object(struct opening *opening, PyObject *source) {
  PyObject *rows = py.PyObject_GetAttrString(source, "rows"), *wanted = NULL;
  struct stream *stream = opening->stream;

  opening->columns = py.PyObject_GetAttrString(source, "columns");
  if (rows != NULL && opening->columns != NULL) wanted = tuple_of((Py_ssize_t)stream->count, wanted_at, opening);
  if (wanted != NULL) {
    stream->rows = rows == py.none ? 0 : py.PyLong_AsLongLong(rows);
    stream->object = call(source, "open", tuple(1, &wanted));
  }
  if (rows != NULL) py.Py_DecRef(rows);
  if (opening->columns != NULL) py.Py_DecRef(opening->columns);
}

struct stream *open_stream(PyObject *source, idx_t count, idx_t (*place)(void *, idx_t), void *info, char **failed) {
  struct stream *stream = calloc(1, sizeof(*stream) + count * sizeof(int));
  struct opening opening = {stream, NULL, place, info};
  struct gil gil = gil_take(NULL);

  *failed = NULL;
  if (stream == NULL || !gil.entered) {
    *failed = words("%s", gil.entered ? "audiomem: out of memory" : ENDED);
    free(stream);
    stream = NULL;
  } else {
    stream->count = count;
    open_object(&opening, source);
    if (stream->object == NULL) {
      *failed = failure();
      free(stream);
      stream = NULL;
    }
  }
  gil_give(&gil);
  return stream;
}

/* NULL, or what went wrong. */
static char *next_part(struct stream *stream, struct share *share) {
  struct gil gil = gil_take(NULL);
  char *failed = NULL;
  PyObject *given;

  if (!gil.entered) {
    gil_give(&gil);
    return words("%s", ENDED);
  }
  share->row = 0;
  given = call(stream->object, "next", NULL);
  if (given != NULL && given != py.none) share->number = (idx_t)number_at(given, 2);
  if (given == NULL || part_take(&share->part, given) < 0) {
    failed = failure();
    part_drop(&share->part);
  }
  __atomic_add_fetch(&stream->done, share->part.rows, __ATOMIC_RELAXED);
  gil_give(&gil);
  return failed;
}

idx_t ready_rows(struct stream *stream, struct share *share, idx_t most, char **failed) {
  idx_t rows;

  *failed = share->row < share->part.rows ? NULL : next_part(stream, share);
  if (*failed != NULL) return 0;
  rows = (idx_t)(share->part.rows - share->row);
  return rows < most ? rows : most;
}
