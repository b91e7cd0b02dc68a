/* Times as texts: as columns/timestamps.py has them.
**
** The canonical text is YYYY-MM-DD HH:MM:SS, and a fraction without the zeros at its end, if there is one. Days are counted
** from March, in eras of 400 years (https://howardhinnant.github.io/date_algorithms.html).
*/
#include "audiomem.h"

#include <stdio.h>
#include <string.h>

static const int64_t SECOND = 1000000, LEAST = -62135596800000000, GREATEST = 253402300799999999;

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

/* Days since 1970 of a date; 0 if there is no such date. */
static int days_of(struct rest *rest, int64_t *days) {
  static const int LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year = digits(rest, 4), month, day, leap, of_year;

  if (year < 1 || !mark(rest, "-")) return 0;
  month = digits(rest, 2);
  if (month < 1 || month > 12 || !mark(rest, "-")) return 0;
  day = digits(rest, 2);
  leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (day < 1 || day > LENGTHS[month - 1] + (leap && month == 2)) return 0;
  if (month <= 2) year--;
  of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  *days = (int64_t)year / 400 * 146097 + (int64_t)(year % 400) * 365 + year % 400 / 4 - year % 400 / 100 + of_year - 719468;
  return 1;
}

/* Microseconds of what follows a point: up to nine digits, those behind the sixth zeros. -1 for anything else. */
static int64_t fraction_of(struct rest *rest) {
  int64_t micros = 0;
  int count = 0, digit;

  while (rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9') {
    digit = *rest->at++ - '0';
    if (++count > 9 || (count > 6 && digit)) return -1;
    if (count <= 6) micros = micros * 10 + digit;
  }
  if (count == 0) return -1;
  for (; count < 6; count++) micros *= 10;
  return micros;
}

/* Microseconds of HH:MM, which may have :SS behind it, and that a fraction, and of a zone; 0 if it is none. */
static int clock_of(struct rest *rest, int64_t *micros) {
  int hour = digits(rest, 2), minute, second = 0;
  int64_t fraction = 0;
  char zone;

  if (hour < 0 || hour > 23 || !mark(rest, ":")) return 0;
  minute = digits(rest, 2);
  if (minute < 0 || minute > 59) return 0;
  if (mark(rest, ":")) {
    second = digits(rest, 2);
    if (second < 0 || second > 59) return 0;
    if (mark(rest, ".")) fraction = fraction_of(rest);
    if (fraction < 0) return 0;
  }
  *micros = ((int64_t)(hour * 60 + minute) * 60 + second) * SECOND + fraction;
  zone = mark(rest, "Zz+-");
  if (zone == '+' || zone == '-') {
    hour = digits(rest, 2);
    if (hour < 0 || hour > 23 || !mark(rest, ":")) return 0;
    minute = digits(rest, 2);
    if (minute < 0 || minute > 59) return 0;
    *micros -= (zone == '+' ? 60 : -60) * (int64_t)(hour * 60 + minute) * SECOND;
  }
  return 1;
}

/* Whether a text is a time, in any spelling, and its microseconds since 1970. */
static int time_of(const char *text, int size, int64_t *micros) {
  struct rest rest = {text, text + size};
  int64_t days, clock = 0;

  if (!days_of(&rest, &days)) return 0;
  if (mark(&rest, "Tt ") && !clock_of(&rest, &clock)) return 0;
  *micros = days * 86400 * SECOND + clock;
  return rest.at == rest.end && *micros >= LEAST && *micros <= GREATEST;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

/* The canonical text of a time, made in `room`; of any other text itself. */
static const char *canonical(const char *text, int *size, char room[TIME_SIZE]) {
  enum { SHORTEST = 10, SECONDS = 19, MICROS = 26, LONGEST = 35 }; /* a date, a time, a fraction, nine digits and a zone */
  int64_t micros;

  if (*size < SHORTEST || *size > LONGEST) return text;
  if (*size >= SECONDS && text[10] == ' ') { /* the usual cases are canonical already, or no time */
    char last = text[*size - 1];

    if (*size == SECONDS || (*size <= MICROS && text[SECONDS] == '.' && last >= '1' && last <= '9')) return text;
  }
  if (!time_of(text, *size, &micros)) return text;
  *size = (int)time_text(room, micros);
  return room;
}

int compare_times(void *unused, int left_size, const void *left, int right_size, const void *right) {
  char left_room[TIME_SIZE], right_room[TIME_SIZE];
  const char *one = canonical(left, &left_size, left_room), *other = canonical(right, &right_size, right_room);
  int least = left_size < right_size ? left_size : right_size;
  int order = least > 0 ? memcmp(one, other, (size_t)least) : 0;

  (void)unused;
  return order ? order : left_size - right_size;
}
