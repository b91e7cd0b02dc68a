/* What two places read of DuckDB's memory that its C API does not hand over, and how: see duckdb_names.c, duckdb_write.c. */
#define _GNU_SOURCE
#include "duckdb_layout.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Through a pipe: the system refuses to read what is not there. */
int copied_memory(void *to, const void *from, size_t size) {
  int ends[2], whole = 1;

  if (pipe2(ends, O_CLOEXEC) != 0) return 0;
  while (whole && size > 0) {
    size_t part = size < 4096 ? size : 4096; /* what every pipe holds */
    ssize_t written = write(ends[1], from, part);

    whole = written > 0 && read(ends[0], to, (size_t)written) == written;
    if (whole) {
      to = (char *)to + written;
      from = (const char *)from + written;
      size -= (size_t)written;
    }
  }
  close(ends[0]);
  close(ends[1]);
  return whole;
}

#if defined(__linux__) && UINTPTR_MAX == UINT64_MAX

/* std::vector and std::string of GNU's C++ library; pointers as numbers, because nothing says yet that they are any. */
struct vector {
  uint64_t begin, end, limit;
};
struct string {
  uint64_t data, size;
  char inlined[16];
};
/* DuckDB's LogicalType: two numbers and a std::shared_ptr in 1.x, one pointer in 2.0. What it points to its copies share. */
union type {
  struct {
    uint8_t id, physical;
    uint64_t shared[2];
  } old;
  uint64_t pointer;
};
/* DuckDB's CCopyFunctionToInternalBindInfo, of references; and CCopyFunctionInfo, to which one of them leads. */
struct bind_info {
  uint64_t context, input, types, names, function;
};
struct function_info {
  uint64_t virtual_functions, known[sizeof(((struct known_copy *)0)->words) / sizeof(void *)];
};

static int read_at(void *to, uint64_t place, size_t size) { return copied_memory(to, (const void *)(uintptr_t)place, size); }

/* A vector of `count` elements of that size. */
static int read_vector(struct vector *vector, uint64_t place, size_t count, size_t size) {
  return read_at(vector, place, sizeof(*vector)) && vector->limit >= vector->end && vector->end - vector->begin == count * size;
}

static int same_type(const union type *one, const union type *other, size_t size) {
  if (size == sizeof(one->pointer)) return one->pointer == other->pointer;
  return size == sizeof(one->old) && one->old.id == other->old.id && one->old.physical == other->old.physical &&
         memcmp(one->old.shared, other->old.shared, sizeof(one->old.shared)) == 0;
}

static int same_types(const struct known_copy *known, uint64_t place) {
  struct vector vector;
  size_t i;

  if (known->type_size > sizeof(union type) || !read_vector(&vector, place, known->count, known->type_size)) return 0;
  for (i = 0; i < known->count; i++) {
    union type found, given;

    if (!read_at(&found, vector.begin + i * known->type_size, known->type_size)) return 0;
    if (!copied_memory(&given, known->types[i], known->type_size)) return 0;
    if (!same_type(&found, &given, known->type_size)) return 0;
  }
  return 1;
}

/* A copy of the string at that place. */
static char *string_at(uint64_t place) {
  const uint64_t inlined = place + offsetof(struct string, inlined);
  struct string found;
  char *text;

  if (!read_at(&found, place, sizeof(found)) || found.size >= NAME_BYTES) return NULL;
  if ((found.data == inlined) != (found.size < sizeof(found.inlined))) return NULL;
  text = malloc(found.size + 1);
  if (text != NULL && read_at(text, found.data, found.size + 1) && memchr(text, '\0', found.size + 1) == text + found.size) return text;
  free(text);
  return NULL;
}

char **names_of_copy(const void *info, const struct known_copy *known) {
  struct bind_info bound;
  struct function_info function;
  struct vector names;
  char **made;
  size_t i;

  if (!copied_memory(&bound, info, sizeof(bound))) return NULL;
  if (!read_at(&function, bound.function, sizeof(function))) return NULL;
  if (memcmp(function.known, known->words, sizeof(function.known)) != 0 || !same_types(known, bound.types)) return NULL;
  if (!read_vector(&names, bound.names, known->count, sizeof(struct string))) return NULL;
  made = calloc(known->count, sizeof(*made));
  for (i = 0; made != NULL && i < known->count; i++) {
    made[i] = string_at(names.begin + i * sizeof(struct string));
    if (made[i] == NULL) {
      free_names(made, i);
      return NULL;
    }
  }
  return made;
}

#else

char **names_of_copy(const void *info, const struct known_copy *known) {
  (void)info;
  (void)known;
  return NULL;
}

#endif

void free_names(char **names, size_t count) {
  size_t i;

  for (i = 0; i < count; i++) free(names[i]);
  free(names);
}
