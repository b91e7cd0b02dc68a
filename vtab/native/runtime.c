/* CPython: the one that this process is, or one that is started at the first use, of the virtual environment that the
** extension lies in.
**
** Which environment: AUDIOMEM_PYTHON (the path of a python), or the environment that this file is installed in, or the one
** that it was built for in place, or VIRTUAL_ENV. Which library: AUDIOMEM_LIBPYTHON, or the one beside that python, as its
** pyvenv.cfg says. Everything that Python would end the process for is looked at before it is started.
*/
#define _GNU_SOURCE
#include "runtime.h"

#include <dlfcn.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

struct python py;
__thread const void *host;

char *words(const char *format, ...) {
  char text[3 * PATH_MAX];
  va_list given;

  va_start(given, format);
  vsnprintf(text, sizeof(text), format, given);
  va_end(given);
  return strdup(text);
}

/* Where things are. `minor`: of Python 3.minor; 0 if it is not known yet. */
struct place {
  char package[PATH_MAX]; /* the folder that audiomem_sql lies in */
  char python[PATH_MAX];
  char prefix[PATH_MAX]; /* of the environment */
  char home[PATH_MAX];   /* of the Python that it was made with, without /bin */
  int minor;
};

/* Join two parts of a path; what is too long for any file becomes a path that is not there. */
static void join(char *out, const char *folder, const char *name) {
  if ((size_t)snprintf(out, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) out[0] = '\0';
}

static int is_file(const char *folder, const char *name) {
  char path[PATH_MAX];

  join(path, folder, name);
  return access(path, F_OK) == 0;
}

/* Take the last part of a path off. */
static int up(char *path) {
  char *slash = strrchr(path, '/');

  if (slash == NULL || slash == path) return 0;
  *slash = '\0';
  return 1;
}

/* `key = value` of a pyvenv.cfg. */
static void read_cfg(struct place *place) {
  char path[PATH_MAX], line[PATH_MAX];
  FILE *file;

  join(path, place->prefix, "pyvenv.cfg");
  file = fopen(path, "r");
  if (file == NULL) return;
  while (fgets(line, sizeof(line), file) != NULL) {
    char *value = strchr(line, '=');
    int major, minor;

    if (value == NULL) continue;
    for (value++; *value == ' ' || *value == '\t'; value++) continue;
    value[strcspn(value, "\r\n")] = '\0';
    if (strncmp(line, "home", 4) == 0) {
      snprintf(place->home, sizeof(place->home), "%s", value);
      up(place->home);
    } else if (strncmp(line, "version", 7) == 0 && sscanf(value, "%d.%d", &major, &minor) == 2 && major == 3) {
      place->minor = minor;
    }
  }
  fclose(file);
}

/* The environment of a python: the folder above its bin, or the Python installation itself. -1 without a python there. */
static int environment_of(struct place *place, const char *python) {
  char real[PATH_MAX], *name;

  if (access(python, X_OK) != 0 || strlen(python) >= sizeof(place->python)) return -1;
  strcpy(place->python, python);
  strcpy(place->prefix, python);
  up(place->prefix);
  up(place->prefix);
  strcpy(place->home, place->prefix);
  place->minor = 0;
  read_cfg(place);
  if (place->minor == 0 && realpath(python, real) != NULL) { /* bin/python3 -> python3.11 */
    name = strrchr(real, '/') + 1;
    sscanf(name, "python3.%d", &place->minor);
    up(real);
    up(real);
    if (!is_file(place->prefix, "pyvenv.cfg")) strcpy(place->home, real);
  }
  return 0;
}

static int find_environment(struct place *place, char **message) {
  const char *asked = getenv("AUDIOMEM_PYTHON"), *active = getenv("VIRTUAL_ENV");
  char folder[PATH_MAX], path[PATH_MAX];

  if (asked != NULL && *asked) {
    if (environment_of(place, asked) == 0) return 0;
    *message = words("audiomem: AUDIOMEM_PYTHON is %s, and there is no Python that can be run. Set it to the "
                               "bin/python of the virtual environment that audiomem-sql is installed in",
                               asked);
    return -1;
  }
  strcpy(folder, place->package);
  do {
    if (is_file(folder, "pyvenv.cfg")) {
      join(path, folder, "bin/python");
      if (environment_of(place, path) == 0) return 0;
    }
  } while (up(folder));
  /* a Python without an environment: PREFIX/lib/python3.N/site-packages or dist-packages */
  strcpy(folder, place->package);
  if (up(folder)) {
    char *name = strrchr(folder, '/');
    int minor;

    if (name != NULL && sscanf(name, "/python3.%d", &minor) == 1) {
      up(folder);
      up(folder);
      snprintf(path, sizeof(path), "%.4000s/bin/python3.%d", folder, minor);
      if (environment_of(place, path) == 0) return 0;
    }
  }
#ifdef AUDIOMEM_BUILT_FOR
  if (environment_of(place, AUDIOMEM_BUILT_FOR) == 0) return 0;
#endif
  if (active != NULL && *active) {
    join(path, active, "bin/python");
    if (environment_of(place, path) == 0) return 0;
  }
  *message = words("audiomem: there is no virtual environment around %s. Set AUDIOMEM_PYTHON to the bin/python of the "
                             "one that audiomem-sql is installed in",
                             place->package);
  return -1;
}

static const char *const FOLDERS[] = {"lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", NULL};

static void *open_libpython(const struct place *place, char **message) {
  const char *asked = getenv("AUDIOMEM_LIBPYTHON");
  char name[64], path[PATH_MAX];
  void *library;
  int i;

  if (asked != NULL && *asked) {
    library = dlopen(asked, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) *message = words("audiomem: AUDIOMEM_LIBPYTHON cannot be loaded: %s", dlerror());
    return library;
  }
  snprintf(name, sizeof(name), "libpython3.%d.so.1.0", place->minor);
  for (i = 0; FOLDERS[i] != NULL; i++) {
    snprintf(path, sizeof(path), "%.4000s/%s/%s", place->home, FOLDERS[i], name);
    if (access(path, R_OK) == 0) {
      library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
      if (library == NULL) *message = words("audiomem: %s", dlerror());
      return library;
    }
  }
  library = dlopen(name, RTLD_NOW | RTLD_GLOBAL); /* wherever the system looks */
  if (library == NULL) {
    *message = words("audiomem: %s of the Python of %s was not found in %s/lib. Install it (on Debian: apt install "
                               "libpython3.%d; pyenv: build with --enable-shared), or set AUDIOMEM_LIBPYTHON to its path",
                               name, place->python, place->home, place->minor);
  }
  return library;
}

static int look_up(void *library, char **message) {
  const char *missing = NULL;

#define F(result, name, arguments)                                                                                     \
  *(void **)&py.name = dlsym(library, #name);                                                                          \
  if (py.name == NULL) missing = #name;
  PYTHON_FUNCTIONS(F)
#undef F
  py.none = dlsym(library, "_Py_NoneStruct");
  py.long_type = dlsym(library, "PyLong_Type");
  py.bool_type = dlsym(library, "PyBool_Type");
  py.float_type = dlsym(library, "PyFloat_Type");
  py.unicode_type = dlsym(library, "PyUnicode_Type");
  py.bytes_type = dlsym(library, "PyBytes_Type");
  py.list_type = dlsym(library, "PyList_Type");
  py.runtime_error = dlsym(library, "PyExc_RuntimeError");
  *(void **)&py.is_finalizing = dlsym(library, "Py_IsFinalizing"); /* from 3.13 on */
  if (py.is_finalizing == NULL) *(void **)&py.is_finalizing = dlsym(library, "_Py_IsFinalizing");
  if (missing == NULL && py.none != NULL && py.list_type != NULL && py.runtime_error != NULL) return 0;
  *message = words("audiomem: this Python has no %s; CPython 3.11 or newer is needed", missing);
  return -1;
}

static int check_version(char **message) {
  int minor = 0;

  sscanf(py.Py_GetVersion(), "3.%d", &minor);
  if (minor >= 11) return 0;
  *message = words("audiomem: Python 3.11 or newer is needed, and this is %s", py.Py_GetVersion());
  return -1;
}

static void (*set_program_name)(const wchar_t *);
static wchar_t *(*decode_locale)(const char *, size_t *);
static int *utf8_mode;

/* Load the library of the Python that lies at `place`. Everything that it would end the process for is looked at. */
static int find_python(const struct place *place, char **message) {
  char name[64];
  void *library;

  if (place->minor < 11) {
    *message = words("audiomem: %s is Python 3.%d, and 3.11 or newer is needed. Set AUDIOMEM_PYTHON to the bin/python "
                               "of a virtual environment with audiomem-sql",
                               place->python, place->minor);
    return -1;
  }
  if (getenv("PYTHONHOME") != NULL) {
    *message = words("audiomem: PYTHONHOME is set, which hides the virtual environment of %s. Unset it", place->python);
    return -1;
  }
  snprintf(name, sizeof(name), "lib/python3.%d/encodings/__init__.py", place->minor);
  if (!is_file(place->home, name) && !is_file(place->home, name + 3)) {
    *message = words("audiomem: the Python that %s was made with is gone: there is no %s/%s. Make the environment again, "
                               "or set AUDIOMEM_PYTHON to the bin/python of another one",
                               place->prefix, place->home, name);
    return -1;
  }
  library = open_libpython(place, message);
  if (library == NULL || look_up(library, message) < 0 || check_version(message) < 0) return -1;
  *(void **)&set_program_name = dlsym(library, "Py_SetProgramName");
  *(void **)&decode_locale = dlsym(library, "Py_DecodeLocale");
  if (set_program_name == NULL || decode_locale == NULL) {
    *message = words("audiomem: this Python is too new: %s", py.Py_GetVersion());
    return -1;
  }
  utf8_mode = dlsym(library, "Py_UTF8Mode");
  return 0;
}

static void start(const struct place *place) {
  static wchar_t *program; /* Python keeps the pointer */
  char *locale;

  if (utf8_mode != NULL) *utf8_mode = 1; /* file names are what SQLite says: UTF-8 */
  locale = setlocale(LC_CTYPE, NULL);
  locale = locale == NULL ? NULL : strdup(locale);
  program = decode_locale(place->python, NULL);
  set_program_name(program == NULL ? L"python3" : program);
  py.Py_InitializeEx(0); /* no handlers of signals: Ctrl-C is the host's */
  if (locale != NULL) setlocale(LC_CTYPE, locale);
  free(locale);
}

/* Let `import audiomem_sql` find the package that this file belongs to, with what it needs. Errors are left to the import. */
static void add_path(const char *path, int first) {
  PyObject *list = py.PySys_GetObject("path"), *item = text_object(path);

  if (list != NULL && item != NULL && py.PySequence_Contains(list, item) == 0) {
    py.PyList_Insert(list, first ? 0 : py.PyList_Size(list), item);
  }
  if (item != NULL) py.Py_DecRef(item);
  py.PyErr_Clear();
}

static int find_package(struct place *place, char **message) {
  Dl_info info;

  if (dladdr((void *)&find_package, &info) == 0 || realpath(info.dli_fname, place->package) == NULL) {
    *message = words("audiomem: the extension does not know where it lies");
    return -1;
  }
  up(place->package); /* audiomem_sql/audiomem.so */
  if (!is_file(place->package, "loadable.py")) return 0; /* a copy somewhere else */
  up(place->package);
  return 0;
}

/* A Python that runs already has the package and all that it needs, or can borrow the environment's if that is of its own version. */
static void borrow(struct place *place) {
  PyObject *module = py.PyImport_ImportModule(PYTHON_SQLITE);
  char path[PATH_MAX], *ignored = NULL;
  int minor = 0;

  if (module != NULL) {
    py.Py_DecRef(module);
    return;
  }
  py.PyErr_Clear();
  sscanf(py.Py_GetVersion(), "3.%d", &minor);
  if (find_environment(place, &ignored) == 0 && place->minor == minor) {
    add_path(place->package, 0);
    snprintf(path, sizeof(path), "%.4000s/lib/python3.%d/site-packages", place->prefix, minor);
    add_path(path, 0);
  }
  free(ignored);
}

static struct place place;
static enum { UNKNOWN, FOUND, RUNS } state;

static void join_running(void) {
  struct gil gil = gil_take(host);

  if (gil.entered) borrow(&place);
  gil_give(&gil);
  state = RUNS;
}

static void run(void) {
  if (py.Py_IsInitialized()) { /* by the host, since the extension was loaded */
    join_running();
    return;
  }
  start(&place);
  if (is_file(place.package, PYTHON_FILE)) add_path(place.package, 1);
  py.PyEval_SaveThread();
  state = RUNS;
}

static int find(char **message) {
  memset(&place, 0, sizeof(place));
  if (find_package(&place, message) < 0) return -1;
  if (dlsym(RTLD_DEFAULT, "Py_IsInitialized") != NULL) {
    if (look_up(RTLD_DEFAULT, message) < 0 || check_version(message) < 0) return -1;
    if (py.Py_IsInitialized()) {
      join_running();
      return 0;
    }
  }
  if (find_environment(&place, message) < 0 || find_python(&place, message) < 0) return -1;
  state = FOUND;
  if (!is_file(place.package, PYTHON_FILE)) run(); /* whether that Python has the package, only an import tells */
  return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

int runtime_find(char **message) {
  int rc;

  pthread_mutex_lock(&mutex);
  rc = state == UNKNOWN ? find(message) : 0;
  pthread_mutex_unlock(&mutex);
  return rc;
}

int runtime_start(char **message) {
  int rc;

  pthread_mutex_lock(&mutex);
  rc = state == UNKNOWN ? find(message) : 0;
  if (rc == 0 && state == FOUND) run();
  pthread_mutex_unlock(&mutex);
  return rc;
}

int runtime_runs(void) { return state == RUNS; }

struct gil gil_take(const void *now) {
  struct gil gil;

  memset(&gil, 0, sizeof(gil));
  gil.before = host;
  host = now;
  if (!py.Py_IsInitialized() || (py.is_finalizing != NULL && py.is_finalizing())) return gil;
  gil.entered = 1;
  gil.state = py.PyGILState_Ensure();
  py.PyErr_Fetch(&gil.type, &gil.value, &gil.traceback);
  return gil;
}

void gil_give(struct gil *gil) {
  const void *before = gil->before;

  if (!gil->entered) {
    host = before;
    return;
  }
  if (py.PyErr_Occurred()) {
    if (gil->type != NULL) py.Py_DecRef(gil->type);
    if (gil->value != NULL) py.Py_DecRef(gil->value);
    if (gil->traceback != NULL) py.Py_DecRef(gil->traceback);
  } else {
    py.PyErr_Restore(gil->type, gil->value, gil->traceback);
  }
  py.PyGILState_Release(gil->state);
  host = before;
}

char *import_failed(void) {
  PyObject *type, *value, *traceback, *text_of_error;
  struct cell text;
  char *message;

  py.PyErr_Fetch(&type, &value, &traceback);
  py.PyErr_NormalizeException(&type, &value, &traceback);
  text_of_error = value == NULL ? NULL : call(value, "__str__", NULL);
  if (text_of_error == NULL || cell_read(&text, text_of_error) < 0 || text.type != 't') text.as.bytes.data = "an error without a message";
  message = words("audiomem: the package audiomem-sql does not run in Python %.6s of this process: %s. Install it there, "
                            "or set AUDIOMEM_PYTHON to the bin/python of the virtual environment that has it",
                            py.Py_GetVersion(), text.as.bytes.data);
  py.PyErr_Clear();
  if (text_of_error != NULL) py.Py_DecRef(text_of_error);
  if (type != NULL) py.Py_DecRef(type);
  if (value != NULL) py.Py_DecRef(value);
  if (traceback != NULL) py.Py_DecRef(traceback);
  return message;
}
