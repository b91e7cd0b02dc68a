/* What the parts of DuckDB's extension share.
**
**   duckdb.c           the entry point: which band of the API there is, and what is registered
**   duckdb_objects.c   errors, objects of Python that DuckDB keeps, types and arguments
**   duckdb_vectors.c   values between DuckDB's vectors and Arrow's arrays
**   duckdb_stream.c    the rows of a statement, part by part
**   duckdb_tables.c    table functions, and COPY … FROM
**   duckdb_scalars.c   scalar functions
**   duckdb_copy.c      COPY … TO
**   duckdb_names.c     the names of COPY's columns
**   duckdb_layout.c    memory whose layout DuckDB does not promise
**   duckdb_write.c     the aggregate function audiomem_write
*/
#ifndef AUDIOMEM_DUCKDB_DOOR_H
#define AUDIOMEM_DUCKDB_DOOR_H

#include "duckdb.h"
#include "duckdb_layout.h"
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
/* The type that Python describes, the inverse of `described`. */
duckdb_logical_type logical_of(PyObject *type);
/* A type as Python sees it, see vtab/duckdb/vectors.py: (number, …). NULL with an exception. */
PyObject *described(duckdb_logical_type);
/* A value: None for NULL, an int, text, a list, or (type, text) for one of another type. NULL with an exception. */
PyObject *value_object(duckdb_value);

/* A tuple or list of `count` items, which `item` makes by their places. NULL with an exception when one is NULL. */
PyObject *tuple_of(Py_ssize_t count, PyObject *(*item)(void *data, Py_ssize_t place), void *data);
PyObject *list_of(Py_ssize_t count, PyObject *(*item)(void *data, Py_ssize_t place), void *data);

/* How the arguments of a call are asked for: `count` by their places, others by name. None for what is not given. */
struct arguments {
  Py_ssize_t count;
  PyObject *(*at)(void *info, Py_ssize_t place);
  PyObject *(*named)(void *info, const char *name);
};
/* The arguments in their order, then those in `named` of the function in theirs. */
PyObject *arguments_of(PyObject *function, const struct arguments *, void *info);
/* Hand each column of what a function gives to `column`, which says -1 to refuse it, and the number of rows, if it is known,
** to `rows`. -1 with an exception. */
int declare(PyObject *source, int (*column)(void *data, const char *name, PyObject *type, const char *spelled),
            void (*rows)(void *data, idx_t), void *data);

/* Whether DuckDB has what 1.5.6 made stable. */
static inline int has_next_band(void) { return duck[DUCKDB_USED - 1] != NULL; }
/* The text of a setting, or None. NULL with an exception. */
PyObject *setting(duckdb_client_context, const char *name);
#define CACHE_SETTING "audiomem_cache"
/* Use a value of that setting, which is taken over. -1 with an exception. */
int use_cache(PyObject *value);

/* ---- duckdb_vectors.c ------------------------------------------------------------------------------------------- */

void set_cell(duckdb_vector, int type, idx_t row, const struct cell *);
/* Rows `first` to `first` + `count` of a column; a vector of DuckDB begins at 0. */
void fill(duckdb_vector, int type, const struct column *, int64_t first, idx_t count);
/* The first `rows` values of a flat vector of a described type, as vtab/duckdb/vectors.py takes them: (validity, …). */
PyObject *values_in(duckdb_vector, PyObject *type, idx_t rows);

/* ---- duckdb_stream.c --------------------------------------------------------------------------------------------- */

/* The rows of one statement. `types`: of the columns that it names, in its order; 0 for one that is none, as count(*) has. */
struct stream {
  PyObject *object;
  int64_t rows, done; /* all rows, 0 if that is not known; those that were handed out */
  idx_t count;
  int types[];
};

/* What one thread of the statement has of the rows. number: of its part, by which they can be put in order. */
struct share {
  struct part part;
  Py_ssize_t row;
  idx_t number;
};

/* `place` says which column of the source is the one at a place of the statement; any large number: none. NULL and what went
** wrong, for free(). */
struct stream *open_stream(PyObject *source, idx_t count, idx_t (*place)(void *info, idx_t), void *info, char **failed);
void close_stream(void *);
void close_share(void *);
/* How many of at most `most` rows there are from `row` on, after fetching the next part if there was none; 0 at the end, and
** where something went wrong, which is for free() then. */
idx_t ready_rows(struct stream *, struct share *, idx_t most, char **failed);

/* ---- the functions ---------------------------------------------------------------------------------------------- */

/* Each takes an object of Python that says what is to be registered. -1 if it cannot be registered. */
int register_table_function(duckdb_connection, PyObject *);
int register_scalar_function(duckdb_connection, PyObject *);
int register_copy_function(duckdb_connection, PyObject *);
int register_writing_function(duckdb_connection, PyObject *);

/* What COPY … FROM reads with: a table function with these named parameters. */
duckdb_table_function copy_from_function(PyObject *);
/* The names of the columns that COPY … TO is to write, or None where DuckDB does not tell them. NULL with an exception.
** registered: the functions for bind, global_init, sink and finalize, and the object. */
PyObject *copied_names(duckdb_copy_info, const void *const registered[5], idx_t count);

#endif
