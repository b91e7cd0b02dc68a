/* Blocks of texts as Arrow's buffers, cells of pages as payload, and a search in texts: what a scan does most, without Python.
**
** A library of its own, for it is linked with libzstd, and called through ctypes: audiomem_sql/machine/native.py has the
** signatures. The same in Python, which also says what is wrong: blocks/compression.py, blocks/strings.py,
** protection/crc32c.py and predicates/patterns.py. Whatever is refused here is looked at there. */
#ifndef AUDIOMEM_BLOCKS_H
#define AUDIOMEM_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

/* A decompressor, with a dictionary that lies in front of what it decompresses: a match that reaches into the dictionary is
** then like any other for zstd. For one thread at a time. */
struct area;

/* NULL for want of memory. room: most bytes of a block. */
EXPORTED struct area *audiomem_area_new(const uint8_t *dictionary, int64_t size, int64_t room);
EXPORTED void audiomem_area_free(struct area *);

/* `count` blocks of STRINGS without NULLs, one array. Block i is one zstd frame in data[starts[i], starts[i] + stored[i]), what
** stands behind the frame does not matter; it has raw[i] bytes, and rows[i] values.
** size: bytes of data. is_text: whether values must be UTF-8. offsets: room for the sum of rows, and one. text: room for `most`
** bytes, less than 2**31. Returns the bytes of text, or -1 - i where block i is not such a block. */
EXPORTED int64_t audiomem_decode_strings(struct area *, const uint8_t *data, int64_t size, int64_t count,
                                         const int64_t *starts, const int64_t *stored, const int64_t *raw,
                                         const int64_t *rows, int is_text, int32_t *offsets, uint8_t *text,
                                         int64_t most);

/* Where the cells of pages are in bytes of a file. places[i]: of byte 0 of page i, and may be below 0; in front of each further
** channel of a page there is one byte that is not the page's. */
struct pages {
  const uint8_t *data;
  int64_t size;           /* bytes of data */
  const int64_t *places;
  int64_t channel_bytes;  /* of a page in a channel */
  int64_t header_bytes;   /* in front of the cells of a page */
  int64_t cells;          /* of a page */
  int64_t cell_bytes;     /* payload, and its CRC-32C */
};

/* Whether this processor has what audiomem_read_cells takes. */
EXPORTED int audiomem_reads_cells(void);
/* The payload of `count` cells from cell `first` of page 0 on, one behind the other. The CRC of the cell at i starts from
** start + i, modulo 2**32. Returns how many are intact: fewer than `count` is the place of the first that is not. */
EXPORTED int64_t audiomem_read_cells(const struct pages *, int64_t first, int64_t count, uint32_t start,
                                     uint8_t *payload);

/* Which of `rows` texts are made of `count` pieces in order, with anything between two of them: the first piece begins the
** text, the last one ends it, and either may be empty. One piece alone is the whole text. Text i is data[starts[i], ends[i]).
** words: the pieces, one behind the other, of sizes[i] bytes each. fold: capitals of ASCII are as their small letters, which
** the pieces have. until_nul: a text ends at its first NUL byte; then the pieces have none. found: 1 or 0 for each text.
** Returns `rows`, or -1 where that is for others to say: places beyond the `size` bytes of data, pieces that are many or empty
** within, and texts in which a piece nearly fits again and again. */
EXPORTED int64_t audiomem_match(const uint8_t *data, int64_t size, int64_t rows, const int64_t *starts, const int64_t *ends,
                                const uint8_t *words, const int64_t *sizes, int64_t count, int fold, int until_nul,
                                uint8_t *found);

#endif
