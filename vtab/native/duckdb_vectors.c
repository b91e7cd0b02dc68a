/* Values between Arrow's arrays and DuckDB's vectors. */
#include "duckdb_door.h"

#include <stdlib.h>
#include <string.h>

enum { PAIR_BYTES = sizeof(int64_t) + sizeof(float) };

static void set_null(duckdb_vector vector, idx_t row) {
  uint64_t *validity;

  duckdb_vector_ensure_validity_writable(vector);
  validity = duckdb_vector_get_validity(vector);
  validity[row / 64] &= ~((uint64_t)1 << (row % 64));
}

/* What is in a struct or an array that is NULL is NULL, too. */
static void set_nested_null(duckdb_vector vector, const struct column *column, idx_t row) {
  idx_t i;

  set_null(vector, row);
  for (i = 0; column->kind == STRUCTS && i < (idx_t)column->child_count; i++) {
    set_nested_null(duckdb_struct_vector_get_child(vector, i), &column->children[i], row);
  }
  for (i = 0; column->kind == ARRAYS && i < column->width; i++) {
    set_nested_null(duckdb_array_vector_get_child(vector), column->children, row * column->width + i);
  }
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

/* A list of pairs, each an integer and a float behind each other, at the end of those that are there. */
static void set_pairs(duckdb_vector vector, idx_t row, const char *data, size_t size) {
  duckdb_list_entry *entry = (duckdb_list_entry *)duckdb_vector_get_data(vector) + row;
  duckdb_vector pairs = duckdb_list_vector_get_child(vector);
  idx_t before = duckdb_list_vector_get_size(vector), count = size / PAIR_BYTES, i;
  int64_t *integers;
  float *floats;

  duckdb_list_vector_reserve(vector, before + count);
  duckdb_list_vector_set_size(vector, before + count);
  integers = (int64_t *)duckdb_vector_get_data(duckdb_struct_vector_get_child(pairs, 0)) + before;
  floats = (float *)duckdb_vector_get_data(duckdb_struct_vector_get_child(pairs, 1)) + before;
  for (i = 0; i < count; i++) {
    memcpy(integers + i, data + i * PAIR_BYTES, sizeof(*integers));
    memcpy(floats + i, data + i * PAIR_BYTES + sizeof(*integers), sizeof(*floats));
  }
  entry->offset = before;
  entry->length = count;
}

void set_cell(duckdb_vector vector, int type, idx_t row, const struct cell *cell) {
  void *data = duckdb_vector_get_data(vector);

  if (cell->type == 'n') {
    set_null(vector, row);
  } else if (cell->type == 't' || cell->type == 'b') {
    if (type == DUCKDB_LIST) set_floats(vector, row, cell->as.bytes.data, (size_t)cell->as.bytes.size);
    else if (type == DUCKDB_STRUCT) set_pairs(vector, row, cell->as.bytes.data, (size_t)cell->as.bytes.size);
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

/* Lists whose items stand from `start` to `end` in the child; `entries` are made by the caller. */
static void fill_items(duckdb_vector vector, const struct column *column, int64_t start, int64_t end) {
  duckdb_list_vector_reserve(vector, (idx_t)(end - start));
  duckdb_list_vector_set_size(vector, (idx_t)(end - start));
  fill(duckdb_list_vector_get_child(vector), 0, column->children, start, (idx_t)(end - start));
}

/* Lists, arrays and structs. */
static void fill_nested(duckdb_vector vector, const struct column *column, int64_t at, idx_t count) {
  duckdb_list_entry *entries = column->kind == STRUCTS || column->kind == ARRAYS ? NULL : duckdb_vector_get_data(vector);
  const int32_t *places = (const int32_t *)column->values + at;
  const int64_t *places64 = (const int64_t *)column->values + at;
  idx_t i;

  if (column->kind == LISTS) {
    for (i = 0; i < count; i++) {
      entries[i].offset = (uint64_t)(places[i] - places[0]);
      entries[i].length = (uint64_t)(places[i + 1] - places[i]);
    }
    fill_items(vector, column, places[0], places[count]);
  } else if (column->kind == LISTS64) {
    for (i = 0; i < count; i++) {
      entries[i].offset = (uint64_t)(places64[i] - places64[0]);
      entries[i].length = (uint64_t)(places64[i + 1] - places64[i]);
    }
    fill_items(vector, column, places64[0], places64[count]);
  } else if (column->kind == ARRAYS) {
    fill(duckdb_array_vector_get_child(vector), 0, column->children, at * (int64_t)column->width, count * column->width);
  } else {
    for (i = 0; i < (idx_t)column->child_count; i++) {
      fill(duckdb_struct_vector_get_child(vector, i), 0, &column->children[i], at, count);
    }
  }
}

/* Rows `first` to `first` + `count` of a column; a vector of DuckDB begins at 0. */
void fill(duckdb_vector vector, int type, const struct column *column, int64_t first, idx_t count) {
  int64_t at = column->offset + first;
  void *data = column->kind >= LISTS ? NULL : duckdb_vector_get_data(vector);
  idx_t i;

  if (count == 0) return;
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
    if (type == DUCKDB_LIST) {
      for (i = 0; i < count; i++) {
        set_floats(vector, i, (const char *)column->values + (size_t)(at + (int64_t)i) * column->width, column->width);
      }
      break;
    }
    memcpy(duckdb_vector_get_data(duckdb_array_vector_get_child(vector)),
           (const char *)column->values + (size_t)at * column->width, column->width * count);
    break;
  case FIXED:
    memcpy(data, (const char *)column->values + (size_t)at * column->width, column->width * count);
    break;
  case LISTS:
  case LISTS64:
  case ARRAYS:
  case STRUCTS:
    fill_nested(vector, column, at, count);
    break;
  }
  for (i = 0; column->validity != NULL && i < count; i++) {
    if (!is_there(column, at + (int64_t)i)) set_nested_null(vector, column, i);
  }
}

/* ---- from vectors ------------------------------------------------------------------------------------------------ */

/* Bytes of a value in a vector, by its type; 0 for those that are no such values. */
static size_t width_of(int type) {
  switch (type) {
  case DUCKDB_BOOLEAN:
  case DUCKDB_TINYINT:
  case DUCKDB_UTINYINT:
    return 1;
  case DUCKDB_SMALLINT:
  case DUCKDB_USMALLINT:
    return 2;
  case DUCKDB_INTEGER:
  case DUCKDB_UINTEGER:
  case DUCKDB_FLOAT:
  case DUCKDB_DATE:
    return 4;
  case DUCKDB_BIGINT:
  case DUCKDB_UBIGINT:
  case DUCKDB_DOUBLE:
  case DUCKDB_TIME:
  case DUCKDB_TIMESTAMP:
  case DUCKDB_TIMESTAMP_S:
  case DUCKDB_TIMESTAMP_MS:
  case DUCKDB_TIMESTAMP_NS:
  case DUCKDB_TIMESTAMP_TZ:
  case DUCKDB_TIME_TZ:
  case DUCKDB_TIME_NS:
    return 8;
  case DUCKDB_HUGEINT:
  case DUCKDB_UHUGEINT:
  case DUCKDB_INTERVAL:
  case DUCKDB_UUID:
    return 16;
  default:
    return 0;
  }
}

static PyObject *bytes(const void *data, size_t size) { return py.PyBytes_FromStringAndSize(data, (Py_ssize_t)size); }

static PyObject *validity_in(duckdb_vector vector, idx_t rows) {
  const uint64_t *validity = duckdb_vector_get_validity(vector);

  return validity == NULL ? text_object(NULL) : bytes(validity, (rows + 7) / 8);
}

static int is_valid(const uint64_t *validity, idx_t row) {
  return validity == NULL || (validity[row / 64] >> (row % 64) & 1);
}

/* (validity, offsets of 64 bits, bytes) of texts or blobs. What is NULL has no bytes. */
static PyObject *texts_in(duckdb_vector vector, idx_t rows) {
  const duckdb_string_t *texts = duckdb_vector_get_data(vector);
  const uint64_t *validity = duckdb_vector_get_validity(vector);
  int64_t *offsets = malloc((rows + 1) * sizeof(int64_t)), total = 0;
  PyObject *made = NULL;
  char *data = NULL;
  idx_t i;

  if (offsets != NULL) {
    for (i = 0; i < rows; i++) {
      offsets[i] = total;
      if (is_valid(validity, i)) total += texts[i].value.inlined.length;
    }
    offsets[rows] = total;
    data = malloc((size_t)total + 1);
  }
  if (data == NULL) {
    py.PyErr_SetString(*py.runtime_error, "out of memory");
  } else {
    for (i = 0; i < rows; i++) {
      uint32_t length = texts[i].value.inlined.length;

      if (!is_valid(validity, i)) continue;
      memcpy(data + offsets[i], length <= 12 ? texts[i].value.inlined.data : texts[i].value.pointer.data, length);
    }
    made = tuple(3, (PyObject *[]){validity_in(vector, rows), bytes(offsets, (rows + 1) * sizeof(int64_t)),
                                   bytes(data, (size_t)total)});
  }
  free(offsets);
  free(data);
  return made;
}

struct structs {
  duckdb_vector vector;
  PyObject *fields;
  idx_t rows;
};

/* The validity, then the values of each field. */
static PyObject *struct_item(void *data, Py_ssize_t place) {
  const struct structs *structs = data;
  duckdb_vector child;

  if (place == 0) return validity_in(structs->vector, structs->rows);
  child = duckdb_struct_vector_get_child(structs->vector, (idx_t)place - 1);
  return values_in(child, py.PyTuple_GetItem(py.PyTuple_GetItem(structs->fields, place - 1), 1), structs->rows);
}

static PyObject *structs_in(duckdb_vector vector, PyObject *type, idx_t rows) {
  struct structs structs = {vector, py.PyTuple_GetItem(type, 1), rows};

  return tuple_of(py.PyTuple_Size(structs.fields) + 1, struct_item, &structs);
}

PyObject *values_in(duckdb_vector vector, PyObject *type, idx_t rows) {
  int id = (int)number_at(type, 0);
  idx_t items;

  switch (id) {
  case DUCKDB_VARCHAR:
  case DUCKDB_BLOB:
  case DUCKDB_BIT:
  case DUCKDB_BIGNUM:
    return texts_in(vector, rows);
  case DUCKDB_STRUCT:
    return structs_in(vector, type, rows);
  case DUCKDB_ENUM:
    id = (int)number_at(type, 1);
    break;
  case DUCKDB_DECIMAL:
    id = (int)number_at(type, 3);
    break;
  case DUCKDB_MAP:  /* a list of structs */
  case DUCKDB_LIST: /* (validity, (offset, length) each, all items) */
    items = duckdb_list_vector_get_size(vector);
    return tuple(4, (PyObject *[]){
                        validity_in(vector, rows), bytes(duckdb_vector_get_data(vector), rows * sizeof(duckdb_list_entry)),
                        py.PyLong_FromLongLong((long long)items),
                        values_in(duckdb_list_vector_get_child(vector), py.PyTuple_GetItem(type, 1), items)});
  case DUCKDB_ARRAY:
    return tuple(2, (PyObject *[]){validity_in(vector, rows),
                                   values_in(duckdb_array_vector_get_child(vector), py.PyTuple_GetItem(type, 1),
                                             rows * (idx_t)number_at(type, 2))});
  }
  return tuple(2, (PyObject *[]){validity_in(vector, rows), bytes(duckdb_vector_get_data(vector), rows * width_of(id))});
}
