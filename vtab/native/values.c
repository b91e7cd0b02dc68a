/* Values of SQLite as values of Python and back, and exceptions as errors. The GIL is held in all of it. */
#include "audiomem.h"

#include <string.h>

PyObject *text_object(const char *text) {
  if (text == NULL) {
    py.Py_IncRef(py.none);
    return py.none;
  }
  return py.PyUnicode_FromStringAndSize(text, (Py_ssize_t)strlen(text));
}

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

PyObject *python_value(sqlite3_value *value) {
  PyObject *list;
  const void *data;

  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    return py.PyLong_FromLongLong(sqlite3_value_int64(value));
  case SQLITE_FLOAT:
    return py.PyFloat_FromDouble(sqlite3_value_double(value));
  case SQLITE_TEXT:
    data = sqlite3_value_text(value); /* before the length, which it may change */
    return py.PyUnicode_FromStringAndSize(data ? data : "", sqlite3_value_bytes(value));
  case SQLITE_BLOB:
    data = sqlite3_value_blob(value);
    return py.PyBytes_FromStringAndSize(data ? data : "", sqlite3_value_bytes(value));
  default: /* a list is a pointer value, which looks like NULL */
    list = listed(value);
    if (list != NULL || py.PyErr_Occurred()) return list;
    py.Py_IncRef(py.none);
    return py.none;
  }
}

int cell_read(struct cell *cell, PyObject *object) {
  PyObject *type;

  if (object == NULL) return -1;
  if (object == py.none) {
    cell->type = 'n';
    return 0;
  }
  type = py.PyObject_Type(object);
  if (type == NULL) return -1;
  py.Py_DecRef(type); /* the object keeps it */
  if (type == py.long_type || type == py.bool_type) {
    cell->type = 'i';
    cell->as.integer = py.PyLong_AsLongLong(object);
    return cell->as.integer == -1 && py.PyErr_Occurred() ? -1 : 0;
  }
  if (type == py.float_type) {
    cell->type = 'f';
    cell->as.real = py.PyFloat_AsDouble(object);
    return 0;
  }
  if (type == py.unicode_type) {
    cell->type = 't';
    cell->as.bytes.data = py.PyUnicode_AsUTF8AndSize(object, &cell->as.bytes.size);
    return cell->as.bytes.data == NULL ? -1 : 0;
  }
  if (type == py.bytes_type) {
    cell->type = 'b';
    return py.PyBytes_AsStringAndSize(object, (char **)&cell->as.bytes.data, &cell->as.bytes.size);
  }
  py.PyErr_SetString(*py.runtime_error, "a value is of a type that SQL does not have");
  return -1;
}

/* SQLite takes a null pointer for NULL, even of no bytes. Everything is copied, as it may outlive the part. */
void text_result(sqlite3_context *context, const char *data, size_t size) {
  sqlite3_result_text64(context, size ? data : "", size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

void blob_result(sqlite3_context *context, const void *data, size_t size) {
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

PyObject *call(PyObject *object, const char *method, PyObject *arguments) {
  const sqlite3_api_routines *api = sqlite3_api;
  PyObject *bound = py.PyErr_Occurred() ? NULL : py.PyObject_GetAttrString(object, method);
  PyObject *result = bound == NULL ? NULL : py.PyObject_CallObject(bound, arguments);

  sqlite3_api = api;
  if (bound != NULL) py.Py_DecRef(bound);
  if (arguments != NULL) py.Py_DecRef(arguments);
  return result;
}

int explain(PyObject *owner, char **message) {
  PyObject *type, *value, *traceback, *told, *arguments;
  struct cell code, text;
  int rc = SQLITE_ERROR;

  py.PyErr_Fetch(&type, &value, &traceback);
  py.PyErr_NormalizeException(&type, &value, &traceback);
  arguments = value == NULL ? NULL : py.PyTuple_New(1);
  if (arguments != NULL) {
    py.Py_IncRef(value);
    py.PyTuple_SetItem(arguments, 0, value);
  }
  told = arguments == NULL ? NULL : call(owner, "explained", arguments);
  if (told != NULL && cell_read(&code, py.PyTuple_GetItem(told, 0)) == 0 &&
      cell_read(&text, py.PyTuple_GetItem(told, 1)) == 0 && code.type == 'i' && text.type == 't') {
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
  if (told != NULL) {
    PyObject *raised = py.PyTuple_GetItem(told, 2);

    if (raised != NULL && raised != py.none) {
      py.Py_IncRef(raised);
      py.PyErr_Restore(py.PyObject_Type(raised), raised, traceback);
      traceback = NULL;
    }
    py.Py_DecRef(told);
  }
  if (type != NULL) py.Py_DecRef(type);
  if (value != NULL) py.Py_DecRef(value);
  if (traceback != NULL) py.Py_DecRef(traceback);
  return rc;
}
