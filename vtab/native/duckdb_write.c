/* The aggregate function audiomem_write(path, row): rows into a file, where COPY … TO cannot write any, and for every group.
**
** The state of a group is a number, by which Python knows what it has of the group, see vtab/duckdb/write_function.py.
**
** DuckDB before 2.0 has a fault that an extension must live with. Its C API says that `update` gets a state for each row.
** For an aggregate with ORDER BY in it (SortedAggregateFunction::Finalize), the array has one element, which stands for all
** rows, and what lies behind it is any memory. No call of the API tells the two cases apart, in any band. What does:
**
** - The one state of that case is the last that this thread has begun. If the first row's is another, there is one for each.
** - All its rows go to one file. If the rows name two, there is one for each.
** - Else one is taken, and nothing behind it is used. Where there was one for each after all, several groups name the same
**   file, and the second of them finds it there: an error of its own.
**
** To look at the memory behind it and believe what looks like a state is not enough: small blocks of an allocator lie side by
** side, and the neighbour may be the one element of another thread. So that is but the last guard: where the first two say
** that there is one for each, every place is read by the system, which refuses what is no memory of this process, and must
** hold a state. If it does not, Python takes one, and says that the rows of a group go to one file.
*/
#include "duckdb_door.h"

#include <stdlib.h>
#include <string.h>

/* check: the number again, so that a state is told from other memory. */
struct state {
  uint64_t number, check;
};
static const uint64_t KEY = 0x9e3779b97f4a7c15;

static idx_t state_size(duckdb_function_info info) {
  (void)info;
  return sizeof(struct state);
}

/* The state that this thread has begun last. */
static __thread uint64_t newest;

static void begin(duckdb_function_info info, duckdb_aggregate_state state) {
  static uint64_t last;

  (void)info;
  newest = state->number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
  state->check = state->number ^ KEY;
}

static PyObject *numbers_of(duckdb_aggregate_state *states, idx_t count) {
  uint64_t *numbers = malloc((count ? count : 1) * sizeof(uint64_t));
  PyObject *made;
  idx_t i;

  if (numbers == NULL) {
    py.PyErr_SetString(*py.runtime_error, "out of memory");
    return NULL;
  }
  for (i = 0; i < count; i++) numbers[i] = states[i]->number;
  made = py.PyBytes_FromStringAndSize((const char *)numbers, (Py_ssize_t)(count * sizeof(uint64_t)));
  free(numbers);
  return made;
}

/* The numbers of the states of `count` rows, where there may be one state: the system reads the places, and whatever is no
** state of ours ends it. None then. */
static PyObject *numbers_if_there(duckdb_aggregate_state *states, idx_t count) {
  duckdb_aggregate_state *places = malloc(count * sizeof(*places));
  uint64_t *numbers = malloc(count * sizeof(uint64_t));
  int found = places != NULL && numbers != NULL && copied_memory(places, states, count * sizeof(*places));
  PyObject *made;
  idx_t i;

  for (i = 0; found && i < count; i++) {
    struct state state;

    if (i > 0 && places[i] == places[i - 1]) {
      numbers[i] = numbers[i - 1];
    } else {
      found = copied_memory(&state, places[i], sizeof(state)) && state.check == (state.number ^ KEY);
      numbers[i] = state.number;
    }
  }
  made = found ? py.PyBytes_FromStringAndSize((const char *)numbers, (Py_ssize_t)(count * sizeof(uint64_t))) : text_object(NULL);
  free(places);
  free(numbers);
  return made;
}

/* (the state of the first row, whether it may be that of all rows, those of all rows or None): see the head of this file. */
static PyObject *states_of(duckdb_aggregate_state *states, idx_t count) {
  int doubtful = count > 1 && strncmp(duckdb_library_version(), "v1.", 3) == 0;

  return tuple(3, (PyObject *[]){numbers_of(states, count > 0), py.PyLong_FromLongLong(doubtful && states[0]->number == newest),
                                 doubtful ? numbers_if_there(states, count) : numbers_of(states, count)});
}

/* (type, values) of an argument. */
static PyObject *argument_at(void *chunk, Py_ssize_t place) {
  duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, (idx_t)place);
  duckdb_logical_type logical_type = duckdb_vector_get_column_type(vector);
  PyObject *type = described(logical_type);

  duckdb_destroy_logical_type(&logical_type);
  return type == NULL ? NULL : tuple(2, (PyObject *[]){type, values_in(vector, type, duckdb_data_chunk_get_size(chunk))});
}

static PyObject *arguments_in(duckdb_data_chunk chunk) {
  return tuple_of((Py_ssize_t)duckdb_data_chunk_get_column_count(chunk), argument_at, chunk);
}

/* Call a method that returns nothing; the arguments are taken over. */
static void tell(duckdb_function_info info, const char *method, PyObject *arguments) {
  PyObject *function = duckdb_aggregate_function_get_extra_info(info), *done;

  done = arguments == NULL ? NULL : call(function, method, arguments);
  if (done == NULL) REPORT(duckdb_aggregate_function_set_error, info);
  else py.Py_DecRef(done);
}

static void update(duckdb_function_info info, duckdb_data_chunk chunk, duckdb_aggregate_state *states) {
  idx_t rows = duckdb_data_chunk_get_size(chunk);
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_aggregate_function_set_error(info, ENDED);
    return;
  }
  tell(info, "update",
       tuple(3, (PyObject *[]){states_of(states, rows), py.PyLong_FromLongLong((long long)rows), arguments_in(chunk)}));
  gil_give(&gil);
}

static void combine(duckdb_function_info info, duckdb_aggregate_state *sources, duckdb_aggregate_state *targets, idx_t count) {
  struct gil gil = gil_take(NULL);

  if (!gil.entered) {
    duckdb_aggregate_function_set_error(info, ENDED);
    return;
  }
  tell(info, "combine", tuple(2, (PyObject *[]){numbers_of(sources, count), numbers_of(targets, count)}));
  gil_give(&gil);
}

static void finalize(duckdb_function_info info, duckdb_aggregate_state *states, duckdb_vector result, idx_t count, idx_t offset) {
  PyObject *function = duckdb_aggregate_function_get_extra_info(info), *numbers, *counts;
  struct gil gil = gil_take(NULL);
  idx_t i;

  if (!gil.entered) {
    duckdb_aggregate_function_set_error(info, ENDED);
    return;
  }
  numbers = numbers_of(states, count);
  counts = numbers == NULL ? NULL : call(function, "finish", tuple(1, &numbers));
  if (counts == NULL) {
    REPORT(duckdb_aggregate_function_set_error, info);
  } else {
    for (i = 0; i < count; i++) {
      struct cell cell;

      if (cell_read(&cell, py.PyList_GetItem(counts, (Py_ssize_t)i)) == 0) set_cell(result, DUCKDB_BIGINT, offset + i, &cell);
    }
    py.Py_DecRef(counts);
  }
  gil_give(&gil);
}

/* DuckDB gives no info to this one, so the module is asked. */
static void destroy(duckdb_aggregate_state *states, idx_t count) {
  struct gil gil = gil_take(NULL);
  idx_t i;

  if (gil.entered) {
    PyObject *module = py.PyImport_ImportModule(PYTHON_WRITING), *numbers = module == NULL ? NULL : numbers_of(states, count);
    PyObject *done = numbers == NULL ? NULL : call(module, PYTHON_DISCARD, tuple(1, &numbers));

    if (done != NULL) py.Py_DecRef(done);
    if (module != NULL) py.Py_DecRef(module);
    py.PyErr_Clear();
  }
  for (i = 0; i < count; i++) states[i]->check = 0;
  gil_give(&gil);
}

/* Object: name, overloads ((types), …), update, combine, finish. */
int register_writing_function(duckdb_connection connection, PyObject *object) {
  PyObject *name = py.PyObject_GetAttrString(object, "name"), *overloads = py.PyObject_GetAttrString(object, "overloads");
  struct cell text;
  Py_ssize_t i, j;
  int rc = -1;

  if (name != NULL && overloads != NULL && cell_read(&text, name) == 0) {
    duckdb_aggregate_function_set set = duckdb_create_aggregate_function_set(text.as.bytes.data);

    for (i = 0; i < py.PyTuple_Size(overloads); i++) {
      PyObject *types = py.PyTuple_GetItem(overloads, i);
      duckdb_aggregate_function made = duckdb_create_aggregate_function();
      duckdb_logical_type type = logical(DUCKDB_BIGINT, 0);

      duckdb_aggregate_function_set_name(made, text.as.bytes.data);
      duckdb_aggregate_function_set_return_type(made, type);
      duckdb_destroy_logical_type(&type);
      for (j = 0; j < py.PyTuple_Size(types); j++) {
        type = logical((int)number_at(types, j), 0);
        duckdb_aggregate_function_add_parameter(made, type);
        duckdb_destroy_logical_type(&type);
      }
      duckdb_aggregate_function_set_special_handling(made); /* NULLs are ours to answer */
      duckdb_aggregate_function_set_extra_info(made, kept(object), forget);
      duckdb_aggregate_function_set_functions(made, state_size, begin, update, combine, finalize);
      duckdb_aggregate_function_set_destructor(made, destroy);
      duckdb_add_aggregate_function_to_set(set, made);
      duckdb_destroy_aggregate_function(&made);
    }
    rc = duckdb_register_aggregate_function_set(connection, set) == DUCKDB_SUCCESS ? 0 : -1;
    duckdb_destroy_aggregate_function_set(&set);
  }
  if (name != NULL) py.Py_DecRef(name);
  if (overloads != NULL) py.Py_DecRef(overloads);
  return rc;
}
