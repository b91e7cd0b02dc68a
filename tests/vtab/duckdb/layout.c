/* Forged memory for duckdb_layout.c: `layout SIZE CASE` prints the names that are read from it, or "none". */
#define _GNU_SOURCE
#include "duckdb_layout.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct string {
  const char *data;
  size_t size;
  char inlined[16];
};
struct vector {
  char *begin, *end, *limit;
};
struct function {
  const void *virtual_functions, *words[5];
};
struct info {
  const void *context, *input;
  struct vector *types, *names;
  struct function *function;
};

enum { COLUMNS = 3 };
static const char LONG[] = "a name of more than fifteen letters";

static void name(struct string *string, const char *text) {
  string->size = strlen(text);
  string->data = string->size < 16 ? strcpy(string->inlined, text) : strdup(text);
}

int main(int count, char **arguments) {
  size_t size = (size_t)atoi(arguments[1]), page = 4096, i;
  const char *fault = arguments[2];
  char given[COLUMNS][32], *types = calloc(COLUMNS + 1, size);
  const void *handles[COLUMNS];
  struct string *strings = calloc(COLUMNS + 1, sizeof(*strings));
  struct vector type_vector = {types, types + COLUMNS * size, types + COLUMNS * size};
  struct vector name_vector = {(char *)strings, (char *)(strings + COLUMNS), (char *)(strings + COLUMNS + 1)};
  struct function function = {main, {"bind", "init", "sink", "finalize", "extra"}};
  struct info info = {main, main, &type_vector, &name_vector, &function};
  struct known_copy known = {COLUMNS, handles, size, {0}};
  char *nothing = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const void *asked = &info;
  char **names;

  if (count != 3) return 2;
  memcpy(known.words, function.words, sizeof(known.words));
  name(&strings[0], "id");
  name(&strings[1], LONG);
  name(&strings[2], "");
  for (i = 0; i < COLUMNS; i++) {
    memset(given[i], 0x40 + (int)i, sizeof(given[i]));
    memcpy(types + i * size, given[i], size);
    if (size == 24) memset(types + i * size + 2, 0xee, 6); /* what lies between is copied by nobody */
    handles[i] = given[i];
  }
#define CASE(word) else if (strcmp(fault, word) == 0)
  if (strcmp(fault, "as it is") == 0) asked = &info;
  CASE("info is no memory") asked = nothing;
  CASE("info ends with the memory") asked = nothing - 8;
  CASE("info is NULL") asked = NULL;
  CASE("types are no memory") info.types = (struct vector *)nothing;
  CASE("types are NULL") info.types = NULL;
  CASE("names are no memory") info.names = (struct vector *)nothing;
  CASE("names are odd") info.names = (struct vector *)(uintptr_t)0x123456789abcdef1;
  CASE("the function is no memory") info.function = (struct function *)nothing;
  CASE("bind is another") function.words[0] = "other";
  CASE("finalize is another") function.words[3] = "other";
  CASE("the object is another") function.words[4] = "other";
  CASE("types and names change places") {
    info.types = &name_vector;
    info.names = &type_vector;
  }
  CASE("one type less") type_vector.end -= size;
  CASE("one type more") type_vector.end = type_vector.limit += size;
  CASE("the first type is another") types[0]++;
  CASE("the last type leads elsewhere") types[COLUMNS * size - 1]++;
  CASE("the second number is another") types[1]++;
  CASE("a type is no memory") type_vector.begin = nothing, type_vector.end = type_vector.limit = nothing + COLUMNS * size;
  CASE("a handle is no memory") handles[1] = nothing;
  CASE("types of another size") known.type_size = size == 24 ? 8 : 24;
  CASE("one name less") name_vector.end -= sizeof(*strings);
  CASE("one name more") name_vector.end += sizeof(*strings);
  CASE("the end before the beginning") name_vector.end = name_vector.begin - COLUMNS * sizeof(*strings);
  CASE("the limit before the end") name_vector.limit = name_vector.begin;
  CASE("names that begin nowhere") name_vector.begin = NULL, name_vector.end = (char *)(COLUMNS * sizeof(*strings));
  CASE("a name is no memory") name_vector = (struct vector){nothing, nothing + COLUMNS * sizeof(*strings), nothing + page};
  CASE("a short name elsewhere") strings[0].data = "id";
  CASE("a long name inside") strings[1].data = strings[1].inlined;
  CASE("a text is no memory") strings[1].data = nothing;
  CASE("a text ends with the memory") strings[1].data = nothing - 8;
  CASE("a zero in a name") ((char *)strings[1].data)[3] = '\0';
  CASE("no zero behind a name") strings[0].inlined[2] = 'x';
  CASE("a name that is longer than any") {
    strings[1].size = NAME_BYTES;
    strings[1].data = memset(calloc(NAME_BYTES + 1, 1), 'x', NAME_BYTES);
  }
  CASE("a size that nothing has") strings[1].size = (size_t)1 << 40;
  CASE("a size that is none") strings[1].size = SIZE_MAX;
  else return 3;
  names = names_of_copy(asked, &known);
  if (names == NULL) {
    puts("none");
    return 0;
  }
  for (i = 0; i < known.count; i++) printf("[%s]", names[i]);
  free_names(names, known.count);
  return 0;
}
