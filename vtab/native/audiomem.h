/* SQLite's loadable extension: what its parts know of each other.
**
**   audiomem.c   the entry point: registers module and functions with one connection
**   values.c     values of SQLite <-> values of Python; Python's exceptions -> SQLite's errors
**   plans.c      answers to questions of xBestIndex that were asked before
**   numbers.c    the order of exact numbers
**   aggregates.c aggregates, which Python computes
**   times.c      the text of a time, and the order of all that are times
**   table.c      the virtual table: sqlite3_module and its methods
**
** and what runtime.h has.
*/
#ifndef AUDIOMEM_H
#define AUDIOMEM_H

#include "runtime.h"

#include <sqlite3ext.h>

#if SQLITE_VERSION_NUMBER < 3038000
#error "sqlite3ext.h of SQLite 3.38 or newer is needed to build; what it is loaded into may be older"
#endif

/* SQLite's functions, as sqlite3ext.h names them: those of the library whose call this thread is in. A process may have
** several SQLite libraries (apsw, Python's, pysqlite3), and each hands in its own. Every method sets it when it is entered. */
#define sqlite3_api ((const sqlite3_api_routines *)host)
/* A function of SQL is entered in a thread that may be in no call of ours, and finds its own data only by its library's functions.
** So each library has callbacks of its own, which know it by its number. */
enum { MOST_LIBRARIES = 4 };
extern const sqlite3_api_routines *libraries[MOST_LIBRARIES];
int library_number(const sqlite3_api_routines *); /* -1: there are too many */

/* ---- values.c -------------------------------------------------------------------------------------------------- */

PyObject *python_value(sqlite3_value *); /* a new reference; NULL with an exception */
/* Set by python_value for a text that is not UTF-8: its bytes then are surrogates in the value, and who asked for it refuses. */
extern __thread int not_utf8;
void cell_result(sqlite3_context *, const struct cell *);
/* Any other object, which SQL takes for NULL; python_value gives it back to a function that it is an argument of. */
void object_result(sqlite3_context *, PyObject *);
/* A value of a part, without Python; 0 if the part does not hold the column. */
int part_result(const struct part *, int column, Py_ssize_t row, sqlite3_context *);
/* Whether a real is NaN or -0.0, which SQLite takes for NULL and 0.0; and whether a value of a part is such a real. */
int is_altered(double);
int part_is_altered(const struct part *, int column, Py_ssize_t row);
sqlite3_int64 part_rowid(const struct part *, Py_ssize_t row);

/* Turn the exception that is on its way into a result code, and a message for sqlite3_free. `owner` has a method
** `explained`: (code, message, exception). If the last is not None it is set again, for a host that is written in Python and
** looks for it (apsw). */
int explain(PyObject *owner, char **message);
/* A message of runtime.h as one for sqlite3_free; the first is freed. */
char *sqlite_words(char *message);

/* ---- plans.c --------------------------------------------------------------------------------------------------- */

#define PLANS_KEPT 32

struct plans {
  struct answer *answers; /* PLANS_KEPT of them, or NULL */
  int count;
};

/* Answer from what is kept, with the result code of xBestIndex; 0: it is not there. Python is not needed. */
int plans_find(struct plans *, sqlite3_index_info *, int *rc);
/* Keep the answer that `info` has now. plan: what Python said of it, or None. */
void plans_keep(struct plans *, sqlite3_index_info *, PyObject *plan);
/* Something happened to the table. */
void plans_forget(struct plans *);
void plans_free(struct plans *);

/* ---- times.c --------------------------------------------------------------------------------------------------- */

enum { TIME_SIZE = 32 };
size_t time_text(char text[TIME_SIZE], int64_t micros); /* of microseconds since 1970; its length */
/* The collating sequence of a TIMESTAMP. */
int compare_numbers(void *, int left_size, const void *left, int right_size, const void *right);
int compare_times(void *, int left_size, const void *left, int right_size, const void *right);

/* ---- table.c --------------------------------------------------------------------------------------------------- */

/* What the extension has of one connection; freed when the last of its modules is. */
struct door {
  const sqlite3_api_routines *api;
  sqlite3 *db;
  PyObject *object; /* audiomem_sql.vtab.extension.Door; NULL before the first use of anything of the connection */
  int references;
};
/* Start Python, and make the object, unless that was done. A result code, with a message for sqlite3_free(). It is the
** first thing that whatever SQLite calls by a name does; the GIL is not held. */
int door_open(struct door *, char **message);
/* What the object has under a name, by one of its methods. A new reference; NULL with an exception. */
PyObject *door_named(struct door *, const char *method, const char *name);
void door_release(struct door *);
/* door_open for a function; 0 after it told SQLite what is wrong. */
int function_opened(sqlite3_context *, struct door *);

/* A table-valued function of a door, as client data of its module. */
struct function {
  struct door *door;
  const char *name;
  PyObject *object; /* audiomem_sql.vtab.extension.FunctionTable; NULL before its first use */
};
int register_aggregates(sqlite3 *, struct door *); /* aggregates.c */
int register_module(sqlite3 *, struct door *);
int register_function(sqlite3 *, struct function *);

#endif
