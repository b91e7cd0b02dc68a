/* Values of SQLite as values of Python and back, and exceptions as errors. The GIL is held in all of it but part_result. */
#include "audiomem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The values of a list behind IN, for which xBestIndex asked; NULL without an exception if it is none, but SQL's NULL. */
static PyObject *listed(sqlite3_value *value) {
  sqlite3_value *each = NULL;
  PyObject *list;
  int rc;

  if (sqlite3_libversion_number() < 3038000) return NULL;
  rc = sqlite3_vtab_in_first(value, &each);
  if (rc != SQLITE_OK && rc != SQLITE_DONE) return NULL;
  list = py.PyList_New(0);
  while (list != NULL && rc == SQLITE_OK && each != NULL) {
    PyObject *item = python_value(each);
    int failed = item == NULL || py.PyList_Append(list, item) < 0;

    if (item != NULL) py.Py_DecRef(item);
    if (failed) {
      py.Py_DecRef(list);
      return NULL;
    }
    rc = sqlite3_vtab_in_next(value, &each);
  }
  return list;
}

static const char OBJECT[] = "audiomem-object";

static void object_forget(void *object) {
  struct gil gil = gil_take(host);

  if (gil.entered) py.Py_DecRef(object);
  gil_give(&gil);
}

void object_result(sqlite3_context *context, PyObject *object) {
  py.Py_IncRef(object);
  sqlite3_result_pointer(context, object, OBJECT, object_forget);
}

__thread int not_utf8;

PyObject *python_value(sqlite3_value *value) {
  PyObject *list, *object;
  const void *data;

  /* column() leaves nothing but NaN and -0.0 as they are in an UPDATE */
  if (sqlite3_value_nochange(value)) return py.PyFloat_FromDouble(NAN);
  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    return py.PyLong_FromLongLong(sqlite3_value_int64(value));
  case SQLITE_FLOAT:
    return py.PyFloat_FromDouble(sqlite3_value_double(value));
  case SQLITE_TEXT:
    data = sqlite3_value_text(value); /* before the length, which it may change */
    object = py.PyUnicode_FromStringAndSize(data ? data : "", sqlite3_value_bytes(value));
    if (object == NULL && data != NULL) {
      py.PyErr_Clear();
      not_utf8 = 1;
      object = py.PyUnicode_DecodeUTF8(data, sqlite3_value_bytes(value), "surrogateescape");
    }
    return object;
  case SQLITE_BLOB:
    data = sqlite3_value_blob(value);
    return py.PyBytes_FromStringAndSize(data ? data : "", sqlite3_value_bytes(value));
  default: /* pointer values look like NULL: an object of ours, or a list */
    object = sqlite3_value_pointer(value, OBJECT);
    if (object != NULL) {
      py.Py_IncRef(object);
      return object;
    }
    list = listed(value);
    if (list != NULL || py.PyErr_Occurred()) return list;
    py.Py_IncRef(py.none);
    return py.none;
  }
}

/* SQLite takes a null pointer for NULL, even of no bytes. Everything is copied, as it may outlive the part. */
static void text_result(sqlite3_context *context, const char *data, size_t size) {
  sqlite3_result_text64(context, size ? data : "", size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void blob_result(sqlite3_context *context, const void *data, size_t size) {
  sqlite3_result_blob64(context, size ? data : "", size, SQLITE_TRANSIENT);
}

void cell_result(sqlite3_context *context, const struct cell *cell) {
  switch (cell->type) {
  case 'i':
    sqlite3_result_int64(context, cell->as.integer);
    break;
  case 'f':
    sqlite3_result_double(context, cell->as.real);
    break;
  case 't':
    text_result(context, cell->as.bytes.data, (size_t)cell->as.bytes.size);
    break;
  case 'b':
    blob_result(context, cell->as.bytes.data, (size_t)cell->as.bytes.size);
    break;
  default:
    sqlite3_result_null(context);
  }
}

static void time_result(sqlite3_context *context, int64_t micros) {
  char text[TIME_SIZE];

  text_result(context, text, time_text(text, micros));
}

int part_result(const struct part *part, int number, Py_ssize_t row, sqlite3_context *context) {
  const struct column *column = &part->columns[number];
  int64_t at = column->offset + row;

  if (!is_there(column, at)) {
    sqlite3_result_null(context);
    return 1;
  }
  switch (column->kind) {
  case ABSENT:
    return 0;
  case CONSTANT:
    cell_result(context, column->cells);
    break;
  case CELLS:
    cell_result(context, &column->cells[row]);
    break;
  case LISTS: /* which no column of a table for SQLite is handed over as */
  case LISTS64:
  case ARRAYS:
  case STRUCTS:
    return 0;
  case INTEGERS:
    sqlite3_result_int64(context, ((const int64_t *)column->values)[at]);
    break;
  case REALS:
    sqlite3_result_double(context, ((const double *)column->values)[at]);
    break;
  case FLOATS:
    sqlite3_result_double(context, (double)((const float *)column->values)[at]);
    break;
  case BOOLEANS:
    sqlite3_result_int(context, ((const uint8_t *)column->values)[at >> 3] >> (at & 7) & 1);
    break;
  case TIMES:
    time_result(context, ((const int64_t *)column->values)[at]);
    break;
  case TEXTS: {
    const int32_t *places = (const int32_t *)column->values + at;

    text_result(context, column->data + places[0], (size_t)(places[1] - places[0]));
    break;
  }
  case TEXTS64: {
    const int64_t *places = (const int64_t *)column->values + at;

    text_result(context, column->data + places[0], (size_t)(places[1] - places[0]));
    break;
  }
  case BLOBS: {
    const int32_t *places = (const int32_t *)column->values + at;

    blob_result(context, column->data + places[0], (size_t)(places[1] - places[0]));
    break;
  }
  case BLOBS64: {
    const int64_t *places = (const int64_t *)column->values + at;

    blob_result(context, column->data + places[0], (size_t)(places[1] - places[0]));
    break;
  }
  case VECTORS:
  case FIXED:
    blob_result(context, (const char *)column->values + (size_t)at * column->width, column->width);
    break;
  }
  return 1;
}

int is_altered(double real) { return isnan(real) || (real == 0 && signbit(real)); }

int part_is_altered(const struct part *part, int number, Py_ssize_t row) {
  const struct column *column = &part->columns[number];
  const struct cell *cell;
  int64_t at = column->offset + row;

  if (!is_there(column, at)) return 0;
  switch (column->kind) {
  case CONSTANT:
  case CELLS:
    cell = column->kind == CELLS ? &column->cells[row] : column->cells;
    return cell->type == 'f' && is_altered(cell->as.real);
  case REALS:
    return is_altered(((const double *)column->values)[at]);
  default:
    return 0;
  }
}

sqlite3_int64 part_rowid(const struct part *part, Py_ssize_t row) {
  const struct column *column = &part->columns[part->count - 1];

  if (column->kind == INTEGERS) return ((const int64_t *)column->values)[column->offset + row];
  return column->kind == CELLS && column->cells[row].type == 'i' ? column->cells[row].as.integer : 0;
}

int explain(PyObject *owner, char **message) {
  PyObject *type, *value, *traceback, *explanation, *arguments;
  struct cell code, text;
  int rc = SQLITE_ERROR;

  py.PyErr_Fetch(&type, &value, &traceback);
  py.PyErr_NormalizeException(&type, &value, &traceback);
  arguments = value == NULL ? NULL : py.PyTuple_New(1);
  if (arguments != NULL) {
    py.Py_IncRef(value);
    py.PyTuple_SetItem(arguments, 0, value);
  }
  explanation = arguments == NULL ? NULL : call(owner, "explained", arguments);
  if (explanation != NULL && cell_read(&code, py.PyTuple_GetItem(explanation, 0)) == 0 &&
      cell_read(&text, py.PyTuple_GetItem(explanation, 1)) == 0 && code.type == 'i' && text.type == 't') {
    rc = (int)code.as.integer;
    if (message != NULL) {
      sqlite3_free(*message);
      *message = sqlite3_mprintf("%.*s", (int)text.as.bytes.size, text.as.bytes.data);
    }
  } else if (message != NULL) {
    sqlite3_free(*message);
    *message = sqlite3_mprintf("audiomem: an error that Python cannot explain");
  }
  py.PyErr_Clear();
  if (explanation != NULL) {
    PyObject *raised = py.PyTuple_GetItem(explanation, 2);

    if (raised != NULL && raised != py.none) {
      py.Py_IncRef(raised);
      py.PyErr_Restore(py.PyObject_Type(raised), raised, traceback);
      traceback = NULL;
    }
    py.Py_DecRef(explanation);
  }
  if (type != NULL) py.Py_DecRef(type);
  if (value != NULL) py.Py_DecRef(value);
  if (traceback != NULL) py.Py_DecRef(traceback);
  return rc;
}

char *sqlite_words(char *message) {
  char *copy = sqlite3_mprintf("%s", message ? message : "audiomem: out of memory");

  free(message);
  return copy;
}
