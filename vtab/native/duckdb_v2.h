/* What is used of DuckDB's second C API, which has no stable form yet: one build for each release of DuckDB.
**
** As with the first one, no header of DuckDB is needed: PLACE_x is the place of function duckdb_v2_x in the table of the
** release, see tools/duckdb_places.py. All handles are pointers; every function returns 0, or the number of an error.
*/
#ifndef AUDIOMEM_DUCKDB_V2_H
#define AUDIOMEM_DUCKDB_V2_H

#include "duckdb_door.h"
#include "duckdb_v2_places.h"

extern duckdb_any_function v2[V2_FUNCTIONS];
#define V2(name, arguments) ((int(*) arguments)v2[PLACE_##name])

typedef void *handle;
struct str {
  const char *ptr;
  idx_t len;
};
struct opaque {
  void *ptr;
  void (*destroy)(void *);
  bool (*equals)(void *, void *);
};
struct extension_input {
  const void *(*get_api)(handle extension, const char *version);
  handle extension, context, *error;
};

enum { INPUT_INVALID = 2001, POSITIONAL_ONLY = 0, STANDARD = 1, NAMED_ONLY = 3, TABLE_MACRO = 1 };
/* Of types and of nodes of a bound expression. */
enum { ID_ANY = 3, ID_TINYINT = 11, ID_BIGINT = 14, ID_TIMESTAMP = 19, ID_FLOAT = 22, ID_DOUBLE, ID_VARCHAR = 25, ID_UTINYINT = 28, ID_UINTEGER = 30, ID_LIST = 101 };
enum { NODE_CONSTANT = 75, NODE_FUNCTION = 141, NODE_COLUMN = 228 };

#define v2_arena_allocate V2(arena_allocate, (handle, idx_t, char **, handle *))
#define v2_bind_arg_index V2(function_bind_get_arg_index, (handle, const struct str *, idx_t *, bool *, handle *))
#define v2_bind_arg_value V2(function_bind_get_arg_value, (handle, idx_t, handle *, handle *))
#define v2_bind_set_data V2(function_bind_set_bind_data, (handle, struct opaque *, handle *))
#define v2_bind_user_data V2(function_bind_get_user_data, (handle, void **, handle *))
#define v2_chunk_vector V2(data_chunk_get_vector, (handle, idx_t, handle *, handle *))
#define v2_context_factory V2(context_get_factory, (handle, handle *, handle *))
#define v2_config_value V2(config_get_option_value, (handle, const struct str *, handle *, int *, handle *))
#define v2_context_config V2(context_get_config, (handle, handle *, handle *))
#define v2_error_code V2(error_info_set_code, (handle, int))
#define v2_error_destroy V2(error_info_destroy, (handle *))
#define v2_error_said V2(error_info_get_text, (handle, struct str *))
#define v2_error_text V2(error_info_set_text, (handle, const struct str *))
#define v2_expression_child V2(expression_get_child, (handle, idx_t, handle *, handle *))
#define v2_expression_children V2(expression_get_child_count, (handle, idx_t *, handle *))
#define v2_expression_column V2(expression_column_ref_get_index, (handle, idx_t *, handle *))
#define v2_expression_constant V2(expression_constant_get_value, (handle, handle *, handle *))
#define v2_expression_name V2(expression_function_get_name, (handle, struct str *, handle *))
#define v2_expression_type V2(expression_get_type, (handle, int *, handle *))
#define v2_filter V2(table_function_filter_pushdown_get_filter, (handle, idx_t, handle *, handle *))
#define v2_filter_bind_data V2(table_function_filter_pushdown_get_bind_data, (handle, void **, handle *))
#define v2_filter_column V2(table_function_filter_pushdown_get_column_index, (handle, idx_t, idx_t *, handle *))
#define v2_filter_count V2(table_function_filter_pushdown_get_filter_count, (handle, idx_t *, handle *))
#define v2_parameter V2(function_signature_add_parameter, (handle, const struct str *, handle, handle, int, handle *))
#define v2_type_destroy V2(logical_type_destroy, (handle *))
#define v2_type_id V2(logical_type_get_id, (handle, int *, handle *))
#define v2_type_by_id V2(factory_create_type_from_id, (handle, int, const struct str *, const handle *, idx_t, handle *, handle *))
#define v2_type_of V2(factory_create_type_from_text, (handle, const struct str *, handle *, handle *))
#define v2_value_child V2(value_get_child, (handle, idx_t, handle *, handle *))
#define v2_value_children V2(value_get_child_count, (handle, idx_t *, handle *))
#define v2_value_destroy V2(value_destroy, (handle *))
#define v2_value_double V2(value_get_double, (handle, double *, handle *))
#define v2_value_float V2(value_get_float, (handle, float *, handle *))
#define v2_value_is_null V2(value_is_null, (handle, bool *, handle *))
#define v2_value_null V2(value_create_null, (handle, handle, handle *, handle *))
#define v2_value_text V2(value_to_string, (handle, char *, idx_t, idx_t *, handle *))
#define v2_value_timestamp V2(value_get_timestamp, (handle, int64_t *, handle *))
#define v2_value_type V2(value_get_logical_type, (handle, handle *, handle *))
#define v2_value_varchar V2(value_get_varchar, (handle, struct str *, handle *))
#define v2_vector_arena V2(vector_get_arena, (handle, handle *, handle *))
#define v2_vector_child V2(vector_get_child, (handle, idx_t, handle *, handle *))
#define v2_vector_data V2(vector_get_data_mutable, (handle, void **, handle *))
#define v2_vector_set_size V2(vector_set_size, (handle, idx_t, handle *))
#define v2_vector_validity V2(vector_flat_get_validity_mutable, (handle, uint64_t **, handle *))

#define v2_table_create V2(table_function_create, (handle, handle *, handle *))
#define v2_table_destroy V2(table_function_destroy, (handle *))
#define v2_table_name V2(table_function_set_name, (handle, const struct str *, handle *))
#define v2_table_projection V2(table_function_set_projection_pushdown, (handle, bool, handle *))
#define v2_table_signature V2(table_function_get_signature, (handle, handle *, handle *))
#define v2_table_user_data V2(table_function_set_user_data, (handle, struct opaque *, handle *))
#define v2_table_register V2(extension_register_table_function, (handle, handle, handle *))
#define v2_table_on_bind V2(table_function_set_bind_callback, (handle, void (*)(handle, handle, handle, handle *), handle *))
#define v2_table_on_exec V2(table_function_set_exec_callback, (handle, void (*)(handle, handle, handle *), handle *))
#define v2_table_on_filter V2(table_function_set_filter_pushdown_callback, (handle, void (*)(handle, handle, handle *), handle *))
#define v2_table_on_global V2(table_function_set_init_global_callback, (handle, void (*)(handle, handle, handle *), handle *))
#define v2_table_on_local V2(table_function_set_init_local_callback, (handle, void (*)(handle, handle, handle *), handle *))
#define v2_table_on_partition V2(table_function_set_partition_data_callback, (handle, void (*)(handle, handle, handle *), handle *))
#define v2_table_on_progress V2(table_function_set_progress_callback, (handle, void (*)(handle, handle, handle *), handle *))

#define v2_result_column V2(table_function_bind_add_result_column, (handle, const struct str *, handle, handle *))
#define v2_cardinality V2(table_function_bind_set_cardinality, (handle, idx_t, bool, handle *))
#define v2_global_bind_data V2(table_function_init_global_get_bind_data, (handle, void **, handle *))
#define v2_global_column V2(table_function_init_global_get_column_index, (handle, idx_t, idx_t *, handle *))
#define v2_global_columns V2(table_function_init_global_get_column_count, (handle, idx_t *, handle *))
#define v2_global_set_state V2(table_function_init_global_set_global_state, (handle, struct opaque *, handle *))
#define v2_global_threads V2(table_function_init_global_set_max_threads, (handle, idx_t, handle *))
#define v2_local_set_state V2(table_function_init_local_set_local_state, (handle, struct opaque *, handle *))
#define v2_exec_chunk V2(table_function_exec_get_output_chunk, (handle, handle *, handle *))
#define v2_exec_global V2(table_function_exec_get_global_state, (handle, void **, handle *))
#define v2_exec_local V2(table_function_exec_get_local_state, (handle, void **, handle *))
#define v2_partition_local V2(table_function_partition_data_get_local_state, (handle, void **, handle *))
#define v2_partition_set V2(table_function_partition_data_set_batch_index, (handle, idx_t, handle *))
#define v2_progress_global V2(table_function_progress_get_global_state, (handle, void **, handle *))
#define v2_progress_set V2(table_function_progress_set_progress, (handle, double, handle *))

#define v2_pragma_create V2(pragma_function_create, (handle, handle *, handle *))
#define v2_pragma_destroy V2(pragma_function_destroy, (handle *))
#define v2_pragma_name V2(pragma_function_set_name, (handle, const struct str *, handle *))
#define v2_pragma_on_query V2(pragma_function_set_query_callback, (handle, void (*)(handle, handle, handle, handle *), handle *))
#define v2_pragma_query V2(pragma_function_query_set_query, (handle, const struct str *, handle *))
#define v2_pragma_register V2(extension_register_pragma_function, (handle, handle, handle *))
#define v2_pragma_signature V2(pragma_function_get_signature, (handle, handle *, handle *))
#define v2_pragma_user_data V2(pragma_function_set_user_data, (handle, struct opaque *, handle *))

#define v2_macro_body V2(macro_function_set_body, (handle, const struct str *, handle *))
#define v2_macro_create V2(macro_function_create, (handle, int, handle *, handle *))
#define v2_macro_destroy V2(macro_function_destroy, (handle *))
#define v2_macro_name V2(macro_function_set_name, (handle, const struct str *, handle *))
#define v2_macro_register V2(extension_register_macro_function, (handle, handle, handle *))
#define v2_macro_signature V2(macro_function_get_signature, (handle, handle *, handle *))

struct str text_of(const char *);
void v2_fail(handle *error, const char *text);
void v2_report(handle *error); /* the exception that is on its way */
PyObject *v2_value_object(handle value);
PyObject *v2_tree(handle info, handle expression); /* see vtab/duckdb/pushed_filters.py */
int v2_register_scan(handle extension, handle factory, PyObject *function);
int v2_register_pragma(handle extension, handle factory, PyObject *pragma);
int v2_register_macro(handle extension, handle factory, PyObject *macro);
/* An exception that says which function DuckDB does not take, and why; the error is destroyed. */
void v2_refused(const char *function, handle *error);

#endif
