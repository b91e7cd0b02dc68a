/* Times as texts: as columns/timestamps.py and columns/time_order.py have them.
**
** The canonical text is YYYY-MM-DD HH:MM:SS, and a fraction without the zeros at its end, if there is one. Days are counted
** from March, in eras of 400 years (https://howardhinnant.github.io/date_algorithms.html).
*/
#include "audiomem.h"

#include <stdio.h>
#include <string.h>

static const int64_t SECOND = 1000000;

size_t time_text(char text[TIME_SIZE], int64_t micros) {
  int64_t seconds = micros / SECOND, fraction = micros % SECOND, days, clock, era, day, year;
  char whole[96]; /* what the compiler thinks that numbers could need */
  int month, size;

  if (fraction < 0) {
    fraction += SECOND;
    seconds--;
  }
  days = seconds / 86400;
  clock = seconds % 86400;
  if (clock < 0) {
    clock += 86400;
    days--;
  }
  days += 719468;
  era = (days >= 0 ? days : days - 146096) / 146097;
  day = days - era * 146097;
  year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  month = (int)((5 * day + 2) / 153);
  day = day - (153 * month + 2) / 5 + 1;
  month += month < 10 ? 3 : -9;
  year += era * 400 + (month <= 2);
  size = snprintf(whole, sizeof(whole), "%04d-%02d-%02d %02d:%02d:%02d", (int)year, month, (int)day, (int)(clock / 3600),
                  (int)(clock / 60 % 60), (int)(clock % 60));
  if (fraction) {
    size += snprintf(whole + size, sizeof(whole) - (size_t)size, ".%06d", (int)fraction);
    while (whole[size - 1] == '0') size--;
  }
  if (size > TIME_SIZE) size = TIME_SIZE;
  memcpy(text, whole, (size_t)size);
  return (size_t)size;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* What is left to read of a text. */
struct rest {
  const char *at, *end;
};

/* What a text is ordered by: `Key` in columns/time_order.py. */
struct key {
  const char *text; /* the fraction in the eras -1 and 1 */
  int64_t days;
  int era, size, seconds;
};

enum { SHORTEST = 8, SECONDS = 19, NANOS = 29, LONGEST = 64, ROOM = 96 };
enum { FIRST_DAY = -719162, LAST_DAY = 2932896 };

/* The number that `count` digits are; -1 if they are none. */
static int digits(struct rest *rest, int count) {
  int number = 0;

  if (rest->end - rest->at < count) return -1;
  for (; count > 0; count--, rest->at++) {
    if (*rest->at < '0' || *rest->at > '9') return -1;
    number = number * 10 + (*rest->at - '0');
  }
  return number;
}

/* Take the next character if it is one of `wanted`; it, or 0. */
static char mark(struct rest *rest, const char *wanted) {
  if (rest->at == rest->end || *rest->at == 0 || strchr(wanted, *rest->at) == NULL) return 0;
  return *rest->at++;
}

/* A year of 4 to 12 digits; 0 if it is none. */
static int year_of(struct rest *rest, int64_t *year) {
  int count = 0;

  for (*year = 0; rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9'; rest->at++) {
    if (++count > 12) return 0;
    *year = *year * 10 + (*rest->at - '0');
  }
  return count >= 4;
}

/* Days since 1970 of a date, in the era of Christ or before; 0 if there is no such date. */
static int days_of(struct rest *rest, int before, int64_t *days) {
  static const int LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t year, era;
  int negative = mark(rest, "-") != 0, month, day, leap, of_era, of_year;

  if ((negative && before) || !year_of(rest, &year) || !mark(rest, "-")) return 0;
  year = negative ? -year : before ? 1 - year : year;
  month = digits(rest, 2);
  if (month < 1 || month > 12 || !mark(rest, "-")) return 0;
  day = digits(rest, 2);
  leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (day < 1 || day > LENGTHS[month - 1] + (leap && month == 2)) return 0;
  if (month <= 2) year--;
  era = (year >= 0 ? year : year - 399) / 400;
  of_era = (int)(year - era * 400);
  of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  *days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
  return 1;
}

/* The digits behind a point, less the zeros at their end; 0 if there are none. */
static int fraction_of(struct rest *rest, struct key *key) {
  const char *start = rest->at;

  while (rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9') rest->at++;
  key->text = start;
  key->size = (int)(rest->at - start);
  if (key->size == 0) return 0;
  while (key->size > 0 && start[key->size - 1] == '0') key->size--;
  return 1;
}

/* Seconds of HH:MM, which may have :SS behind it, and that a fraction, and of a zone; 0 if it is none. */
static int clock_of(struct rest *rest, struct key *key) {
  int hour = digits(rest, 2), minute, second = 0;
  char zone;

  if (hour < 0 || hour > 23 || !mark(rest, ":")) return 0;
  minute = digits(rest, 2);
  if (minute < 0 || minute > 59) return 0;
  if (mark(rest, ":")) {
    second = digits(rest, 2);
    if (second < 0 || second > 59) return 0;
    if (mark(rest, ".") && !fraction_of(rest, key)) return 0;
  }
  key->seconds = (hour * 60 + minute) * 60 + second;
  zone = mark(rest, "Zz+-");
  if (zone == '+' || zone == '-') {
    hour = digits(rest, 2);
    minute = 0;
    if (hour < 0 || hour > 23 || (mark(rest, ":") && (minute = digits(rest, 2)) < 0) || minute > 59) return 0;
    key->seconds -= (zone == '+' ? 60 : -60) * (hour * 60 + minute);
  }
  return 1;
}

/* Whether a text ends with the letters of `end`, in small ones or capitals. */
static int ends_with(const char *text, int size, const char *end) {
  int length = (int)strlen(end), at;

  if (size < length) return 0;
  for (at = 0; at < length; at++) {
    char one = text[size - length + at];

    if ((one >= 'A' && one <= 'Z' ? one + 32 : one) != end[at]) return 0;
  }
  return 1;
}

/* Whether a text is a time, in any spelling: its days, seconds and fraction. */
static int moment_of(const char *text, int size, struct key *key) {
  int before = ends_with(text, size, " (bc)");
  struct rest rest = {text, text + size - (before ? 5 : 0)};

  key->text = text;
  key->size = key->seconds = 0;
  if (!days_of(&rest, before, &key->days)) return 0;
  if (mark(&rest, "Tt ") && !clock_of(&rest, key)) return 0;
  if (key->seconds < 0 || key->seconds >= 86400) {
    int more = key->seconds < 0 ? -1 : 1;

    key->days += more;
    key->seconds -= more * 86400;
  }
  return rest.at == rest.end;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

/* The bytes of two texts, and then their lengths. */
static int bytes_order(const char *one, int size, const char *other, int other_size) {
  int least = size < other_size ? size : other_size;
  int order = least > 0 ? memcmp(one, other, (size_t)least) : 0;

  return order ? order : size - other_size;
}

/* Whether behind the seconds there is a point, no zero at the end, and no zone, if this is a time at all. */
static int is_fraction(const char *text, int size) {
  const char *end = text + size;

  if (size <= SECONDS + 1 || size > NANOS || text[SECONDS] != '.' || end[-1] < '1' || end[-1] > '9') return 0;
  return end[-3] != '+' && end[-3] != '-' && end[-6] != '+' && end[-6] != '-';
}

/* What a text is ordered by; its canonical text is made in `room`. */
static struct key key_of(const char *text, int size, char room[ROOM]) {
  struct key key = {text, 0, 0, size, 0};
  int infinite;

  if (size >= SECONDS && text[10] == ' ' && text[0] >= '0' && text[0] <= '9' && memcmp(text, "0001", 4) >= 0) {
    if (size == SECONDS || is_fraction(text, size)) return key; /* the usual cases are canonical already, or no time */
  }
  infinite = ends_with(text, size, "infinity");
  if (infinite && (size == 8 || (size == 9 && text[0] == '-'))) {
    key.era = size == 8 ? 2 : -2;
    key.size = 0;
    return key;
  }
  if (size < SHORTEST || size > LONGEST || !moment_of(text, size, &key)) {
    key.text = text;
    key.size = size;
    key.days = key.seconds = 0;
    key.era = bytes_order(text, size, "0001", 4) < 0 ? -3 : bytes_order(text, size, ":", 1) < 0 ? 0 : 3;
  } else if (key.days < FIRST_DAY || key.days > LAST_DAY) {
    key.era = key.days < 0 ? -1 : 1;
  } else {
    size_t made = time_text(room, (key.days * 86400 + key.seconds) * SECOND);

    if (key.size) {
      room[made++] = '.';
      memcpy(room + made, key.text, (size_t)key.size);
      made += (size_t)key.size;
    }
    key.text = room;
    key.size = (int)made;
    key.days = key.seconds = 0;
  }
  return key;
}

int compare_times(void *unused, int left_size, const void *left, int right_size, const void *right) {
  char left_room[ROOM], right_room[ROOM];
  struct key one = key_of(left, left_size, left_room), other = key_of(right, right_size, right_room);

  (void)unused;
  if (one.era != other.era) return one.era < other.era ? -1 : 1;
  if (one.days != other.days) return one.days < other.days ? -1 : 1;
  if (one.seconds != other.seconds) return one.seconds < other.seconds ? -1 : 1;
  return bytes_order(one.text, one.size, other.text, other.size);
}
