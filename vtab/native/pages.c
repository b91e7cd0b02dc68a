/* Cells of pages, see blocks.h: one look at each byte for its CRC-32C (RFC 3720 appendix B.4), and one copy. */
#include "blocks.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define FAST_CRC __attribute__((target("sse4.2")))
#define CRC_8(crc, part) ((uint32_t)_mm_crc32_u64(crc, part))
#define CRC_1(crc, byte) _mm_crc32_u8(crc, byte)
EXPORTED int audiomem_reads_cells(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__ARM_FEATURE_CRC32) && defined(__ARM_64BIT_STATE) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>
#define FAST_CRC
#define CRC_8(crc, part) __crc32cd(crc, part)
#define CRC_1(crc, byte) __crc32cb(crc, byte)
EXPORTED int audiomem_reads_cells(void) { return 1; }
#else
EXPORTED int audiomem_reads_cells(void) { return 0; }
#endif

enum { CRC_BYTES = 4, LANES = 3 };

#ifdef CRC_8
/* Whether what stands behind the payload is its CRC, which starts from `start`. */
FAST_CRC static int is_intact(const uint8_t *payload, int64_t size, uint32_t start, const uint8_t *crc) {
  uint32_t sum = ~start, stored;
  uint64_t part;
  int64_t at = 0;
  for (; at + 8 <= size; at += 8) {
    memcpy(&part, payload + at, 8);
    sum = CRC_8(sum, part);
  }
  for (; at < size; at++) sum = CRC_1(sum, payload[at]);
  stored = (uint32_t)crc[0] | (uint32_t)crc[1] << 8 | (uint32_t)crc[2] << 16 | (uint32_t)crc[3] << 24;
  return ~sum == stored;
}

/* The same of LANES cells at once, one payload behind the other: the instruction has three cycles of latency. */
FAST_CRC static int are_intact(const uint8_t *payload, int64_t size, uint32_t start, uint8_t crcs[][CRC_BYTES]) {
  uint32_t a = ~start, b = ~(start + 1), c = ~(start + 2);
  const uint8_t *second = payload + size, *third = second + size;
  uint8_t sums[LANES][CRC_BYTES];
  uint64_t part[LANES];
  int64_t at = 0;
  int lane, byte;
  for (; at + 8 <= size; at += 8) {
    memcpy(part, payload + at, 8);
    memcpy(part + 1, second + at, 8);
    memcpy(part + 2, third + at, 8);
    a = CRC_8(a, part[0]);
    b = CRC_8(b, part[1]);
    c = CRC_8(c, part[2]);
  }
  for (; at < size; at++) {
    a = CRC_1(a, payload[at]);
    b = CRC_1(b, second[at]);
    c = CRC_1(c, third[at]);
  }
  for (lane = 0; lane < LANES; lane++) {
    uint32_t sum = lane == 0 ? ~a : lane == 1 ? ~b : ~c;
    for (byte = 0; byte < CRC_BYTES; byte++) sums[lane][byte] = (uint8_t)(sum >> 8 * byte);
  }
  return memcmp(sums, crcs, sizeof sums) == 0;
}

/* Bytes start … stop - 1 of a page; whether all of them are in the data. */
static int copy(const struct pages *pages, int64_t page, int64_t start, int64_t stop, uint8_t *out) {
  while (start < stop) {
    int64_t channel = start / pages->channel_bytes, end = (channel + 1) * pages->channel_bytes, at;
    if (end > stop) end = stop;
    at = pages->places[page] + start + channel;
    if (at < 0 || at > pages->size || end - start > pages->size - at) return 0;
    memcpy(out, pages->data + at, (size_t)(end - start));
    out += end - start;
    start = end;
  }
  return 1;
}

EXPORTED int64_t audiomem_read_cells(const struct pages *pages, int64_t first, int64_t count, uint32_t start,
                                     uint8_t *payload) {
  int64_t size = pages->cell_bytes - CRC_BYTES, done = 0;
  uint8_t crcs[LANES][CRC_BYTES];
  while (done < count) {
    int64_t lanes = count - done < LANES ? count - done : LANES, lane;
    for (lane = 0; lane < lanes; lane++) {
      int64_t cell = first + done + lane, page = cell / pages->cells;
      int64_t at = pages->header_bytes + cell % pages->cells * pages->cell_bytes;
      if (!copy(pages, page, at, at + size, payload + (done + lane) * size)) break;
      if (!copy(pages, page, at + size, at + size + CRC_BYTES, crcs[lane])) break;
    }
    if (lane == LANES && are_intact(payload + done * size, size, start + (uint32_t)done, crcs)) {
      done += LANES;
      continue;
    }
    lanes = lane;
    for (lane = 0; lane < lanes; lane++, done++)
      if (!is_intact(payload + done * size, size, start + (uint32_t)done, crcs[lane])) return done;
    if (lanes < LANES) return done;
  }
  return done;
}
#else
EXPORTED int64_t audiomem_read_cells(const struct pages *pages, int64_t first, int64_t count, uint32_t start,
                                     uint8_t *payload) {
  (void)pages, (void)first, (void)count, (void)start, (void)payload;
  return 0;
}
#endif
