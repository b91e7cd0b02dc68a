/* Scalar functions: a vector of rows at a time. */
#include "duckdb_door.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The type of the items of a list. */
static int items_of(duckdb_logical_type list) {
  duckdb_logical_type items = duckdb_list_type_child_type(list);
  int number = duckdb_get_type_id(items);

  duckdb_destroy_logical_type(&items);
  return number;
}

static bool is_valid(const uint64_t *validity, idx_t row) {
  return validity == NULL || (validity[row / 64] >> (row % 64) & 1);
}

/* A list of numbers as the bytes of as many floats; an item that is NULL is no number. */
static PyObject *floats_at(duckdb_vector items, int type, const duckdb_list_entry *entry) {
  const uint64_t *validity = duckdb_vector_get_validity(items);
  const void *data = duckdb_vector_get_data(items);
  PyObject *made = py.PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(4 * entry->length));
  Py_ssize_t size;
  char *bytes;
  idx_t i;

  if (made == NULL || py.PyBytes_AsStringAndSize(made, &bytes, &size) < 0) return made;
  for (i = 0; i < entry->length; i++) {
    idx_t at = entry->offset + i;
    float number = NAN;

    if (is_valid(validity, at)) number = type == DUCKDB_DOUBLE ? (float)((const double *)data)[at] : ((const float *)data)[at];
    memcpy(bytes + 4 * i, &number, 4);
  }
  return made;
}

/* A value of a vector that DuckDB gives: text, an integer, or a list of numbers as the bytes of floats. */
static PyObject *value_at(duckdb_vector vector, int type, int items, idx_t row) {
  const uint64_t *validity = duckdb_vector_get_validity(vector);
  void *data = duckdb_vector_get_data(vector);

  if (!is_valid(validity, row)) return text_object(NULL);
  if (type == DUCKDB_LIST) {
    return floats_at(duckdb_list_vector_get_child(vector), items, (const duckdb_list_entry *)data + row);
  }
  if (type == DUCKDB_VARCHAR) {
    const duckdb_string_t *text = (const duckdb_string_t *)data + row;
    uint32_t length = text->value.inlined.length;

    return py.PyUnicode_FromStringAndSize(length <= 12 ? text->value.inlined.data : text->value.pointer.data, length);
  }
  return py.PyLong_FromLongLong(((const int64_t *)data)[row]);
}

struct values {
  duckdb_vector vector;
  int type;
  int items; /* of a list */
};

static PyObject *item_at(void *data, Py_ssize_t row) {
  const struct values *values = data;

  return value_at(values->vector, values->type, values->items, (idx_t)row);
}

/* The number of rows, then a list for each argument. */
static PyObject *argument_at(void *input, Py_ssize_t place) {
  long long rows = (long long)duckdb_data_chunk_get_size(input);
  duckdb_logical_type type;
  struct values values;

  if (place == 0) return py.PyLong_FromLongLong(rows);
  values.vector = duckdb_data_chunk_get_vector(input, (idx_t)place - 1);
  type = duckdb_vector_get_column_type(values.vector);
  values.type = duckdb_get_type_id(type);
  values.items = values.type == DUCKDB_LIST ? items_of(type) : 0;
  duckdb_destroy_logical_type(&type);
  return list_of((Py_ssize_t)rows, item_at, &values);
}

/* What set_cell takes for the type of a vector of results: of a list of structs it is STRUCT. */
static int type_of(duckdb_vector vector) {
  duckdb_logical_type type = duckdb_vector_get_column_type(vector);
  int number = duckdb_get_type_id(type);

  if (number == DUCKDB_LIST && items_of(type) == DUCKDB_STRUCT) number = DUCKDB_STRUCT;
  duckdb_destroy_logical_type(&type);
  return number;
}

static void scalar(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  PyObject *function = duckdb_scalar_function_get_extra_info(info), *columns, *results;
  idx_t rows = duckdb_data_chunk_get_size(input), i;
  int type = type_of(output), failed;
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_scalar_function_set_error(info, ENDED);
    return;
  }
  columns = tuple_of((Py_ssize_t)duckdb_data_chunk_get_column_count(input) + 1, argument_at, input);
  results = columns == NULL ? NULL : call(function, "call", columns);
  failed = results == NULL;
  for (i = 0; i < rows && !failed; i++) {
    struct cell cell;

    failed = cell_read(&cell, py.PyList_GetItem(results, (Py_ssize_t)i)) < 0;
    if (!failed) set_cell(output, type, i, &cell);
  }
  if (failed) {
    REPORT(duckdb_scalar_function_set_error, info);
  }
  if (results != NULL) py.Py_DecRef(results);
  gil_give(&gil);
}

/* Object: name, overloads ((parameter types), …), returns, is_volatile, call. */
int register_scalar_function(duckdb_connection connection, PyObject *object) {
  PyObject *name = py.PyObject_GetAttrString(object, "name"), *overloads = py.PyObject_GetAttrString(object, "overloads"),
           *returns = py.PyObject_GetAttrString(object, "returns"),
           *is_volatile = py.PyObject_GetAttrString(object, "is_volatile");
  struct cell text;
  Py_ssize_t i, j;
  int rc = -1;

  if (name != NULL && overloads != NULL && returns != NULL && is_volatile != NULL && cell_read(&text, name) == 0) {
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
      if (py.PyObject_IsTrue(is_volatile)) duckdb_scalar_function_set_volatile(made);
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
  if (is_volatile != NULL) py.Py_DecRef(is_volatile);
  return rc;
}
