/* PRAGMA audiomem_attach('folder'): DuckDB runs the statements that Python gives. */
#include "duckdb_v2.h"

static void statements(handle info, handle result, handle context, handle *error) {
  PyObject *pragma = NULL, *folder, *made;
  struct gil gil = gil_take(NULL);
  handle value = NULL;
  struct cell cell;

  (void)context;
  if (!gil.entered) {
    v2_fail(error, ENDED);
    return;
  }
  v2_bind_user_data(info, (void **)&pragma, NULL);
  v2_bind_arg_value(info, 0, &value, NULL);
  folder = v2_value_object(value);
  if (value != NULL) v2_value_destroy(&value);
  made = folder == NULL ? NULL : call(pragma, "statements", tuple(1, &folder));
  if (made == NULL || cell_read(&cell, made) < 0) {
    v2_report(error);
  } else {
    struct str query = {cell.as.bytes.data, (idx_t)cell.as.bytes.size};

    v2_pragma_query(result, &query, NULL);
  }
  if (made != NULL) py.Py_DecRef(made);
  gil_give(&gil);
}

int v2_register_pragma(handle extension, handle factory, PyObject *pragma) {
  struct opaque data = {kept(pragma), forget, NULL};
  struct str name = text_of("audiomem_attach"), path = text_of("path"), text = text_of("VARCHAR");
  handle made = NULL, error = NULL, signature = NULL, type = NULL;
  int rc;

  rc = v2_pragma_create(factory, &made, &error) || v2_pragma_name(made, &name, &error) ||
       v2_pragma_signature(made, &signature, &error) || v2_type_of(factory, &text, &type, &error) ||
       v2_parameter(signature, &path, type, NULL, POSITIONAL_ONLY, &error) || v2_pragma_user_data(made, &data, &error) ||
       v2_pragma_on_query(made, statements, &error) || v2_pragma_register(extension, made, &error);
  if (type != NULL) v2_type_destroy(&type);
  if (made != NULL) v2_pragma_destroy(&made);
  if (rc != 0) v2_refused("the pragma audiomem_attach", &error);
  return rc == 0 ? 0 : -1;
}
