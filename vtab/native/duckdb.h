/* What is used of DuckDB's C extension API: https://duckdb.org/docs/stable/clients/c/api
**
** DuckDB hands an extension a table of functions, in which each keeps its place from version 1.2.0 on (its stable ABI). So no
** header of DuckDB is needed: the numbers are the places in `duckdb_ext_api_v1`, counted from 0. The places behind
** DUCKDB_FIRST_BAND are there from DuckDB 1.5.6 on, which made them stable; duckdb.c asks for them where they are.
*/
#ifndef AUDIOMEM_DUCKDB_H
#define AUDIOMEM_DUCKDB_H

#include <stdbool.h>
#include <stdint.h>

#define DUCKDB_API_VERSION "v1.2.0"
#define DUCKDB_NEXT_VERSION "v1.5.6"

typedef uint64_t idx_t;
typedef void (*duckdb_any_function)(void);
enum { DUCKDB_FIRST_BAND = 277, DUCKDB_USED = 532 };
extern duckdb_any_function duck[DUCKDB_USED];
#define DUCK(place, result, arguments) ((result(*) arguments)duck[place])

/* Handles, which only DuckDB looks into. */
typedef void *duckdb_database, *duckdb_connection, *duckdb_value, *duckdb_logical_type, *duckdb_vector, *duckdb_data_chunk;
typedef void *duckdb_table_function, *duckdb_scalar_function, *duckdb_scalar_function_set;
typedef void *duckdb_bind_info, *duckdb_init_info, *duckdb_function_info, *duckdb_replacement_scan_info, *duckdb_extension_info;
typedef void (*duckdb_delete_callback_t)(void *);
typedef void (*duckdb_table_function_bind_t)(duckdb_bind_info);
typedef void (*duckdb_table_function_init_t)(duckdb_init_info);
typedef void (*duckdb_table_function_t)(duckdb_function_info, duckdb_data_chunk);
typedef void (*duckdb_scalar_function_t)(duckdb_function_info, duckdb_data_chunk, duckdb_vector);
typedef void (*duckdb_replacement_callback_t)(duckdb_replacement_scan_info, const char *, void *);
typedef void *duckdb_copy_function, *duckdb_copy_info, *duckdb_aggregate_function, *duckdb_aggregate_function_set;
typedef void *duckdb_client_context, *duckdb_config_option;
typedef void (*duckdb_copy_callback_t)(duckdb_copy_info);
typedef void (*duckdb_copy_sink_t)(duckdb_copy_info, duckdb_data_chunk);
typedef struct state *duckdb_aggregate_state; /* what a state is says the extension */
typedef idx_t (*duckdb_aggregate_size_t)(duckdb_function_info);
typedef void (*duckdb_aggregate_init_t)(duckdb_function_info, duckdb_aggregate_state);
typedef void (*duckdb_aggregate_update_t)(duckdb_function_info, duckdb_data_chunk, duckdb_aggregate_state *);
typedef void (*duckdb_aggregate_combine_t)(duckdb_function_info, duckdb_aggregate_state *, duckdb_aggregate_state *, idx_t);
typedef void (*duckdb_aggregate_finalize_t)(duckdb_function_info, duckdb_aggregate_state *, duckdb_vector, idx_t, idx_t);
typedef void (*duckdb_aggregate_destroy_t)(duckdb_aggregate_state *, idx_t);
enum { DUCKDB_SUCCESS = 0 };

/* Types, by their numbers in duckdb_type. */
enum {
  DUCKDB_BOOLEAN = 1,
  DUCKDB_TINYINT,
  DUCKDB_SMALLINT,
  DUCKDB_INTEGER,
  DUCKDB_BIGINT,
  DUCKDB_UTINYINT,
  DUCKDB_USMALLINT,
  DUCKDB_UINTEGER,
  DUCKDB_UBIGINT,
  DUCKDB_FLOAT,
  DUCKDB_DOUBLE,
  DUCKDB_TIMESTAMP,
  DUCKDB_DATE,
  DUCKDB_TIME,
  DUCKDB_INTERVAL,
  DUCKDB_HUGEINT,
  DUCKDB_VARCHAR,
  DUCKDB_BLOB,
  DUCKDB_DECIMAL,
  DUCKDB_TIMESTAMP_S,
  DUCKDB_TIMESTAMP_MS,
  DUCKDB_TIMESTAMP_NS,
  DUCKDB_ENUM,
  DUCKDB_LIST,
  DUCKDB_STRUCT,
  DUCKDB_MAP,
  DUCKDB_UUID,
  DUCKDB_BIT = 29,
  DUCKDB_TIME_TZ,
  DUCKDB_TIMESTAMP_TZ,
  DUCKDB_UHUGEINT,
  DUCKDB_ARRAY,
  DUCKDB_BIGNUM = 35,
  DUCKDB_TIME_NS = 39
};

typedef struct {
  union {
    struct {
      uint32_t length;
      char prefix[4];
      char *data;
    } pointer;
    struct {
      uint32_t length;
      char data[12];
    } inlined;
  } value;
} duckdb_string_t;

typedef struct {
  uint64_t offset;
  uint64_t length;
} duckdb_list_entry;

struct duckdb_extension_access {
  void (*set_error)(duckdb_extension_info, const char *);
  duckdb_database *(*get_database)(duckdb_extension_info);
  const void *(*get_api)(duckdb_extension_info, const char *version);
};

#define duckdb_connect DUCK(3, int, (duckdb_database, duckdb_connection *))
#define duckdb_disconnect DUCK(6, void, (duckdb_connection *))
#define duckdb_library_version DUCK(7, const char *, (void))
#define duckdb_query DUCK(13, int, (duckdb_connection, const char *, void *))
#define duckdb_free DUCK(25, void, (void *))
#define duckdb_vector_size DUCK(26, idx_t, (void))
#define duckdb_destroy_value DUCK(92, void, (duckdb_value *))
#define duckdb_create_varchar DUCK(93, duckdb_value, (const char *))
#define duckdb_get_int64 DUCK(125, int64_t, (duckdb_value))
#define duckdb_get_value_type DUCK(136, duckdb_logical_type, (duckdb_value))
#define duckdb_get_varchar DUCK(142, char *, (duckdb_value))
#define duckdb_is_null_value DUCK(149, bool, (duckdb_value))
#define duckdb_get_list_size DUCK(151, idx_t, (duckdb_value))
#define duckdb_get_list_child DUCK(152, duckdb_value, (duckdb_value, idx_t))
#define duckdb_get_struct_child DUCK(155, duckdb_value, (duckdb_value, idx_t))
#define duckdb_create_logical_type DUCK(156, duckdb_logical_type, (int))
#define duckdb_logical_type_get_alias DUCK(157, char *, (duckdb_logical_type))
#define duckdb_logical_type_set_alias DUCK(158, void, (duckdb_logical_type, const char *))
#define duckdb_create_list_type DUCK(159, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_create_array_type DUCK(160, duckdb_logical_type, (duckdb_logical_type, idx_t))
#define duckdb_create_map_type DUCK(161, duckdb_logical_type, (duckdb_logical_type, duckdb_logical_type))
#define duckdb_create_struct_type DUCK(163, duckdb_logical_type, (duckdb_logical_type *, const char **, idx_t))
#define duckdb_create_enum_type DUCK(164, duckdb_logical_type, (const char **, idx_t))
#define duckdb_create_decimal_type DUCK(165, duckdb_logical_type, (uint8_t, uint8_t))
#define duckdb_get_type_id DUCK(166, int, (duckdb_logical_type))
#define duckdb_decimal_width DUCK(167, uint8_t, (duckdb_logical_type))
#define duckdb_decimal_scale DUCK(168, uint8_t, (duckdb_logical_type))
#define duckdb_decimal_internal_type DUCK(169, int, (duckdb_logical_type))
#define duckdb_enum_internal_type DUCK(170, int, (duckdb_logical_type))
#define duckdb_enum_dictionary_size DUCK(171, uint32_t, (duckdb_logical_type))
#define duckdb_enum_dictionary_value DUCK(172, char *, (duckdb_logical_type, idx_t))
#define duckdb_list_type_child_type DUCK(173, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_array_type_child_type DUCK(174, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_array_type_array_size DUCK(175, idx_t, (duckdb_logical_type))
#define duckdb_map_type_key_type DUCK(176, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_map_type_value_type DUCK(177, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_struct_type_child_count DUCK(178, idx_t, (duckdb_logical_type))
#define duckdb_struct_type_child_name DUCK(179, char *, (duckdb_logical_type, idx_t))
#define duckdb_struct_type_child_type DUCK(180, duckdb_logical_type, (duckdb_logical_type, idx_t))
#define duckdb_destroy_logical_type DUCK(184, void, (duckdb_logical_type *))
#define duckdb_data_chunk_get_column_count DUCK(189, idx_t, (duckdb_data_chunk))
#define duckdb_data_chunk_get_vector DUCK(190, duckdb_vector, (duckdb_data_chunk, idx_t))
#define duckdb_data_chunk_get_size DUCK(191, idx_t, (duckdb_data_chunk))
#define duckdb_data_chunk_set_size DUCK(192, void, (duckdb_data_chunk, idx_t))
#define duckdb_vector_get_column_type DUCK(193, duckdb_logical_type, (duckdb_vector))
#define duckdb_vector_get_data DUCK(194, void *, (duckdb_vector))
#define duckdb_vector_get_validity DUCK(195, uint64_t *, (duckdb_vector))
#define duckdb_vector_ensure_validity_writable DUCK(196, void, (duckdb_vector))
#define duckdb_vector_assign_string_element_len DUCK(198, void, (duckdb_vector, idx_t, const char *, idx_t))
#define duckdb_list_vector_get_child DUCK(199, duckdb_vector, (duckdb_vector))
#define duckdb_list_vector_get_size DUCK(200, idx_t, (duckdb_vector))
#define duckdb_list_vector_set_size DUCK(201, int, (duckdb_vector, idx_t))
#define duckdb_list_vector_reserve DUCK(202, int, (duckdb_vector, idx_t))
#define duckdb_struct_vector_get_child DUCK(203, duckdb_vector, (duckdb_vector, idx_t))
#define duckdb_array_vector_get_child DUCK(204, duckdb_vector, (duckdb_vector))
#define duckdb_create_scalar_function DUCK(209, duckdb_scalar_function, (void))
#define duckdb_destroy_scalar_function DUCK(210, void, (duckdb_scalar_function *))
#define duckdb_scalar_function_set_name DUCK(211, void, (duckdb_scalar_function, const char *))
#define duckdb_scalar_function_set_special_handling DUCK(213, void, (duckdb_scalar_function))
#define duckdb_scalar_function_set_volatile DUCK(214, void, (duckdb_scalar_function))
#define duckdb_scalar_function_add_parameter DUCK(215, void, (duckdb_scalar_function, duckdb_logical_type))
#define duckdb_scalar_function_set_return_type DUCK(216, void, (duckdb_scalar_function, duckdb_logical_type))
#define duckdb_scalar_function_set_extra_info DUCK(217, void, (duckdb_scalar_function, void *, duckdb_delete_callback_t))
#define duckdb_scalar_function_set_function DUCK(218, void, (duckdb_scalar_function, duckdb_scalar_function_t))
#define duckdb_scalar_function_get_extra_info DUCK(220, void *, (duckdb_function_info))
#define duckdb_scalar_function_set_error DUCK(221, void, (duckdb_function_info, const char *))
#define duckdb_create_scalar_function_set DUCK(222, duckdb_scalar_function_set, (const char *))
#define duckdb_destroy_scalar_function_set DUCK(223, void, (duckdb_scalar_function_set *))
#define duckdb_add_scalar_function_to_set DUCK(224, int, (duckdb_scalar_function_set, duckdb_scalar_function))
#define duckdb_register_scalar_function_set DUCK(225, int, (duckdb_connection, duckdb_scalar_function_set))
#define duckdb_create_aggregate_function DUCK(226, duckdb_aggregate_function, (void))
#define duckdb_destroy_aggregate_function DUCK(227, void, (duckdb_aggregate_function *))
#define duckdb_aggregate_function_set_name DUCK(228, void, (duckdb_aggregate_function, const char *))
#define duckdb_aggregate_function_add_parameter DUCK(229, void, (duckdb_aggregate_function, duckdb_logical_type))
#define duckdb_aggregate_function_set_return_type DUCK(230, void, (duckdb_aggregate_function, duckdb_logical_type))
#define duckdb_aggregate_function_set_functions \
  DUCK(231, void, (duckdb_aggregate_function, duckdb_aggregate_size_t, duckdb_aggregate_init_t, duckdb_aggregate_update_t, \
                   duckdb_aggregate_combine_t, duckdb_aggregate_finalize_t))
#define duckdb_aggregate_function_set_destructor DUCK(232, void, (duckdb_aggregate_function, duckdb_aggregate_destroy_t))
#define duckdb_aggregate_function_set_special_handling DUCK(234, void, (duckdb_aggregate_function))
#define duckdb_aggregate_function_set_extra_info DUCK(235, void, (duckdb_aggregate_function, void *, duckdb_delete_callback_t))
#define duckdb_aggregate_function_get_extra_info DUCK(236, void *, (duckdb_function_info))
#define duckdb_aggregate_function_set_error DUCK(237, void, (duckdb_function_info, const char *))
#define duckdb_create_aggregate_function_set DUCK(238, duckdb_aggregate_function_set, (const char *))
#define duckdb_destroy_aggregate_function_set DUCK(239, void, (duckdb_aggregate_function_set *))
#define duckdb_add_aggregate_function_to_set DUCK(240, int, (duckdb_aggregate_function_set, duckdb_aggregate_function))
#define duckdb_register_aggregate_function_set DUCK(241, int, (duckdb_connection, duckdb_aggregate_function_set))
#define duckdb_create_table_function DUCK(242, duckdb_table_function, (void))
#define duckdb_destroy_table_function DUCK(243, void, (duckdb_table_function *))
#define duckdb_table_function_set_name DUCK(244, void, (duckdb_table_function, const char *))
#define duckdb_table_function_add_parameter DUCK(245, void, (duckdb_table_function, duckdb_logical_type))
#define duckdb_table_function_add_named_parameter DUCK(246, void, (duckdb_table_function, const char *, duckdb_logical_type))
#define duckdb_table_function_set_extra_info DUCK(247, void, (duckdb_table_function, void *, duckdb_delete_callback_t))
#define duckdb_table_function_set_bind DUCK(248, void, (duckdb_table_function, duckdb_table_function_bind_t))
#define duckdb_table_function_set_init DUCK(249, void, (duckdb_table_function, duckdb_table_function_init_t))
#define duckdb_table_function_set_local_init DUCK(250, void, (duckdb_table_function, duckdb_table_function_init_t))
#define duckdb_table_function_set_function DUCK(251, void, (duckdb_table_function, duckdb_table_function_t))
#define duckdb_table_function_supports_projection_pushdown DUCK(252, void, (duckdb_table_function, bool))
#define duckdb_register_table_function DUCK(253, int, (duckdb_connection, duckdb_table_function))
#define duckdb_bind_get_extra_info DUCK(254, void *, (duckdb_bind_info))
#define duckdb_bind_add_result_column DUCK(255, void, (duckdb_bind_info, const char *, duckdb_logical_type))
#define duckdb_bind_get_parameter_count DUCK(256, idx_t, (duckdb_bind_info))
#define duckdb_bind_get_parameter DUCK(257, duckdb_value, (duckdb_bind_info, idx_t))
#define duckdb_bind_get_named_parameter DUCK(258, duckdb_value, (duckdb_bind_info, const char *))
#define duckdb_bind_set_bind_data DUCK(259, void, (duckdb_bind_info, void *, duckdb_delete_callback_t))
#define duckdb_bind_set_cardinality DUCK(260, void, (duckdb_bind_info, idx_t, bool))
#define duckdb_bind_set_error DUCK(261, void, (duckdb_bind_info, const char *))
#define duckdb_init_get_bind_data DUCK(263, void *, (duckdb_init_info))
#define duckdb_init_set_init_data DUCK(264, void, (duckdb_init_info, void *, duckdb_delete_callback_t))
#define duckdb_init_get_column_count DUCK(265, idx_t, (duckdb_init_info))
#define duckdb_init_get_column_index DUCK(266, idx_t, (duckdb_init_info, idx_t))
#define duckdb_init_set_max_threads DUCK(267, void, (duckdb_init_info, idx_t))
#define duckdb_init_set_error DUCK(268, void, (duckdb_init_info, const char *))
#define duckdb_function_get_init_data DUCK(271, void *, (duckdb_function_info))
#define duckdb_function_get_local_init_data DUCK(272, void *, (duckdb_function_info))
#define duckdb_function_set_error DUCK(273, void, (duckdb_function_info, const char *))
#define duckdb_add_replacement_scan                                                                                    \
  DUCK(274, void, (duckdb_database, duckdb_replacement_callback_t, void *, duckdb_delete_callback_t))
#define duckdb_replacement_scan_set_function_name DUCK(275, void, (duckdb_replacement_scan_info, const char *))
#define duckdb_replacement_scan_add_parameter DUCK(276, void, (duckdb_replacement_scan_info, duckdb_value))

/* From 1.5.6 on. The infos of the four stages of COPY are different objects; each place takes that of its own. */
#define duckdb_create_config_option DUCK(423, duckdb_config_option, (void))
#define duckdb_destroy_config_option DUCK(424, void, (duckdb_config_option *))
#define duckdb_config_option_set_name DUCK(425, void, (duckdb_config_option, const char *))
#define duckdb_config_option_set_type DUCK(426, void, (duckdb_config_option, duckdb_logical_type))
#define duckdb_config_option_set_default_value DUCK(427, void, (duckdb_config_option, duckdb_value))
#define duckdb_config_option_set_description DUCK(429, void, (duckdb_config_option, const char *))
#define duckdb_register_config_option DUCK(430, int, (duckdb_connection, duckdb_config_option))
#define duckdb_client_context_get_config_option DUCK(431, duckdb_value, (duckdb_client_context, const char *, int *))
#define duckdb_create_copy_function DUCK(432, duckdb_copy_function, (void))
#define duckdb_copy_function_set_name DUCK(433, void, (duckdb_copy_function, const char *))
#define duckdb_copy_function_set_extra_info DUCK(434, void, (duckdb_copy_function, void *, duckdb_delete_callback_t))
#define duckdb_register_copy_function DUCK(435, int, (duckdb_connection, duckdb_copy_function))
#define duckdb_destroy_copy_function DUCK(436, void, (duckdb_copy_function *))
#define duckdb_copy_function_set_bind DUCK(437, void, (duckdb_copy_function, duckdb_copy_callback_t))
#define duckdb_copy_function_bind_set_error DUCK(438, void, (duckdb_copy_info, const char *))
#define duckdb_copy_function_bind_get_extra_info DUCK(439, void *, (duckdb_copy_info))
#define duckdb_copy_function_bind_get_client_context DUCK(440, duckdb_client_context, (duckdb_copy_info))
#define duckdb_copy_function_bind_get_column_count DUCK(441, idx_t, (duckdb_copy_info))
#define duckdb_copy_function_bind_get_column_type DUCK(442, duckdb_logical_type, (duckdb_copy_info, idx_t))
#define duckdb_copy_function_bind_get_options DUCK(443, duckdb_value, (duckdb_copy_info))
#define duckdb_copy_function_bind_set_bind_data DUCK(444, void, (duckdb_copy_info, void *, duckdb_delete_callback_t))
#define duckdb_copy_function_set_global_init DUCK(445, void, (duckdb_copy_function, duckdb_copy_callback_t))
#define duckdb_copy_function_global_init_set_error DUCK(446, void, (duckdb_copy_info, const char *))
#define duckdb_copy_function_global_init_get_bind_data DUCK(449, void *, (duckdb_copy_info))
#define duckdb_copy_function_global_init_set_global_state DUCK(450, void, (duckdb_copy_info, void *, duckdb_delete_callback_t))
#define duckdb_copy_function_global_init_get_file_path DUCK(451, const char *, (duckdb_copy_info))
#define duckdb_copy_function_set_sink DUCK(452, void, (duckdb_copy_function, duckdb_copy_sink_t))
#define duckdb_copy_function_sink_set_error DUCK(453, void, (duckdb_copy_info, const char *))
#define duckdb_copy_function_sink_get_bind_data DUCK(456, void *, (duckdb_copy_info))
#define duckdb_copy_function_sink_get_global_state DUCK(457, void *, (duckdb_copy_info))
#define duckdb_copy_function_set_finalize DUCK(458, void, (duckdb_copy_function, duckdb_copy_callback_t))
#define duckdb_copy_function_finalize_set_error DUCK(459, void, (duckdb_copy_info, const char *))
#define duckdb_copy_function_finalize_get_global_state DUCK(463, void *, (duckdb_copy_info))
#define duckdb_copy_function_set_copy_from_function DUCK(464, void, (duckdb_copy_function, duckdb_table_function))
#define duckdb_table_function_bind_get_result_column_count DUCK(465, idx_t, (duckdb_bind_info))
#define duckdb_table_function_bind_get_result_column_name DUCK(466, const char *, (duckdb_bind_info, idx_t))
#define duckdb_table_function_bind_get_result_column_type DUCK(467, duckdb_logical_type, (duckdb_bind_info, idx_t))
#define duckdb_destroy_client_context DUCK(501, void, (duckdb_client_context *))
#define duckdb_table_function_get_client_context DUCK(531, void, (duckdb_bind_info, duckdb_client_context *))

#endif
