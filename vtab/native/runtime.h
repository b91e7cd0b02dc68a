/* What both extensions, SQLite's and DuckDB's, have of CPython. docs/CLIENTS.md says why there are extensions.
**
**   runtime.c    finds CPython, or starts it; every function of Python that is used
**   cells.c      values of Python, as they are handed to a database
**   part.c       a part of rows: columns of Arrow arrays, of values, or of one constant
**
** Python.h is not included: one file serves every CPython from 3.11 on, through functions of its stable ABI, which are
** looked up by name when the extension is loaded.
*/
#ifndef AUDIOMEM_RUNTIME_H
#define AUDIOMEM_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

/* Every module, function and file of the package that C names; tests/test_layout.py reads this list. */
#define PYTHON_LOADABLE "audiomem_sql.loadable"
#define PYTHON_ATTACH "attach"
#define PYTHON_ATTACH_DUCKDB "attach_duckdb"
#define PYTHON_SQLITE "audiomem_sql.vtab.extension"
#define PYTHON_DUCKDB "audiomem_sql.vtab.duckdb.extension"
#define PYTHON_MESSAGE "message"
#define PYTHON_SCAN "scan_function"
#define PYTHON_ATTACHING "attach_pragma"
#define PYTHON_SETTINGS "audiomem_sql.vtab.duckdb.settings"
#define PYTHON_USE_CACHE "use_cache"
#define PYTHON_WRITING "audiomem_sql.vtab.duckdb.write_function"
#define PYTHON_DISCARD "discard"
#define PYTHON_MACRO "WRITING_MACRO"
#define PYTHON_FILE "audiomem_sql/loadable.py"

/* What the host is called through, for hosts of which a process may have several (see audiomem.h); otherwise NULL. gil_take
** and call put it back after all that may have come in through another one. */
extern __thread const void *host;

/* ---- runtime.c ------------------------------------------------------------------------------------------------- */

typedef struct PyObject PyObject;
typedef ptrdiff_t Py_ssize_t;
typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
struct PyMethodDef { /* its layout is part of the stable ABI */
  const char *name;
  PyCFunction function;
  int flags;
  const char *doc;
};
enum { METH_VARARGS = 1, METH_NOARGS = 4 };

#define PYTHON_FUNCTIONS(F)                                                                                            \
  F(int, Py_IsInitialized, (void))                                                                                     \
  F(void, Py_InitializeEx, (int))                                                                                      \
  F(const char *, Py_GetVersion, (void))                                                                               \
  F(int, PyGILState_Ensure, (void))                                                                                    \
  F(void, PyGILState_Release, (int))                                                                                   \
  F(void *, PyEval_SaveThread, (void))                                                                                 \
  F(void, PyEval_RestoreThread, (void *))                                                                              \
  F(void, Py_IncRef, (PyObject *))                                                                                     \
  F(void, Py_DecRef, (PyObject *))                                                                                     \
  F(PyObject *, PyImport_ImportModule, (const char *))                                                                 \
  F(PyObject *, PySys_GetObject, (const char *))                                                                       \
  F(PyObject *, PyObject_GetAttrString, (PyObject *, const char *))                                                    \
  F(PyObject *, PyObject_CallObject, (PyObject *, PyObject *))                                                         \
  F(PyObject *, PyObject_Type, (PyObject *))                                                                           \
  F(int, PyObject_IsTrue, (PyObject *))                                                                                \
  F(PyObject *, PyLong_FromLongLong, (long long))                                                                      \
  F(PyObject *, PyLong_FromUnsignedLongLong, (unsigned long long))                                                     \
  F(long long, PyLong_AsLongLong, (PyObject *))                                                                        \
  F(PyObject *, PyBool_FromLong, (long))                                                                               \
  F(PyObject *, PyFloat_FromDouble, (double))                                                                          \
  F(double, PyFloat_AsDouble, (PyObject *))                                                                            \
  F(PyObject *, PyUnicode_FromStringAndSize, (const char *, Py_ssize_t))                                               \
  F(PyObject *, PyUnicode_DecodeUTF8, (const char *, Py_ssize_t, const char *))                                        \
  F(const char *, PyUnicode_AsUTF8AndSize, (PyObject *, Py_ssize_t *))                                                 \
  F(PyObject *, PyBytes_FromStringAndSize, (const char *, Py_ssize_t))                                                 \
  F(int, PyBytes_AsStringAndSize, (PyObject *, char **, Py_ssize_t *))                                                 \
  F(PyObject *, PyTuple_New, (Py_ssize_t))                                                                             \
  F(int, PyTuple_SetItem, (PyObject *, Py_ssize_t, PyObject *))                                                        \
  F(PyObject *, PyTuple_GetItem, (PyObject *, Py_ssize_t))                                                             \
  F(Py_ssize_t, PyTuple_Size, (PyObject *))                                                                            \
  F(PyObject *, PyList_New, (Py_ssize_t))                                                                              \
  F(int, PyList_Append, (PyObject *, PyObject *))                                                                      \
  F(int, PyList_Insert, (PyObject *, Py_ssize_t, PyObject *))                                                          \
  F(PyObject *, PyList_GetItem, (PyObject *, Py_ssize_t))                                                              \
  F(Py_ssize_t, PyList_Size, (PyObject *))                                                                             \
  F(int, PySequence_Contains, (PyObject *, PyObject *))                                                                \
  F(PyObject *, PyCapsule_New, (void *, const char *, void (*)(PyObject *)))                                           \
  F(void *, PyCapsule_GetPointer, (PyObject *, const char *))                                                          \
  F(PyObject *, PyCFunction_NewEx, (struct PyMethodDef *, PyObject *, PyObject *))                                     \
  F(void, PyErr_Fetch, (PyObject **, PyObject **, PyObject **))                                                        \
  F(void, PyErr_NormalizeException, (PyObject **, PyObject **, PyObject **))                                           \
  F(void, PyErr_Restore, (PyObject *, PyObject *, PyObject *))                                                         \
  F(void, PyErr_Clear, (void))                                                                                         \
  F(void, PyErr_SetString, (PyObject *, const char *))                                                                 \
  F(PyObject *, PyErr_Occurred, (void))

struct python {
#define F(result, name, arguments) result(*name) arguments;
  PYTHON_FUNCTIONS(F)
#undef F
  PyObject *none, *long_type, *bool_type, *float_type, *unicode_type, *bytes_type, *list_type;
  PyObject **runtime_error;
  int (*is_finalizing)(void);
};
extern struct python py;

/* Look `py` up: in the Python that this process is, or in the library of one that can be started. 0, or -1 and a message
** for free(). It is done once in a process. */
int runtime_find(char **message);
/* The same, and start it unless it runs. */
int runtime_start(char **message);
int runtime_runs(void);
/* A message for free(), as printf makes it. */
char *words(const char *format, ...);
/* The same of what import_module raised: the package is missing, or not of this Python. */
char *import_failed(void);

/* Around every use of Python: take the GIL, and put aside an exception that is on its way. entered: 0 when Python is
** ending or has ended, and nothing of it may be touched. An exception that is set at the end stays set: see explain. */
struct gil {
  const void *before;
  int entered, state;
  PyObject *type, *value, *traceback;
};
struct gil gil_take(const void *now);
void gil_give(struct gil *);

/* ---- cells.c --------------------------------------------------------------------------------------------------- */

/* A value of Python, as it is handed to a database. Text and blobs point into the Python object, which must be kept. */
struct cell {
  char type; /* 'n' NULL, 'i' integer, 'f' real, 't' text, 'b' blob */
  union {
    int64_t integer;
    double real;
    struct {
      const char *data;
      Py_ssize_t size;
    } bytes;
  } as;
};

int cell_read(struct cell *, PyObject *);         /* 0, or -1 with an exception */
int is_value(PyObject *);                         /* whether cell_read takes an object of this type */
PyObject *text_object(const char *);              /* a new reference; None of NULL */
PyObject *boolean(int);
/* A tuple of `count` objects, which it takes over; NULL with an exception if one of them is NULL, or for want of memory. */
PyObject *tuple(int count, PyObject **items);
/* Call a method with a tuple of arguments (NULL: none), which is taken over. A new reference; NULL with an exception. */
PyObject *call(PyObject *object, const char *method, PyObject *arguments);

/* ---- part.c ---------------------------------------------------------------------------------------------------- */

struct column {
  enum {
    ABSENT,   /* the cursor is asked for each value */
    CONSTANT, /* one cell */
    CELLS,    /* a cell a row */
    INTEGERS,
    REALS,
    FLOATS,
    BOOLEANS,
    TIMES,   /* microseconds since 1970 */
    TEXTS,   /* offsets of 32 bits */
    TEXTS64, /* offsets of 64 bits */
    BLOBS,
    BLOBS64,
    VECTORS, /* `width` bytes a row, as FIXED */
    FIXED,   /* of the other types of numbers and times, which only DuckDB asks for; so the rest */
    LISTS,   /* offsets of 32 bits into the only child */
    LISTS64, /* offsets of 64 bits */
    ARRAYS,  /* `width` items of the only child a row */
    STRUCTS  /* a child a field */
  } kind;
  struct cell *cells;      /* CONSTANT, CELLS */
  const uint8_t *validity; /* NULL: no row is NULL */
  int64_t offset;          /* of the first row, in all buffers */
  const void *values;      /* or offsets, for texts and blobs */
  const char *data;        /* of texts and blobs */
  size_t width;
  struct column *children; /* of nested values, each with an offset of its own */
  int child_count;
};

struct part {
  PyObject *held;  /* what the columns point into */
  Py_ssize_t rows; /* 0 without a part */
  int count;
  struct column *columns;
};

int part_take(struct part *, PyObject *); /* takes the reference over; None: no rows. -1 with an exception */
void part_drop(struct part *);

/* Whether the value at `at` (the row, and the column's offset) is not NULL; of arrays only. */
static inline int is_there(const struct column *column, int64_t at) {
  return column->validity == NULL || (column->validity[at >> 3] >> (at & 7) & 1);
}

#endif
