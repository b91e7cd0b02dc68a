/* Errors, objects of Python that DuckDB keeps, and types. */
#include "duckdb_door.h"

#include <stdlib.h>

const char ENDED[] = "audiomem: Python has ended in this process";

/* The exception that is on its way, as text for free(). */
char *failure(void) {
  PyObject *type, *value, *traceback, *module, *explanation = NULL;
  struct cell text;
  char *message = NULL;

  py.PyErr_Fetch(&type, &value, &traceback);
  py.PyErr_NormalizeException(&type, &value, &traceback);
  module = py.PyImport_ImportModule(PYTHON_DUCKDB);
  if (module != NULL && value != NULL) {
    py.Py_IncRef(value);
    explanation = call(module, PYTHON_MESSAGE, tuple(1, (PyObject *[]){value}));
  }
  if (explanation != NULL && cell_read(&text, explanation) == 0 && text.type == 't') message = words("%s", text.as.bytes.data);
  if (message == NULL) message = words("audiomem: an error that Python cannot explain");
  py.PyErr_Clear();
  if (explanation != NULL) py.Py_DecRef(explanation);
  if (module != NULL) py.Py_DecRef(module);
  if (type != NULL) py.Py_DecRef(type);
  if (value != NULL) py.Py_DecRef(value);
  if (traceback != NULL) py.Py_DecRef(traceback);
  return message;
}

/* What DuckDB keeps of ours is an object of Python. */
void forget(void *object) {
  struct gil gil = gil_take(NULL);

  if (gil.entered) py.Py_DecRef(object);
  gil_give(&gil);
}

void *kept(PyObject *object) {
  py.Py_IncRef(object);
  return object;
}

long long number_at(PyObject *values, Py_ssize_t place) {
  return py.PyLong_AsLongLong(py.PyTuple_GetItem(values, place));
}

const char *text_at(PyObject *values, Py_ssize_t place) {
  struct cell cell;

  return cell_read(&cell, py.PyTuple_GetItem(values, place)) < 0 || cell.type != 't' ? NULL : cell.as.bytes.data;
}

/* A list of what audiomem_nearest finds. */
static duckdb_logical_type pairs_type(void) {
  duckdb_logical_type items[2] = {duckdb_create_logical_type(DUCKDB_BIGINT), duckdb_create_logical_type(DUCKDB_FLOAT)};
  const char *names[2] = {"row_id", "distance"};
  duckdb_logical_type pair = duckdb_create_struct_type(items, names, 2), made = duckdb_create_list_type(pair);

  duckdb_destroy_logical_type(&items[0]);
  duckdb_destroy_logical_type(&items[1]);
  duckdb_destroy_logical_type(&pair);
  return made;
}

/* A logical type by its number; an array of `width` items, or a list, whose items have the type in the second byte, or
   are floats; STRUCT stands for a list of what audiomem_nearest finds. */
duckdb_logical_type logical(int type, idx_t width) {
  duckdb_logical_type item, made;

  if (type == DUCKDB_STRUCT) return pairs_type();
  if ((type & 255) != DUCKDB_ARRAY && (type & 255) != DUCKDB_LIST) return duckdb_create_logical_type(type);
  item = duckdb_create_logical_type(type >> 8 != 0 ? type >> 8 : DUCKDB_FLOAT);
  made = (type & 255) != DUCKDB_LIST ? duckdb_create_array_type(item, width) : duckdb_create_list_type(item);
  duckdb_destroy_logical_type(&item);
  return made;
}

/* Fields of a struct, (name, type) each. */
static duckdb_logical_type struct_of(PyObject *fields) {
  Py_ssize_t count = py.PyTuple_Size(fields), i;
  duckdb_logical_type *types = calloc((size_t)count + 1, sizeof(*types)), made;
  const char **names = calloc((size_t)count + 1, sizeof(*names));

  for (i = 0; i < count; i++) {
    names[i] = text_at(py.PyTuple_GetItem(fields, i), 0);
    types[i] = logical_of(py.PyTuple_GetItem(py.PyTuple_GetItem(fields, i), 1));
  }
  made = duckdb_create_struct_type(types, names, (idx_t)count);
  for (i = 0; i < count; i++) duckdb_destroy_logical_type(&types[i]);
  free(types);
  free(names);
  return made;
}

static duckdb_logical_type enum_of(PyObject *words) {
  Py_ssize_t count = py.PyTuple_Size(words), i;
  const char **names = calloc((size_t)count + 1, sizeof(*names));
  duckdb_logical_type made;

  for (i = 0; i < count; i++) names[i] = text_at(words, i);
  made = duckdb_create_enum_type(names, (idx_t)count);
  free(names);
  return made;
}

static duckdb_logical_type map_of(PyObject *entries) {
  PyObject *fields = py.PyTuple_GetItem(entries, 1);
  duckdb_logical_type key = logical_of(py.PyTuple_GetItem(py.PyTuple_GetItem(fields, 0), 1)),
                      value = logical_of(py.PyTuple_GetItem(py.PyTuple_GetItem(fields, 1), 1)), made;

  made = duckdb_create_map_type(key, value);
  duckdb_destroy_logical_type(&key);
  duckdb_destroy_logical_type(&value);
  return made;
}

duckdb_logical_type logical_of(PyObject *type) {
  int id = (int)number_at(type, 0);
  duckdb_logical_type item, made;

  switch (id) {
  case DUCKDB_DECIMAL:
    return duckdb_create_decimal_type((uint8_t)number_at(type, 1), (uint8_t)number_at(type, 2));
  case DUCKDB_ENUM:
    return enum_of(py.PyTuple_GetItem(type, 2));
  case DUCKDB_STRUCT:
    return struct_of(py.PyTuple_GetItem(type, 1));
  case DUCKDB_MAP:
    return map_of(py.PyTuple_GetItem(type, 1));
  case DUCKDB_LIST:
  case DUCKDB_ARRAY:
    item = logical_of(py.PyTuple_GetItem(type, 1));
    made = id == DUCKDB_LIST ? duckdb_create_list_type(item) : duckdb_create_array_type(item, (idx_t)number_at(type, 2));
    duckdb_destroy_logical_type(&item);
    return made;
  }
  made = duckdb_create_logical_type(id);
  if (id == DUCKDB_VARCHAR && py.PyTuple_Size(type) > 1) duckdb_logical_type_set_alias(made, text_at(type, 1));
  return made;
}

/* ---- tuples and lists --------------------------------------------------------------------------------------------- */

PyObject *tuple_of(Py_ssize_t count, PyObject *(*item)(void *, Py_ssize_t), void *data) {
  PyObject *made = py.PyTuple_New(count);
  Py_ssize_t i;

  for (i = 0; made != NULL && i < count; i++) {
    PyObject *each = item(data, i);

    if (each == NULL) {
      py.Py_DecRef(made);
      return NULL;
    }
    py.PyTuple_SetItem(made, i, each);
  }
  return made;
}

PyObject *list_of(Py_ssize_t count, PyObject *(*item)(void *, Py_ssize_t), void *data) {
  PyObject *made = py.PyList_New(0);
  Py_ssize_t i;

  for (i = 0; made != NULL && i < count; i++) {
    PyObject *each = item(data, i);
    int failed = each == NULL || py.PyList_Append(made, each) < 0;

    if (each != NULL) py.Py_DecRef(each);
    if (failed) {
      py.Py_DecRef(made);
      return NULL;
    }
  }
  return made;
}

/* ---- what functions are registered and called with ---------------------------------------------------------------- */

struct call_arguments {
  const struct arguments *given;
  PyObject *named;
  void *info;
};

static PyObject *argument_at(void *data, Py_ssize_t place) {
  const struct call_arguments *call = data;

  if (place < call->given->count) return call->given->at(call->info, place);
  return call->given->named(call->info, text_at(py.PyTuple_GetItem(call->named, place - call->given->count), 0));
}

PyObject *arguments_of(PyObject *function, const struct arguments *given, void *info) {
  PyObject *named = py.PyObject_GetAttrString(function, "named"), *made = NULL;
  struct call_arguments call = {given, named, info};

  if (named != NULL) {
    made = tuple_of(given->count + py.PyTuple_Size(named), argument_at, &call);
    py.Py_DecRef(named);
  }
  return made;
}

int declare(PyObject *source, int (*column)(void *, const char *, PyObject *, const char *), void (*rows)(void *, idx_t), void *data) {
  PyObject *columns = py.PyObject_GetAttrString(source, "columns"), *count = py.PyObject_GetAttrString(source, "rows");
  int failed = columns == NULL || count == NULL;
  Py_ssize_t i;

  for (i = 0; !failed && i < py.PyTuple_Size(columns); i++) {
    PyObject *each = py.PyTuple_GetItem(columns, i); /* name, type, type in SQL */
    const char *name = text_at(each, 0);

    failed = name == NULL || column(data, name, py.PyTuple_GetItem(each, 1), text_at(each, 2)) < 0;
  }
  if (!failed && count != py.none) rows(data, (idx_t)py.PyLong_AsLongLong(count));
  if (columns != NULL) py.Py_DecRef(columns);
  if (count != NULL) py.Py_DecRef(count);
  if (failed && !py.PyErr_Occurred()) py.PyErr_SetString(*py.runtime_error, "DuckDB does not take the columns");
  return failed ? -1 : 0;
}

void report(void (*set_error)(void *, const char *), void *info) {
  char *message = failure();

  set_error(info, message);
  free(message);
}

/* ---- types and values -------------------------------------------------------------------------------------------- */

static PyObject *number(long long value) { return py.PyLong_FromLongLong(value); }

static PyObject *described_child(duckdb_logical_type child) {
  PyObject *made = described(child);

  duckdb_destroy_logical_type(&child);
  return made;
}

static PyObject *word_at(void *type, Py_ssize_t place) {
  char *word = duckdb_enum_dictionary_value(type, (idx_t)place);
  PyObject *made = text_object(word);

  duckdb_free(word);
  return made;
}

static PyObject *field_at(void *type, Py_ssize_t place) {
  char *name = duckdb_struct_type_child_name(type, (idx_t)place);
  duckdb_logical_type child = duckdb_struct_type_child_type(type, (idx_t)place);
  PyObject *made = tuple(2, (PyObject *[]){text_object(name), described_child(child)});

  duckdb_free(name);
  return made;
}

static PyObject *described_map(duckdb_logical_type type) {
  PyObject *key = tuple(2, (PyObject *[]){text_object("key"), described_child(duckdb_map_type_key_type(type))}),
           *value = tuple(2, (PyObject *[]){text_object("value"), described_child(duckdb_map_type_value_type(type))});

  return tuple(2, (PyObject *[]){number(DUCKDB_MAP),
                                 tuple(2, (PyObject *[]){number(DUCKDB_STRUCT), tuple(2, (PyObject *[]){key, value})})});
}

static PyObject *described_text(duckdb_logical_type type) {
  char *alias = duckdb_logical_type_get_alias(type);
  PyObject *made = alias == NULL ? tuple(1, (PyObject *[]){number(DUCKDB_VARCHAR)})
                                 : tuple(2, (PyObject *[]){number(DUCKDB_VARCHAR), text_object(alias)});

  if (alias != NULL) duckdb_free(alias);
  return made;
}

PyObject *described(duckdb_logical_type type) {
  int id = duckdb_get_type_id(type);

  switch (id) {
  case DUCKDB_DECIMAL:
    return tuple(4, (PyObject *[]){number(id), number(duckdb_decimal_width(type)), number(duckdb_decimal_scale(type)),
                                   number(duckdb_decimal_internal_type(type))});
  case DUCKDB_ENUM:
    return tuple(3, (PyObject *[]){number(id), number(duckdb_enum_internal_type(type)),
                                   tuple_of((Py_ssize_t)duckdb_enum_dictionary_size(type), word_at, type)});
  case DUCKDB_VARCHAR:
    return described_text(type);
  case DUCKDB_MAP:
    return described_map(type);
  case DUCKDB_LIST:
    return tuple(2, (PyObject *[]){number(id), described_child(duckdb_list_type_child_type(type))});
  case DUCKDB_ARRAY:
    return tuple(3, (PyObject *[]){number(id), described_child(duckdb_array_type_child_type(type)),
                                   number((long long)duckdb_array_type_array_size(type))});
  case DUCKDB_STRUCT:
    return tuple(2, (PyObject *[]){number(id), tuple_of((Py_ssize_t)duckdb_struct_type_child_count(type), field_at, type)});
  default:
    return tuple(1, (PyObject *[]){number(id)});
  }
}

static PyObject *list_item(void *list, Py_ssize_t place) {
  duckdb_value child = duckdb_get_list_child(list, (idx_t)place);
  PyObject *made = value_object(child);

  if (child != NULL) duckdb_destroy_value(&child);
  return made;
}

PyObject *value_object(duckdb_value value) {
  PyObject *made;
  char *text;
  int type;

  if (value == NULL || duckdb_is_null_value(value)) return text_object(NULL);
  type = duckdb_get_type_id(duckdb_get_value_type(value));
  if (type >= DUCKDB_TINYINT && type < DUCKDB_UBIGINT) return number(duckdb_get_int64(value));
  if (type == DUCKDB_LIST) return list_of((Py_ssize_t)duckdb_get_list_size(value), list_item, value);
  text = duckdb_get_varchar(value);
  made = text_object(text);
  duckdb_free(text);
  if (type == DUCKDB_VARCHAR || made == NULL) return made;
  return tuple(2, (PyObject *[]){number(type), made});
}

PyObject *setting(duckdb_client_context context, const char *name) {
  duckdb_value value = duckdb_client_context_get_config_option(context, name, NULL);
  PyObject *made = value_object(value);

  if (value != NULL) duckdb_destroy_value(&value);
  return made;
}

int use_cache(PyObject *value) {
  PyObject *module = value == NULL ? NULL : py.PyImport_ImportModule(PYTHON_SETTINGS), *done = NULL;

  if (module != NULL) {
    done = call(module, PYTHON_USE_CACHE, tuple(1, &value));
    py.Py_DecRef(module);
  } else if (value != NULL) {
    py.Py_DecRef(value);
  }
  if (done == NULL) return -1;
  py.Py_DecRef(done);
  return 0;
}
