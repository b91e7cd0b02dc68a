/* Values and bound expressions of DuckDB's second C API, as Python sees them. */
#include "duckdb_v2.h"

#include <stdlib.h>

static int id_of(handle value) {
  handle type = NULL;
  int id = 0;

  if (v2_value_type(value, &type, NULL) != 0) return 0;
  v2_type_id(type, &id, NULL);
  v2_type_destroy(&type);
  return id;
}

static PyObject *written(handle value) {
  idx_t length = 0;
  PyObject *made;
  char *text;

  v2_value_text(value, NULL, 0, &length, NULL);
  text = malloc(length + 1);
  if (text == NULL || v2_value_text(value, text, length + 1, &length, NULL) != 0) {
    free(text);
    return text_object(NULL);
  }
  made = py.PyUnicode_FromStringAndSize(text, (Py_ssize_t)length);
  free(text);
  return made;
}

static PyObject *list_item(void *list, Py_ssize_t place) {
  handle child = NULL;
  PyObject *made;

  v2_value_child(list, (idx_t)place, &child, NULL);
  made = v2_value_object(child);
  if (child != NULL) v2_value_destroy(&child);
  return made;
}

/* None, int, float, text, a list, or (number of the type in this API, text). */
PyObject *v2_value_object(handle value) {
  bool null = true;
  int id;

  if (value == NULL || v2_value_is_null(value, &null, NULL) != 0 || null) return text_object(NULL);
  id = id_of(value);
  if (id == ID_VARCHAR) {
    struct str text = {NULL, 0};

    v2_value_varchar(value, &text, NULL);
    return py.PyUnicode_FromStringAndSize(text.ptr, (Py_ssize_t)text.len);
  }
  if (id == ID_LIST) {
    idx_t count = 0;

    v2_value_children(value, &count, NULL);
    return list_of((Py_ssize_t)count, list_item, value);
  }
  if (id == ID_DOUBLE) {
    double number = 0;

    v2_value_double(value, &number, NULL);
    return py.PyFloat_FromDouble(number);
  }
  if (id == ID_FLOAT) {
    float number = 0;

    v2_value_float(value, &number, NULL);
    return py.PyFloat_FromDouble((double)number);
  }
  if ((id >= ID_TINYINT && id <= ID_BIGINT) || (id >= ID_UTINYINT && id <= ID_UINTEGER)) {
    PyObject *text = written(value), *made = NULL;
    struct cell cell;

    if (text != NULL && cell_read(&cell, text) == 0 && cell.type == 't') {
      made = py.PyLong_FromLongLong(strtoll(cell.as.bytes.data, NULL, 10));
    }
    if (text != NULL) py.Py_DecRef(text);
    return made;
  }
  return tuple(2, (PyObject *[]){py.PyLong_FromLongLong(id), written(value)});
}

static PyObject *content_of(handle info, handle expression, int type) {
  struct str name = {NULL, 0};
  handle value = NULL;
  PyObject *made;
  idx_t place = 0;
  int64_t micros = 0;

  switch (type) {
  case NODE_CONSTANT:
    if (v2_expression_constant(expression, &value, NULL) != 0) return text_object(NULL);
    if (id_of(value) == ID_TIMESTAMP && v2_value_timestamp(value, &micros, NULL) == 0) {
      made = tuple(2, (PyObject *[]){py.PyLong_FromLongLong(ID_TIMESTAMP), py.PyLong_FromLongLong(micros)});
    } else {
      made = v2_value_object(value);
    }
    v2_value_destroy(&value);
    return made;
  case NODE_COLUMN:
    if (v2_expression_column(expression, &place, NULL) != 0 || v2_filter_column(info, place, &place, NULL) != 0) {
      return py.PyLong_FromLongLong(-1);
    }
    return py.PyLong_FromLongLong((long long)place);
  case NODE_FUNCTION:
    if (v2_expression_name(expression, &name, NULL) != 0) return text_object(NULL);
    return py.PyUnicode_FromStringAndSize(name.ptr, (Py_ssize_t)name.len);
  default:
    return text_object(NULL);
  }
}

struct parent {
  handle info, expression;
};

static PyObject *child_at(void *data, Py_ssize_t place) {
  const struct parent *parent = data;
  handle child = NULL;

  if (v2_expression_child(parent->expression, (idx_t)place, &child, NULL) != 0) return text_object(NULL);
  return v2_tree(parent->info, child);
}

PyObject *v2_tree(handle info, handle expression) {
  struct parent parent = {info, expression};
  PyObject *children;
  idx_t count = 0;
  int type = 0;

  v2_expression_type(expression, &type, NULL);
  v2_expression_children(expression, &count, NULL);
  children = tuple_of((Py_ssize_t)count, child_at, &parent);
  if (children == NULL) return NULL;
  return tuple(3, (PyObject *[]){py.PyLong_FromLongLong(type), content_of(info, expression, type), children});
}
