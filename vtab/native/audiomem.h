/* SQLite's loadable extension: what its parts know of each other. docs/CLIENTS.md says why there is one.
**
**   audiomem.c   the entry point: registers module and functions with one connection
**   runtime.c    finds CPython, or starts it; every function of Python that is used
**   values.c     values of SQLite <-> values of Python; Python's exceptions -> SQLite's errors
**   part.c       a part of rows: columns of Arrow arrays, of values, or of one constant
**   table.c      the virtual table: sqlite3_module and its methods
**
** Python.h is not included: one file serves every CPython from 3.11 on, through functions of its stable ABI, which are
** looked up by name when the extension is loaded.
*/
#ifndef AUDIOMEM_H
#define AUDIOMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sqlite3ext.h>

#if SQLITE_VERSION_NUMBER < 3038000
#error "sqlite3ext.h of SQLite 3.38 or newer is needed to build; what it is loaded into may be older"
#endif

/* SQLite's functions, as sqlite3ext.h names them: those of the library whose call this thread is in. A process may have
** several SQLite libraries (apsw, Python's, pysqlite3), and each hands in its own. Every method sets it when it is entered, and
** it is put back after all that may have come in through another library: see gil_take and call. */
extern __thread const sqlite3_api_routines *sqlite3_api;

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

/* Make `py` usable: of the Python that this process is, or of one that is started now. 0, or -1 and a message for
** sqlite3_free. It is done once in a process. */
int runtime_start(char **message);

/* Around every use of Python: take the GIL, and put aside an exception that is on its way. entered: 0 when Python is
** ending or has ended, and nothing of it may be touched. An exception that is set at the end stays set: see explain. */
struct gil {
  const sqlite3_api_routines *before;
  int entered, state;
  PyObject *type, *value, *traceback;
};
struct gil gil_take(const sqlite3_api_routines *);
void gil_give(struct gil *);

/* ---- values.c -------------------------------------------------------------------------------------------------- */

/* A value of Python, as it is handed to SQLite. Text and blobs point into the Python object, which must be kept. */
struct cell {
  char type; /* 'n' NULL, 'i' integer, 'f' real, 't' text, 'b' blob */
  union {
    sqlite3_int64 integer;
    double real;
    struct {
      const char *data;
      Py_ssize_t size;
    } bytes;
  } as;
};

PyObject *python_value(sqlite3_value *);          /* a new reference; NULL with an exception */
int cell_read(struct cell *, PyObject *);         /* 0, or -1 with an exception */
void cell_result(sqlite3_context *, const struct cell *);
void text_result(sqlite3_context *, const char *, size_t);
void blob_result(sqlite3_context *, const void *, size_t);

PyObject *text_object(const char *);              /* a new reference; None of NULL */
/* Call a method with a tuple of arguments (NULL: none), which is taken over. A new reference; NULL with an exception. */
PyObject *call(PyObject *object, const char *method, PyObject *arguments);
/* Turn the exception that is on its way into a result code, and a message for sqlite3_free. `owner` has a method
** `explained`: (code, message, exception). If the last is not None it is set again, for a host that is written in Python and
** looks for it (apsw). */
int explain(PyObject *owner, char **message);

/* ---- part.c ---------------------------------------------------------------------------------------------------- */

struct column;
struct part {
  PyObject *held;  /* what the columns point into */
  Py_ssize_t rows; /* 0 without a part */
  int count;
  struct column *columns;
};

int part_take(struct part *, PyObject *); /* takes the reference over; None: no rows. -1 with an exception */
void part_drop(struct part *);
/* A value, without Python; 0 if the part does not hold the column. */
int part_result(const struct part *, int column, Py_ssize_t row, sqlite3_context *);
sqlite3_int64 part_rowid(const struct part *, Py_ssize_t row);

/* ---- table.c --------------------------------------------------------------------------------------------------- */

/* What the extension has of one connection; freed when the last of its modules is. */
struct door {
  const sqlite3_api_routines *api;
  sqlite3 *db;
  PyObject *object; /* audiomem_sql.vtab.native.Door */
  int references;
};
void door_release(struct door *);

/* A table-valued function of a door, as client data of its module. */
struct function {
  struct door *door;
  PyObject *object; /* audiomem_sql.vtab.native.FunctionTable */
};
int register_module(sqlite3 *, struct door *);
int register_function(sqlite3 *, struct function *, const char *name);

#endif
