/* Values of Python, as they are handed to a database, and what makes tuples and calls short. The GIL is held in all of it. */
#include "runtime.h"

#include <string.h>

PyObject *text_object(const char *text) {
  if (text == NULL) {
    py.Py_IncRef(py.none);
    return py.none;
  }
  return py.PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape"); /* a path may be any bytes */
}

PyObject *boolean(int value) { return py.PyBool_FromLong(value != 0); }

int is_value(PyObject *object) {
  PyObject *type = object == py.none ? NULL : py.PyObject_Type(object);

  if (type == NULL) return object == py.none;
  py.Py_DecRef(type); /* the object keeps it */
  return type == py.long_type || type == py.bool_type || type == py.float_type || type == py.unicode_type ||
         type == py.bytes_type;
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

PyObject *tuple(int count, PyObject **items) {
  PyObject *made = py.PyTuple_New(count);
  int i, failed = made == NULL;

  for (i = 0; i < count; i++) {
    if (items[i] == NULL) failed = 1;
    else if (made != NULL) py.PyTuple_SetItem(made, i, items[i]);
    else py.Py_DecRef(items[i]);
  }
  if (failed && made != NULL) {
    py.Py_DecRef(made);
    made = NULL;
  }
  return made;
}

PyObject *call(PyObject *object, const char *method, PyObject *arguments) {
  const void *before = host;
  PyObject *bound = py.PyErr_Occurred() ? NULL : py.PyObject_GetAttrString(object, method);
  PyObject *result = bound == NULL ? NULL : py.PyObject_CallObject(bound, arguments);

  host = before;
  if (bound != NULL) py.Py_DecRef(bound);
  if (arguments != NULL) py.Py_DecRef(arguments);
  return result;
}
