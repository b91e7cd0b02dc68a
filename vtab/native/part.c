/* A part of rows, column by column, and one value of it for SQLite. Taking a part needs the GIL, reading it does not.
**
** Arrow arrays come as capsules of the Arrow PyCapsule interface, whose structures are those of the Arrow C data interface
** (https://arrow.apache.org/docs/format/CDataInterface.html). The capsules own what is in them.
*/
#include "audiomem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

struct column {
  enum {
    ABSENT,   /* the cursor is asked for each value */
    CONSTANT, /* one cell */
    CELLS,    /* a cell a row */
    INTEGERS,
    REALS,
    BOOLEANS,
    TIMES,   /* microseconds since 1970, shown as text */
    TEXTS,   /* offsets of 32 bits */
    TEXTS64, /* offsets of 64 bits */
    BLOBS,
    BLOBS64,
    VECTORS /* `width` bytes a row */
  } kind;
  struct cell *cells; /* CONSTANT, CELLS */
  const uint8_t *validity; /* NULL: no row is NULL */
  int64_t offset;          /* of the first row, in all buffers */
  const void *values;      /* or offsets, for texts and blobs */
  const char *data;        /* of texts and blobs */
  size_t width;
};

static int cells_of(struct column *column, PyObject *object, int list, Py_ssize_t count) {
  Py_ssize_t i;

  column->cells = sqlite3_malloc64((sqlite3_uint64)(count ? count : 1) * sizeof(struct cell));
  if (column->cells == NULL) {
    py.PyErr_SetString(*py.runtime_error, "out of memory");
    return -1;
  }
  for (i = 0; i < count; i++) {
    PyObject *value = list ? py.PyList_GetItem(object, i) : py.PyTuple_GetItem(object, i);

    if (cell_read(&column->cells[i], value) < 0) return -1;
  }
  return 0;
}

static int arrow_of(struct column *column, PyObject *pair, Py_ssize_t rows) {
  const struct ArrowSchema *schema = py.PyCapsule_GetPointer(py.PyTuple_GetItem(pair, 0), "arrow_schema");
  const struct ArrowArray *array = py.PyCapsule_GetPointer(py.PyTuple_GetItem(pair, 1), "arrow_array");
  const char *format;

  if (schema == NULL || array == NULL) return -1;
  format = schema->format;
  if (array->length < rows) {
    py.PyErr_SetString(*py.runtime_error, "an array is shorter than the part that it belongs to");
    return -1;
  }
  column->offset = array->offset;
  column->validity = array->null_count == 0 ? NULL : array->buffers[0];
  column->values = array->n_buffers > 1 ? array->buffers[1] : NULL;
  column->data = array->n_buffers > 2 ? array->buffers[2] : NULL;
  if (strcmp(format, "l") == 0) {
    column->kind = INTEGERS;
  } else if (strcmp(format, "g") == 0) {
    column->kind = REALS;
  } else if (strcmp(format, "b") == 0) {
    column->kind = BOOLEANS;
  } else if (strncmp(format, "tsu:", 4) == 0) {
    column->kind = TIMES;
  } else if (strcmp(format, "u") == 0) {
    column->kind = TEXTS;
  } else if (strcmp(format, "U") == 0) {
    column->kind = TEXTS64;
  } else if (strcmp(format, "z") == 0) {
    column->kind = BLOBS;
  } else if (strcmp(format, "Z") == 0) {
    column->kind = BLOBS64;
  } else if (strncmp(format, "+w:", 3) == 0 && strcmp(schema->children[0]->format, "f") == 0) {
    const struct ArrowArray *child = array->children[0];

    column->kind = VECTORS;
    column->width = 4 * strtoul(format + 3, NULL, 10);
    column->values = child->buffers[1] == NULL ? NULL : (const char *)child->buffers[1] + 4 * child->offset;
  } else {
    py.PyErr_SetString(*py.runtime_error, "an array is of a type that no column has");
    return -1;
  }
  return 0;
}

void part_drop(struct part *part) {
  int i;

  for (i = 0; i < part->count; i++) sqlite3_free(part->columns[i].cells);
  sqlite3_free(part->columns);
  if (part->held != NULL) py.Py_DecRef(part->held);
  memset(part, 0, sizeof(*part));
}

int part_take(struct part *part, PyObject *given) {
  PyObject *columns;
  int i;

  part_drop(part);
  if (given == py.none) {
    py.Py_DecRef(given);
    return 0;
  }
  part->held = given;
  columns = py.PyTuple_GetItem(given, 1);
  if (columns == NULL) return -1;
  i = (int)py.PyTuple_Size(columns);
  part->columns = sqlite3_malloc64((sqlite3_uint64)i * sizeof(struct column));
  if (part->columns == NULL) {
    py.PyErr_SetString(*py.runtime_error, "out of memory");
    return -1;
  }
  memset(part->columns, 0, (size_t)i * sizeof(struct column));
  part->count = i;
  part->rows = (Py_ssize_t)py.PyLong_AsLongLong(py.PyTuple_GetItem(given, 0));
  for (i = 0; i < part->count; i++) {
    PyObject *each = py.PyTuple_GetItem(columns, i), *type;
    struct column *column = &part->columns[i];
    int failed = 0;

    if (each == NULL) return -1;
    if (each == py.none) continue;
    type = py.PyObject_Type(each);
    py.Py_DecRef(type);
    if (type == py.list_type) {
      column->kind = CELLS;
      failed = py.PyList_Size(each) < part->rows || cells_of(column, each, 1, part->rows) < 0;
    } else if (py.PyTuple_Size(each) == 1) {
      column->kind = CONSTANT;
      failed = cells_of(column, each, 0, 1) < 0;
    } else {
      failed = arrow_of(column, each, part->rows) < 0;
    }
    if (failed) {
      if (!py.PyErr_Occurred()) py.PyErr_SetString(*py.runtime_error, "a column is shorter than its part");
      part->rows = 0;
      return -1;
    }
  }
  return 0;
}

/* YYYY-MM-DD HH:MM:SS, and a fraction without the zeros at its end, if there is one: as columns/timestamps.py. The days are
** counted from March, in eras of 400 years (https://howardhinnant.github.io/date_algorithms.html). */
static void time_result(sqlite3_context *context, int64_t micros) {
  char text[64];
  int64_t seconds = micros / 1000000, fraction = micros % 1000000, days, clock, era, day, year;
  int month, size;

  if (fraction < 0) {
    fraction += 1000000;
    seconds--;
  }
  days = seconds / 86400;
  clock = seconds % 86400;
  if (clock < 0) {
    clock += 86400;
    days--;
  }
  days += 719468;
  era = (days >= 0 ? days : days - 146096) / 146097;
  day = days - era * 146097;
  year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  month = (int)((5 * day + 2) / 153);
  day = day - (153 * month + 2) / 5 + 1;
  month += month < 10 ? 3 : -9;
  year += era * 400 + (month <= 2);
  size = snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d", (int)year, month, (int)day, (int)(clock / 3600),
                  (int)(clock / 60 % 60), (int)(clock % 60));
  if (fraction) {
    size += snprintf(text + size, sizeof(text) - (size_t)size, ".%06d", (int)fraction);
    while (text[size - 1] == '0') size--;
  }
  text_result(context, text, (size_t)size);
}

int part_result(const struct part *part, int number, Py_ssize_t row, sqlite3_context *context) {
  const struct column *column = &part->columns[number];
  int64_t at = column->offset + row;

  if (column->validity != NULL && !(column->validity[at >> 3] >> (at & 7) & 1)) {
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
  case INTEGERS:
    sqlite3_result_int64(context, ((const int64_t *)column->values)[at]);
    break;
  case REALS:
    sqlite3_result_double(context, ((const double *)column->values)[at]);
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
    blob_result(context, (const char *)column->values + (size_t)at * column->width, column->width);
    break;
  }
  return 1;
}

sqlite3_int64 part_rowid(const struct part *part, Py_ssize_t row) {
  const struct column *column = &part->columns[part->count - 1];

  if (column->kind == INTEGERS) return ((const int64_t *)column->values)[column->offset + row];
  return column->kind == CELLS && column->cells[row].type == 'i' ? column->cells[row].as.integer : 0;
}
