/* The scan for DuckDB's second C API, which hands the WHERE over and keeps the order of rows while several threads scan.
**
** This file is loaded by the stable extension, audiomem.duckdb_extension, in a release that it was built for; everything else
** is registered by that one. vtab/native/duckdb_vectors.c fills vectors here as there: the functions of the first API that it
** calls are given below, in their places.
*/
#include "duckdb_v2.h"

#include <stdlib.h>
#include <string.h>

duckdb_any_function duck[DUCKDB_USED];
duckdb_any_function v2[V2_FUNCTIONS];

struct str text_of(const char *text) { return (struct str){text, strlen(text)}; }

void v2_fail(handle *error, const char *text) {
  struct str message = text_of(text);

  if (error == NULL) return;
  v2_error_code(*error, INPUT_INVALID);
  v2_error_text(*error, &message);
}

void v2_report(handle *error) {
  char *message = failure();

  v2_fail(error, message);
  free(message);
}

void v2_refused(const char *function, handle *error) {
  struct str said = {"", 0};
  char *message;

  if (*error != NULL) v2_error_said(*error, &said);
  message = words("DuckDB does not take %s: %.*s", function, (int)said.len, said.ptr);
  if (!py.PyErr_Occurred()) py.PyErr_SetString(*py.runtime_error, message);
  free(message);
  if (*error != NULL) v2_error_destroy(error);
}

/* ---- what duckdb_vectors.c calls --------------------------------------------------------------------------------- */

static void *vector_data(duckdb_vector vector) {
  void *data = NULL;

  v2_vector_data(vector, &data, NULL);
  return data;
}

static uint64_t *vector_validity(duckdb_vector vector) {
  uint64_t *validity = NULL;

  v2_vector_validity(vector, &validity, NULL);
  return validity;
}

static void make_writable(duckdb_vector vector) { (void)vector; } /* vector_validity does */

static void assign_text(duckdb_vector vector, idx_t row, const char *text, idx_t length) {
  duckdb_string_t *string = (duckdb_string_t *)vector_data(vector) + row;
  handle arena = NULL;
  char *place = NULL;

  memset(string, 0, sizeof(*string));
  if (length > sizeof(string->value.inlined.data)) {
    if (v2_vector_arena(vector, &arena, NULL) != 0 || v2_arena_allocate(arena, length, &place, NULL) != 0) return;
    memcpy(place, text, length);
    memcpy(string->value.pointer.prefix, text, sizeof(string->value.pointer.prefix));
    string->value.pointer.data = place;
  } else if (length > 0) {
    memcpy(string->value.inlined.data, text, length);
  }
  string->value.inlined.length = (uint32_t)length;
}

static duckdb_vector field(duckdb_vector vector, idx_t place) {
  handle child = NULL;

  v2_vector_child(vector, place, &child, NULL);
  return child;
}

static duckdb_vector items_of(duckdb_vector vector) { return field(vector, 0); }

static int set_items(duckdb_vector vector, idx_t count) { return v2_vector_set_size(items_of(vector), count, NULL); } /* it reserves */

static void lend_functions(void) {
  duck[194] = (duckdb_any_function)vector_data;
  duck[195] = (duckdb_any_function)vector_validity;
  duck[196] = (duckdb_any_function)make_writable;
  duck[198] = (duckdb_any_function)assign_text;
  duck[199] = (duckdb_any_function)items_of;
  duck[201] = duck[202] = (duckdb_any_function)set_items;
  duck[203] = (duckdb_any_function)field;
  duck[204] = (duckdb_any_function)items_of;
}

/* ---- the entry point --------------------------------------------------------------------------------------------- */

static int register_all(const struct extension_input *input) {
  PyObject *module = py.PyImport_ImportModule(PYTHON_DUCKDB), *function = NULL, *pragma = NULL;
  PyObject *writing = py.PyImport_ImportModule(PYTHON_WRITING), *macro = NULL;
  handle factory = NULL;
  int rc = -1;

  if (module != NULL) function = call(module, PYTHON_SCAN, NULL);
  if (function != NULL) pragma = call(module, PYTHON_ATTACHING, NULL);
  if (pragma != NULL && writing != NULL) macro = py.PyObject_GetAttrString(writing, PYTHON_MACRO);
  if (macro != NULL && v2_context_factory(input->context, &factory, NULL) == 0) {
    rc = v2_register_scan(input->extension, factory, function);
    if (rc == 0) rc = v2_register_pragma(input->extension, factory, pragma);
    if (rc == 0) rc = v2_register_macro(input->extension, factory, macro);
  }
  if (macro != NULL) py.Py_DecRef(macro);
  if (writing != NULL) py.Py_DecRef(writing);
  if (pragma != NULL) py.Py_DecRef(pragma);
  if (function != NULL) py.Py_DecRef(function);
  if (module != NULL) py.Py_DecRef(module);
  return rc;
}

#ifdef __GNUC__
__attribute__((visibility("default")))
#endif
void AUDIOMEM_ENTRY(const struct extension_input *input) {
  const void *given = input->get_api(input->extension, V2_RELEASE);
  char *failed = NULL;
  struct gil gil;

  if (given == NULL) return; /* DuckDB has said what it does not have */
  memcpy(v2, given, sizeof(v2));
  lend_functions();
  if (runtime_start(&failed) != 0) {
    v2_fail(input->error, failed);
    free(failed);
    return;
  }
  gil = gil_take(NULL);
  if (!gil.entered) v2_fail(input->error, ENDED);
  else if (register_all(input) < 0) v2_report(input->error);
  gil_give(&gil);
}
