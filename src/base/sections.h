// A file of named sections: versioned, checksummed, ready to be mapped.
//
// Little-endian. A header, the sections, each aligned to 64 bytes, and a table of them at the end,
// which the header names and has the checksum of. Each section's own checksum is compared when it is
// asked for, so a large file opens at once.
//
//	struct sections_writer writer;
//	sections_begin(&writer, fd);
//	err = sections_add(&writer, "numbers", numbers, sizeof(*numbers), count);
//	err = sections_end(&writer);
//
//	struct sections *sections;
//	err = sections_open(path, &sections);
//	err = sections_get(sections, "numbers", sizeof(*numbers), &numbers, &count);
//	sections_close(sections);              // `numbers` go with it
#ifndef BASE_SECTIONS_H
#define BASE_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct sections;

enum { SECTION_NAME_MAX = 15, SECTIONS_MAX = 64 };

struct section_entry {
	char name[SECTION_NAME_MAX + 1];
	uint64_t offset, size;
	uint32_t item_size, checksum;
};

struct sections_writer {
	int fd;
	uint64_t offset;
	struct section_entry entries[SECTIONS_MAX];
	uint32_t count;
};

// Does not take `fd` over.
void sections_begin(struct sections_writer *writer, int fd);
struct error *sections_add(struct sections_writer *writer, const char *name, const void *items,
	size_t item_size, uint64_t count);
struct error *sections_end(struct sections_writer *writer);

// Whether the file begins like one of these.
bool sections_are_likely(const void *bytes, size_t size);

struct error *sections_open(const char *path, struct sections **out);
struct error *sections_open_fd(int fd, struct sections **out); // takes `fd` over
void sections_close(struct sections *sections);                // accepts NULL

// ERROR_TARGET when there is no such section, its items have another size, or it is damaged.
struct error *sections_get(const struct sections *sections, const char *name, size_t item_size,
	const void **items, uint64_t *count);

#endif
