/* Texts that are made of literal pieces with anything between, see blocks.h: LIKE, GLOB and their like.
**
** A piece is looked for by two of its bytes that are rare in texts, sixteen places at a time where the processor has SSE2,
** and compared where both stand. */
#include "blocks.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct piece {
  const uint8_t *bytes;
  int64_t size;
  int64_t low, high; /* places of the two bytes, low <= high */
  uint8_t low_case, high_case; /* the bit that their letters may have or not; 0 where it matters */
};

/* What is done for one call. */
struct work {
  const uint8_t *data;
  int64_t size;
  int fold;
  int64_t left; /* bytes that may still be compared: a piece that nearly fits everywhere is for an algorithm that skips */
};

static uint8_t case_of(uint8_t byte, int fold) { return fold && byte >= 'a' && byte <= 'z' ? 0x20 : 0; }

/* Whether a piece lies at `place`; so many bytes are there. */
static int is_at(struct work *work, const struct piece *piece, int64_t place) {
  const uint8_t *text;
  int64_t i;
  if (piece->size == 0) return 1;
  text = work->data + place;
  if (!work->fold) {
    work->left -= piece->size;
    return memcmp(text, piece->bytes, (size_t)piece->size) == 0;
  }
  for (i = 0; i < piece->size; i++)
    if ((text[i] | case_of(piece->bytes[i], 1)) != piece->bytes[i]) break;
  work->left -= i;
  return i == piece->size;
}

/* How rare a byte is in texts: the higher, the rarer. */
static int rarity(uint8_t byte) {
  static const char COMMON[] = " etaoinsrhldcu.,mpgfwybEATSIN-CMvk";
  const char *found = byte ? strchr(COMMON, byte) : NULL;
  return found == NULL ? 100 : (int)(found - COMMON);
}

/* Choose the two bytes that a piece, not empty, is looked for by. */
static void choose(struct piece *piece, int fold) {
  enum { LOOKED_AT = 64 };
  int64_t i, most = piece->size < LOOKED_AT ? piece->size : LOOKED_AT, first = 0, second;
  for (i = 1; i < most; i++)
    if (rarity(piece->bytes[i]) > rarity(piece->bytes[first])) first = i;
  second = first == 0 ? most - 1 : 0;
  for (i = 0; i < most; i++)
    if (i != first && rarity(piece->bytes[i]) > rarity(piece->bytes[second])) second = i;
  piece->low = first < second ? first : second;
  piece->high = first < second ? second : first;
  piece->low_case = case_of(piece->bytes[piece->low], fold);
  piece->high_case = case_of(piece->bytes[piece->high], fold);
}

/* The first place of a piece in data[at, end), -1 if there is none. */
static int64_t find(struct work *work, const struct piece *piece, int64_t at, int64_t end) {
  const uint8_t *data = work->data;
  const uint8_t low = piece->bytes[piece->low], high = piece->bytes[piece->high];
  const int64_t last = end - piece->size;
#ifdef __SSE2__
  enum { STEP = 16 };
  const __m128i lows = _mm_set1_epi8((char)low), highs = _mm_set1_epi8((char)high);
  const __m128i low_cases = _mm_set1_epi8((char)piece->low_case), high_cases = _mm_set1_epi8((char)piece->high_case);
  while (at <= last && work->size - at >= piece->high + 2 * STEP) {
    const __m128i *one = (const __m128i *)(const void *)(data + at + piece->low);
    const __m128i *other = (const __m128i *)(const void *)(data + at + piece->high);
    __m128i near = _mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(_mm_loadu_si128(one), low_cases), lows),
                                 _mm_cmpeq_epi8(_mm_or_si128(_mm_loadu_si128(other), high_cases), highs));
    __m128i far = _mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(_mm_loadu_si128(one + 1), low_cases), lows),
                                _mm_cmpeq_epi8(_mm_or_si128(_mm_loadu_si128(other + 1), high_cases), highs));
    uint32_t hits = (uint32_t)_mm_movemask_epi8(near) | (uint32_t)_mm_movemask_epi8(far) << STEP;
    for (; hits; hits &= hits - 1) {
      int64_t place = at + __builtin_ctz(hits);
      if (place > last || work->left < 0) return -1;
      if (is_at(work, piece, place)) return place;
    }
    at += 2 * STEP;
  }
#endif
  for (; at <= last; at++) {
    if ((data[at + piece->low] | piece->low_case) != low || (data[at + piece->high] | piece->high_case) != high) continue;
    if (work->left < 0) return -1;
    if (is_at(work, piece, at)) return at;
  }
  return -1;
}

static int has_nul(const uint8_t *bytes, int64_t size) { return size > 0 && memchr(bytes, 0, (size_t)size) != NULL; }

/* Whether data[start, end) is one piece, and nothing else. */
static int is_equal(struct work *work, const struct piece *piece, int64_t start, int64_t end, int until_nul) {
  int64_t size = end - start;
  if (size < piece->size || !is_at(work, piece, start)) return 0;
  return size == piece->size || (until_nul && work->data[start + piece->size] == 0);
}

/* Whether data[start, end) is two or more pieces in order. */
static int matches(struct work *work, const struct piece *pieces, int64_t count, int64_t total, int64_t start, int64_t end,
                   int until_nul) {
  const struct piece *first = pieces, *final = pieces + count - 1;
  int64_t at, number;
  if (end - start < total) return 0;
  if (until_nul && final->size) {
    const uint8_t *nul = end > start ? memchr(work->data + start, 0, (size_t)(end - start)) : NULL;
    if (nul != NULL) end = nul - work->data;
    if (end - start < total) return 0;
  }
  if (!is_at(work, first, start) || !is_at(work, final, end - final->size)) return 0;
  at = start + first->size;
  end -= final->size;
  for (number = 1; number < count - 1; number++) {
    at = find(work, pieces + number, at, end);
    if (at < 0) return 0;
    at += pieces[number].size;
  }
  return !until_nul || final->size || !has_nul(work->data + start, at - start);
}

EXPORTED int64_t audiomem_match(const uint8_t *data, int64_t size, int64_t rows, const int64_t *starts, const int64_t *ends,
                                const uint8_t *words, const int64_t *sizes, int64_t count, int fold, int until_nul,
                                uint8_t *found) {
  enum { MOST = 32 };
  struct piece pieces[MOST];
  struct work work = {data, size, fold, size < INT64_MAX / 16 ? 8 * size + (1 << 20) : INT64_MAX};
  int64_t row, number, total = 0;
  if (count < 1 || count > MOST) return -1;
  for (number = 0; number < count; number++) {
    struct piece *piece = pieces + number;
    memset(piece, 0, sizeof *piece);
    piece->bytes = words + total;
    piece->size = sizes[number];
    if (piece->size < 0 || piece->size > INT32_MAX) return -1;
    if (piece->size == 0 && number > 0 && number < count - 1) return -1;
    total += piece->size;
    if (piece->size) choose(piece, fold);
  }
  for (row = 0; row < rows; row++) {
    int64_t start = starts[row], end = ends[row];
    if (start < 0 || end < start || end > size) return -1;
    found[row] = (uint8_t)(count == 1 ? is_equal(&work, pieces, start, end, until_nul)
                                      : matches(&work, pieces, count, total, start, end, until_nul));
    if (work.left < 0) return -1;
  }
  return rows;
}
