/* Answers to questions of xBestIndex that were asked before.
**
** SQLite asks one table the same questions again and again while it orders the loops of a join: 252 times for a chain of
** 64, and 8 of them differ. They are kept until something happens to the table.
*/
#include "audiomem.h"

#include <string.h>

#define LONGEST_QUESTION 1024

/* What one constraint is for, see aConstraintUsage. */
struct use {
  int argument;
  unsigned char omit, list;
};

struct answer {
  unsigned char *question; /* NULL: this place is free */
  int size;
  int refused; /* SQLITE_CONSTRAINT: there is no plan in this order of the loops */
  struct use *uses;
  char *text;
  int number, ordered, flags;
  double cost;
  sqlite3_int64 rows;
};

static int newest(void) { return sqlite3_libversion_number() >= 3038000; }

struct text {
  unsigned char bytes[LONGEST_QUESTION];
  int size;
};

static int add(struct text *text, const void *bytes, int size) {
  if (text->size + size > LONGEST_QUESTION) return 0;
  memcpy(text->bytes + text->size, bytes, size);
  text->size += size;
  return 1;
}

/* Type and bytes of a value that is known; 0: more than is kept. */
static int add_value(struct text *text, sqlite3_value *value) {
  int type = value == NULL ? 0 : sqlite3_value_type(value), size;
  sqlite3_int64 integer;
  double real;

  if (!add(text, &type, sizeof(type))) return 0;
  if (type == SQLITE_INTEGER) {
    integer = sqlite3_value_int64(value);
    return add(text, &integer, sizeof(integer));
  }
  if (type == SQLITE_FLOAT) {
    real = sqlite3_value_double(value);
    return add(text, &real, sizeof(real));
  }
  if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
    const void *bytes = type == SQLITE_TEXT ? (const void *)sqlite3_value_text(value) : sqlite3_value_blob(value);

    size = sqlite3_value_bytes(value);
    return add(text, &size, sizeof(size)) && (size == 0 || (bytes != NULL && add(text, bytes, size)));
  }
  return type == 0;
}

/* Everything that the answer depends on; 0: more than is kept. */
static int question_of(sqlite3_index_info *info, struct text *text) {
  int i;

  text->size = 0;
  if (!add(text, &info->colUsed, sizeof(info->colUsed)) || !add(text, &info->nConstraint, sizeof(int))) return 0;
  for (i = 0; i < info->nConstraint; i++) {
    const struct sqlite3_index_constraint *asked = &info->aConstraint[i];
    int of_rows = asked->op != SQLITE_INDEX_CONSTRAINT_LIMIT && asked->op != SQLITE_INDEX_CONSTRAINT_OFFSET;
    unsigned char about[3] = {asked->op, asked->usable != 0, 0};
    const char *collation = "";
    sqlite3_value *value = NULL;

    if (newest() && sqlite3_vtab_rhs_value(info, i, &value) != SQLITE_OK) value = NULL;
    if (of_rows) collation = sqlite3_vtab_collation(info, i);
    if (asked->usable && of_rows) about[2] = newest() && sqlite3_vtab_in(info, i, -1);
    if (collation == NULL) collation = "";
    if (!add(text, &asked->iColumn, sizeof(asked->iColumn)) || !add(text, about, sizeof(about)) ||
        !add(text, collation, (int)strlen(collation) + 1) || !add_value(text, value))
      return 0;
  }
  for (i = 0; i < info->nOrderBy; i++) {
    if (!add(text, &info->aOrderBy[i].iColumn, sizeof(info->aOrderBy[i].iColumn)) ||
        !add(text, &info->aOrderBy[i].desc, sizeof(info->aOrderBy[i].desc)))
      return 0;
  }
  return 1;
}

static void set(sqlite3_index_info *info, const struct answer *answer) {
  int i;

  for (i = 0; i < info->nConstraint; i++) {
    info->aConstraintUsage[i].argvIndex = answer->uses[i].argument;
    info->aConstraintUsage[i].omit = answer->uses[i].omit;
    if (newest() && answer->uses[i].list) sqlite3_vtab_in(info, i, 1);
  }
  info->idxStr = sqlite3_mprintf("%s", answer->text);
  info->needToFreeIdxStr = 1;
  info->idxNum = answer->number;
  info->estimatedCost = answer->cost;
  info->estimatedRows = answer->rows;
  info->orderByConsumed = answer->ordered;
  info->idxFlags = answer->flags;
}

int plans_find(struct plans *plans, sqlite3_index_info *info, int *rc) {
  struct text text;
  int i;

  if (!question_of(info, &text)) return 0;
  for (i = 0; i < PLANS_KEPT; i++) {
    const struct answer *answer = plans->answers == NULL ? NULL : &plans->answers[i];

    if (answer == NULL || answer->question == NULL) return 0;
    if (answer->size != text.size || memcmp(answer->question, text.bytes, text.size) != 0) continue;
    *rc = answer->refused ? SQLITE_CONSTRAINT : SQLITE_OK;
    if (!answer->refused) set(info, answer);
    return 1;
  }
  return 0;
}

static void drop(struct answer *answer) {
  sqlite3_free(answer->question);
  sqlite3_free(answer->uses);
  sqlite3_free(answer->text);
  memset(answer, 0, sizeof(*answer));
}

/* The place for one more answer; the others go when all are taken. NULL: no memory. */
static struct answer *place(struct plans *plans) {
  if (plans->answers == NULL) {
    plans->answers = sqlite3_malloc(PLANS_KEPT * sizeof(struct answer));
    if (plans->answers == NULL) return NULL;
    memset(plans->answers, 0, PLANS_KEPT * sizeof(struct answer));
  }
  if (plans->count == PLANS_KEPT) plans_forget(plans);
  return &plans->answers[plans->count];
}

void plans_keep(struct plans *plans, sqlite3_index_info *info, PyObject *plan) {
  int refused = plan == py.none;
  struct answer *answer;
  struct text text;
  int i;

  if (!question_of(info, &text) || (answer = place(plans)) == NULL) return;
  answer->question = sqlite3_malloc(text.size);
  answer->uses = sqlite3_malloc((info->nConstraint + 1) * (int)sizeof(struct use));
  answer->text = sqlite3_mprintf("%s", refused || info->idxStr == NULL ? "" : info->idxStr);
  if (answer->question == NULL || answer->uses == NULL || answer->text == NULL) {
    drop(answer);
    return;
  }
  memcpy(answer->question, text.bytes, text.size);
  answer->size = text.size;
  answer->refused = refused;
  for (i = 0; i < info->nConstraint; i++) {
    struct use *use = &answer->uses[i];

    use->argument = info->aConstraintUsage[i].argvIndex;
    use->omit = info->aConstraintUsage[i].omit;
    use->list = !refused && py.PyObject_IsTrue(py.PyTuple_GetItem(py.PyTuple_GetItem(py.PyTuple_GetItem(plan, 0), i), 2)) > 0;
  }
  answer->number = info->idxNum;
  answer->ordered = info->orderByConsumed;
  answer->flags = info->idxFlags;
  answer->cost = info->estimatedCost;
  answer->rows = info->estimatedRows;
  plans->count++;
}

void plans_forget(struct plans *plans) {
  while (plans->count > 0) drop(&plans->answers[--plans->count]);
}

void plans_free(struct plans *plans) {
  plans_forget(plans);
  sqlite3_free(plans->answers);
  plans->answers = NULL;
}
