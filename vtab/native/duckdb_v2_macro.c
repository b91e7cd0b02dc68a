/* CALL audiomem_write(query, path): a table macro, which runs the query as a part of the statement that calls it. */
#include "duckdb_v2.h"

static int add_parameters(handle made, handle factory, PyObject *parameters, PyObject *optional, handle *error) {
  struct str text = text_of("VARCHAR");
  handle signature = NULL, any = NULL, varchar = NULL, null = NULL;
  Py_ssize_t count = py.PyTuple_Size(parameters), i;
  int rc;

  rc = v2_macro_signature(made, &signature, error) || v2_type_by_id(factory, ID_ANY, NULL, NULL, 0, &any, error) ||
       v2_type_of(factory, &text, &varchar, error) || v2_value_null(factory, varchar, &null, error);
  for (i = 0; rc == 0 && i < count + py.PyTuple_Size(optional); i++) {
    struct str name = text_of(i < count ? text_at(parameters, i) : text_at(optional, i - count));

    rc = v2_parameter(signature, &name, any, i < count ? NULL : null, STANDARD, error);
  }
  if (null != NULL) v2_value_destroy(&null);
  if (varchar != NULL) v2_type_destroy(&varchar);
  if (any != NULL) v2_type_destroy(&any);
  return rc;
}

/* Macro: name, parameters, optional (names), body. */
int v2_register_macro(handle extension, handle factory, PyObject *macro) {
  PyObject *parameters = py.PyObject_GetAttrString(macro, "parameters"), *optional = py.PyObject_GetAttrString(macro, "optional"),
           *texts = py.PyObject_GetAttrString(macro, "texts");
  handle made = NULL, error = NULL;
  int rc = parameters == NULL || optional == NULL || texts == NULL;

  if (rc == 0) {
    struct str name = text_of(text_at(texts, 0)), body = text_of(text_at(texts, 1));

    rc = v2_macro_create(factory, TABLE_MACRO, &made, &error) || v2_macro_name(made, &name, &error) ||
         v2_macro_body(made, &body, &error) || add_parameters(made, factory, parameters, optional, &error) ||
         v2_macro_register(extension, made, &error);
  }
  if (made != NULL) v2_macro_destroy(&made);
  if (parameters != NULL) py.Py_DecRef(parameters);
  if (optional != NULL) py.Py_DecRef(optional);
  if (texts != NULL) py.Py_DecRef(texts);
  if (rc != 0) v2_refused("the macro audiomem_write", &error);
  return rc == 0 ? 0 : -1;
}
