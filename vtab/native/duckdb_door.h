/* What the parts of DuckDB's extension share.
**
**   duckdb.c           the entry point: which band of the API there is, and what is registered
**   duckdb_objects.c   errors, objects of Python that DuckDB keeps, types and arguments
**   duckdb_vectors.c   values between DuckDB's vectors and Arrow's arrays
**   duckdb_tables.c    table functions, and COPY … FROM
**   duckdb_scalars.c   scalar functions
**   duckdb_copy.c      COPY … TO
**   duckdb_names.c     the names of COPY's columns
**   duckdb_write.c     the aggregate function audiomem_write
*/
#ifndef AUDIOMEM_DUCKDB_DOOR_H
#define AUDIOMEM_DUCKDB_DOOR_H

#include "duckdb.h"
#include "runtime.h"

/* ---- duckdb_objects.c ------------------------------------------------------------------------------------------- */

extern const char ENDED[];

char *failure(void); /* the exception that is on its way, as text for free() */
void report(void (*set_error)(void *, const char *), void *info); /* tell DuckDB of that exception */
#define REPORT(set_error, info) report((void (*)(void *, const char *))(set_error), info)
void forget(void *); /* lets an object of Python go that DuckDB kept */
void *kept(PyObject *);
long long number_at(PyObject *values, Py_ssize_t place);
const char *text_at(PyObject *values, Py_ssize_t place);
duckdb_logical_type logical(int type, idx_t width);
/* A type as Python sees it, see vtab/duckdb/vectors.py: (number, …). NULL with an exception. */
PyObject *described(duckdb_logical_type);
/* A value: None for NULL, an int, text, a list, or (type, text) for one of another type. NULL with an exception. */
PyObject *value_object(duckdb_value);

/* Whether DuckDB has what 1.5.6 made stable. */
static inline int has_next_band(void) { return duck[DUCKDB_USED - 1] != NULL; }
/* The text of a setting, or None. NULL with an exception. */
PyObject *setting(duckdb_client_context, const char *name);
#define CACHE_SETTING "audiomem_cache"
/* Use a value of that setting, which is taken over. -1 with an exception. */
int use_cache(PyObject *value);

/* Copy memory of this process that may not be there; 0 then. */
int copied_memory(void *to, const void *from, size_t size);

/* ---- duckdb_vectors.c ------------------------------------------------------------------------------------------- */

void set_cell(duckdb_vector, int type, idx_t row, const struct cell *);
/* Rows `first` to `first` + `count` of a column; a vector of DuckDB begins at 0. */
void fill(duckdb_vector, int type, const struct column *, int64_t first, idx_t count);
/* The first `rows` values of a flat vector of a described type, as vtab/duckdb/vectors.py takes them: (validity, …). */
PyObject *values_in(duckdb_vector, PyObject *type, idx_t rows);

/* ---- the functions ---------------------------------------------------------------------------------------------- */

/* Each takes an object of Python that says what is to be registered. -1 if it cannot be registered. */
int register_table_function(duckdb_connection, PyObject *);
int register_scalar_function(duckdb_connection, PyObject *);
int register_copy_function(duckdb_connection, PyObject *);
int register_writing_function(duckdb_connection, PyObject *);

/* What COPY … FROM reads with: a table function with these named parameters. */
duckdb_table_function copy_from_function(PyObject *);
/* The names of the columns that COPY … TO is to write, or None where DuckDB does not tell them. NULL with an exception. */
PyObject *copied_names(duckdb_copy_info, idx_t count);

#endif
