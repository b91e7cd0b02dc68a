/* A part of rows, column by column, as a database reads them. Taking a part needs the GIL, reading it does not.
**
** Arrow arrays come as capsules of the Arrow PyCapsule interface, whose structures are those of the Arrow C data interface
** (https://arrow.apache.org/docs/format/CDataInterface.html). The capsules own what is in them.
*/
#include "runtime.h"

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

static int cells_of(struct column *column, PyObject *object, int list, Py_ssize_t count) {
  Py_ssize_t i;

  column->cells = malloc((size_t)(count ? count : 1) * sizeof(struct cell));
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

/* Bytes of a value, by the format of its array; 0 for those that are no such values. */
static size_t width_of(const char *format) {
  static const struct {
    const char *format;
    size_t width;
  } WIDTHS[] = {{"c", 1},   {"C", 1},   {"s", 2},   {"S", 2},    {"i", 4},    {"I", 4},    {"L", 8},
                {"tdD", 4}, {"ttu", 8}, {"tss:", 8}, {"tsm:", 8}, {"tsn:", 8}, {"w:16", 16}};
  size_t i;

  for (i = 0; i < sizeof(WIDTHS) / sizeof(WIDTHS[0]); i++) {
    if (strcmp(format, WIDTHS[i].format) == 0) return WIDTHS[i].width;
  }
  return 0;
}

static int array_of(struct column *column, const struct ArrowSchema *schema, const struct ArrowArray *array);

static int children_of(struct column *column, const struct ArrowSchema *schema, const struct ArrowArray *array) {
  int i;

  column->children = calloc((size_t)array->n_children + 1, sizeof(*column->children));
  if (column->children == NULL) {
    py.PyErr_SetString(*py.runtime_error, "out of memory");
    return -1;
  }
  column->child_count = (int)array->n_children;
  for (i = 0; i < column->child_count; i++) {
    if (array_of(&column->children[i], schema->children[i], array->children[i]) < 0) return -1;
  }
  return 0;
}

/* Whether an array of that many items a row is one of numbers without NULLs, which can be copied as they are. */
static int is_vector(const struct ArrowSchema *schema, const struct ArrowArray *array) {
  const char *item = schema->children[0]->format;
  const struct ArrowArray *items = array->children[0];

  return strchr("fcC", item[0]) != NULL && item[1] == '\0' && (items->null_count == 0 || items->buffers[0] == NULL);
}

static int array_of(struct column *column, const struct ArrowSchema *schema, const struct ArrowArray *array) {
  const char *format = schema->format;

  column->offset = array->offset;
  column->validity = array->null_count == 0 ? NULL : array->buffers[0];
  column->values = array->n_buffers > 1 ? array->buffers[1] : NULL;
  column->data = array->n_buffers > 2 ? array->buffers[2] : NULL;
  if (strcmp(format, "l") == 0) {
    column->kind = INTEGERS;
  } else if (strcmp(format, "g") == 0) {
    column->kind = REALS;
  } else if (strcmp(format, "f") == 0) {
    column->kind = FLOATS;
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
  } else if (strncmp(format, "+w:", 3) == 0 && is_vector(schema, array)) {
    const struct ArrowArray *child = array->children[0];
    size_t item = schema->children[0]->format[0] == 'f' ? 4 : 1;

    column->kind = VECTORS;
    column->width = item * strtoul(format + 3, NULL, 10);
    column->values = child->buffers[1] == NULL ? NULL : (const char *)child->buffers[1] + item * (size_t)child->offset;
  } else if (format[0] == '+' && strchr("lLws", format[1]) != NULL) {
    column->kind = format[1] == 'l' ? LISTS : format[1] == 'L' ? LISTS64 : format[1] == 'w' ? ARRAYS : STRUCTS;
    column->width = format[1] == 'w' ? strtoul(format + 3, NULL, 10) : 0;
    return children_of(column, schema, array);
  } else if (width_of(format) > 0) {
    column->kind = FIXED;
    column->width = width_of(format);
  } else {
    py.PyErr_SetString(*py.runtime_error, "an array is of a type that no column has");
    return -1;
  }
  return 0;
}

static int arrow_of(struct column *column, PyObject *pair, Py_ssize_t rows) {
  const struct ArrowSchema *schema = py.PyCapsule_GetPointer(py.PyTuple_GetItem(pair, 0), "arrow_schema");
  const struct ArrowArray *array = py.PyCapsule_GetPointer(py.PyTuple_GetItem(pair, 1), "arrow_array");

  if (schema == NULL || array == NULL) return -1;
  if (array->length < rows) {
    py.PyErr_SetString(*py.runtime_error, "an array is shorter than the part that it belongs to");
    return -1;
  }
  return array_of(column, schema, array);
}

static void drop_column(struct column *column) {
  int i;

  for (i = 0; i < column->child_count; i++) drop_column(&column->children[i]);
  free(column->children);
  free(column->cells);
}

void part_drop(struct part *part) {
  int i;

  for (i = 0; i < part->count; i++) drop_column(&part->columns[i]);
  free(part->columns);
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
  part->columns = malloc((size_t)(i ? i : 1) * sizeof(struct column));
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
