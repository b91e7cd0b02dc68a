/* The order of exact numbers as texts: audiomem_sql/columns/exact_order.py, in C. */

#include <string.h>

#include "audiomem.h"

struct number {
  const char *digits; /* the first that is not 0; there may be a point among them */
  const char *end;
  long place; /* digits before the point, from the first that is not 0 */
  int sign;   /* -1, 0, 1 */
};

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* Whether text is a number: [+-]digits[.digits][e[+-]digits], with a digit before or behind the point. */
static int number_of(const char *text, int size, struct number *number) {
  const char *at = text, *end = text + size, *whole, *point = NULL;
  int sign = 1, any = 0;
  long exponent = 0;

  if (at < end && (*at == '+' || *at == '-')) sign = *at++ == '-' ? -1 : 1;
  for (whole = at; at < end && (is_digit(*at) || (*at == '.' && point == NULL)); at++) {
    if (*at == '.') point = at;
    else any = 1;
  }
  if (!any) return 0;
  number->end = at;
  if (point == NULL) point = at;
  if (at < end && (*at == 'e' || *at == 'E')) {
    int down = 0, many = 0;

    at++;
    if (at < end && (*at == '+' || *at == '-')) down = *at++ == '-';
    for (; at < end && is_digit(*at) && many < 6; at++, many++) exponent = 10 * exponent + (*at - '0');
    if (!many) return 0;
    if (down) exponent = -exponent;
  }
  if (at != end) return 0;
  for (at = whole; at < number->end && (*at == '0' || *at == '.'); at++) {
  }
  number->digits = at;
  number->sign = at == number->end ? 0 : sign;
  number->place = exponent + (at < point ? (long)(point - at) : -(long)(at - point - 1));
  return 1;
}

/* The order of the digits of two numbers whose first digits have the same place. */
static int digits_order(const struct number *left, const struct number *right) {
  const char *one = left->digits, *other = right->digits;

  for (;;) {
    char first, second;

    if (one < left->end && *one == '.') one++;
    if (other < right->end && *other == '.') other++;
    if (one >= left->end && other >= right->end) return 0;
    first = one < left->end ? *one++ : '0';
    second = other < right->end ? *other++ : '0';
    if (first != second) return first < second ? -1 : 1;
  }
}

int compare_numbers(void *unused, int left_size, const void *left, int right_size, const void *right) {
  struct number one, other;
  int is_one = number_of(left, left_size, &one), is_other = number_of(right, right_size, &other);

  (void)unused;
  if (!is_one || !is_other) {
    int least = left_size < right_size ? left_size : right_size, order;

    if (is_one != is_other) return is_one ? -1 : 1;
    order = least > 0 ? memcmp(left, right, (size_t)least) : 0;
    return order ? order : left_size - right_size;
  }
  if (one.sign != other.sign) return one.sign < other.sign ? -1 : 1;
  if (one.sign == 0) return 0;
  if (one.place != other.place) return (one.place < other.place ? -1 : 1) * one.sign;
  return digits_order(&one, &other) * one.sign;
}
