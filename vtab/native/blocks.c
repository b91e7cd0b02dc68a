/* Blocks of texts, see blocks.h. All lengths come from a file, and are looked at before they are used. */
#include "blocks.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Room behind a block: zstd is faster where it can keep the literals of one of its blocks there, and copy in steps. */
enum { SLACK = (128 << 10) + 64 };

struct area {
  ZSTD_DCtx *context;
  int64_t dictionary, room;
  uint8_t bytes[]; /* the dictionary, then what is decompressed */
};

EXPORTED struct area *audiomem_area_new(const uint8_t *dictionary, int64_t size, int64_t room) {
  const int64_t most = (int64_t)1 << 31;
  struct area *area;
  if (size < 0 || room < 0 || size > most || room > most) return NULL;
  area = malloc(sizeof *area + (size_t)(size + room + SLACK));
  if (area == NULL) return NULL;
  area->context = ZSTD_createDCtx();
  if (area->context == NULL) {
    free(area);
    return NULL;
  }
  area->dictionary = size;
  area->room = room;
  if (size) memcpy(area->bytes, dictionary, (size_t)size);
  return area;
}

EXPORTED void audiomem_area_free(struct area *area) {
  if (area == NULL) return;
  ZSTD_freeDCtx(area->context);
  free(area);
}

/* Let zstd take the dictionary for one that it has not seen: then it fetches what matches refer to ahead of them. A dictionary
** is larger than the caches near a core, and half of the time would be spent waiting for its bytes. It does so where the last
** frame had another dictionary, so here is an empty one without. The stable interface has no other way. */
static void forget_dictionary(struct area *area) {
  static const uint8_t EMPTY[] = {0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00};
  ZSTD_decompressDCtx(area->context, area->bytes + area->dictionary, 0, EMPTY, sizeof EMPTY);
}

/* The `raw` bytes of a frame, in the area; NULL if it is anything else. */
static const uint8_t *decompressed(struct area *area, const uint8_t *frame, size_t stored, int64_t raw) {
  uint8_t *out = area->bytes + area->dictionary;
  size_t length;
  if (raw < 1 || raw > area->room || ZSTD_getFrameContentSize(frame, stored) != (unsigned long long)raw) return NULL;
  length = ZSTD_findFrameCompressedSize(frame, stored);
  if (ZSTD_isError(length) || length > stored) return NULL;
  if (area->dictionary) forget_dictionary(area);
  if (area->dictionary &&
      ZSTD_isError(ZSTD_DCtx_refPrefix(area->context, area->bytes, (size_t)area->dictionary)))
    return NULL;
  length = ZSTD_decompressDCtx(area->context, out, (size_t)(raw + SLACK), frame, length);
  if (ZSTD_isError(length) || length != (size_t)raw) {
    ZSTD_DCtx_reset(area->context, ZSTD_reset_session_and_parameters);
    return NULL;
  }
  return out;
}

/* The bytes of a character that begins at *at, 1 to 4; 0 if none does (RFC 3629: no surrogates, the shortest form). */
static int character(const uint8_t *at, int64_t left) {
  uint8_t first = at[0], low = 0x80, high = 0xBF;
  int length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  int i;
  if (length == 0 || length > left) return 0;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (length > 1 && (at[1] < low || at[1] > high)) return 0;
  for (i = 2; i < length; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  return length;
}

/* Whether bytes are UTF-8; most are ASCII, looked at in steps. */
static int is_utf8(const uint8_t *bytes, int64_t size) {
  enum { STEP = 32 };
  int64_t at = 0;
  int length;
  while (at < size) {
    if (bytes[at] < 0x80) {
      while (size - at >= STEP) {
        uint64_t part[STEP / 8];
        memcpy(part, bytes + at, STEP);
        if ((part[0] | part[1] | part[2] | part[3]) & 0x8080808080808080u) break;
        at += STEP;
      }
      while (at < size && bytes[at] < 0x80) at++;
      continue;
    }
    length = character(bytes + at, size - at);
    if (length == 0) return 0;
    at += length;
  }
  return 1;
}

/* Offsets behind each of `rows` values, whose lengths stand in planes of `width` bytes, from `before` on. The sum of the
** lengths, or -1 where it is more than `most`, which is less than 2**31. */
static int64_t lengths(const uint8_t *planes, int width, int64_t rows, int64_t most, int64_t before, int32_t *offsets) {
  int64_t sum = 0, row;
  if (width == 1) {
    for (row = 0; row < rows; row++) offsets[row] = (int32_t)(before + (sum += planes[row]));
  } else if (width == 2) {
    for (row = 0; row < rows; row++) {
      sum += planes[row] | planes[rows + row] << 8;
      if (sum > most) return -1;
      offsets[row] = (int32_t)(before + sum);
    }
  } else {
    for (row = 0; row < rows; row++) {
      sum += (int64_t)planes[row] | (int64_t)planes[rows + row] << 8 | (int64_t)planes[2 * rows + row] << 16 |
             (int64_t)planes[3 * rows + row] << 24;
      if (sum > most) return -1;
      offsets[row] = (int32_t)(before + sum);
    }
  }
  return sum > most ? -1 : sum;
}

/* Whether no value begins within a character of UTF-8 bytes. */
static int begin_characters(const uint8_t *text, int64_t size, const int32_t *offsets, int64_t rows, int64_t before) {
  int64_t row;
  for (row = 0; row < rows; row++) {
    int64_t at = offsets[row] - before; /* where the next one begins, or the block ends */
    if (at < size && (text[at] & 0xC0) == 0x80) return 0;
  }
  return 1;
}

/* One block of STRINGS, raw bytes, behind `before` bytes of text; the bytes of its values, -1 if it is none. */
static int64_t strings(const uint8_t *block, int64_t raw, int64_t rows, int is_text, int32_t *offsets, uint8_t *text,
                       int64_t before, int64_t most) {
  int width = block[0];
  int64_t head, size;
  if ((width != 1 && width != 2 && width != 4) || rows < 0 || rows > (raw - 1) / width) return -1;
  head = 1 + rows * width;
  size = raw - head;
  if (size < 0 || size > most - before) return -1;
  if (lengths(block + 1, width, rows, size, before, offsets) != size) return -1;
  if (is_text) {
    if (!is_utf8(block + head, size)) return -1;
    if (!begin_characters(block + head, size, offsets, rows, before)) return -1;
  }
  memcpy(text + before, block + head, (size_t)size);
  return size;
}

EXPORTED int64_t audiomem_decode_strings(struct area *area, const uint8_t *data, int64_t size, int64_t count,
                                         const int64_t *starts, const int64_t *stored, const int64_t *raw,
                                         const int64_t *rows, int is_text, int32_t *offsets, uint8_t *text,
                                         int64_t most) {
  int64_t number, total = 0;
  *offsets++ = 0;
  for (number = 0; number < count; number++) {
    const uint8_t *block;
    int64_t more;
    if (starts[number] < 0 || stored[number] < 0 || starts[number] > size || stored[number] > size - starts[number])
      return -1 - number;
    block = decompressed(area, data + starts[number], (size_t)stored[number], raw[number]);
    if (block == NULL) return -1 - number;
    more = strings(block, raw[number], rows[number], is_text, offsets, text, total, most);
    if (more < 0) return -1 - number;
    offsets += rows[number];
    total += more;
  }
  return total;
}
