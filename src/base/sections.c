// Files of sections. See sections.h.
#include "base/sections.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"

static const char magic[8] = {'h', 'e', 'a', 'p', 'w', 'h', 'y', '\n'};

enum { VERSION = 1, ALIGNMENT = 64 };

struct header {
	char magic[8];
	uint32_t version, count;
	uint64_t table_offset, file_size;
	uint32_t table_checksum, checksum; // the last one: of what stands before it
};

struct sections {
	const uint8_t *bytes;
	uint64_t size;
	const struct section_entry *entries;
	uint32_t count;
};

// crc32() takes lengths of 32 bits only.
static uint32_t checksum(const void *bytes, uint64_t size)
{
	const uint8_t *at = bytes;
	uLong sum = crc32(0, NULL, 0);

	while (size) {
		unsigned part = size > 1u << 30 ? 1u << 30 : (unsigned)size;

		sum = crc32(sum, at, part);
		at += part;
		size -= part;
	}
	return (uint32_t)sum;
}

static struct error *write_at(int fd, const void *bytes, uint64_t size, uint64_t offset)
{
	for (uint64_t done = 0; done < size;) {
		ssize_t part =
			pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return error_errno(ERROR_INTERNAL, "cannot write the snapshot");
		done += (uint64_t)part;
	}
	return NULL;
}

static uint64_t aligned(uint64_t offset)
{
	return (offset + ALIGNMENT - 1) & -(uint64_t)ALIGNMENT;
}

void sections_begin(struct sections_writer *writer, int fd)
{
	*writer = (struct sections_writer){.fd = fd, .offset = aligned(sizeof(struct header))};
}

struct error *sections_add(struct sections_writer *writer, const char *name, const void *items,
	size_t item_size, uint64_t count)
{
	struct section_entry *entry = &writer->entries[writer->count];

	BUG_ON(writer->count == SECTIONS_MAX || strlen(name) > SECTION_NAME_MAX);
	*entry = (struct section_entry){
		.offset = writer->offset,
		.size = item_size * count,
		.item_size = (uint32_t)item_size,
		.checksum = checksum(items, item_size * count),
	};
	strncpy(entry->name, name, SECTION_NAME_MAX);
	struct error *err = write_at(writer->fd, items, entry->size, writer->offset);
	writer->offset = aligned(writer->offset + entry->size);
	writer->count++;
	return err;
}

struct error *sections_end(struct sections_writer *writer)
{
	uint64_t size = writer->count * sizeof(writer->entries[0]);
	struct header header = {
		.version = VERSION,
		.count = writer->count,
		.table_offset = writer->offset,
		.file_size = writer->offset + size,
		.table_checksum = checksum(writer->entries, size),
	};

	memcpy(header.magic, magic, sizeof(magic));
	header.checksum = checksum(&header, offsetof(struct header, checksum));
	struct error *err = write_at(writer->fd, writer->entries, size, writer->offset);
	return err ? err : write_at(writer->fd, &header, sizeof(header), 0);
}

bool sections_are_likely(const void *bytes, size_t size)
{
	return size >= sizeof(magic) && !memcmp(bytes, magic, sizeof(magic));
}

static struct error *damaged(const char *what)
{
	return error_create(ERROR_TARGET, "the snapshot is damaged: %s", what);
}

static struct error *table_check(struct sections *sections)
{
	struct header header;

	if (sections->size < sizeof(header))
		return damaged("it is cut off within its header");
	memcpy(&header, sections->bytes, sizeof(header));
	if (memcmp(header.magic, magic, sizeof(magic)) != 0)
		return error_create(ERROR_TARGET, "it is no snapshot");
	if (header.checksum != checksum(&header, offsetof(struct header, checksum)))
		return damaged("its header has the wrong checksum");
	if (header.version != VERSION)
		return error_create(ERROR_TARGET,
			"the snapshot has format %u; this heapwhy reads format %d", header.version,
			VERSION);
	if (header.file_size != sections->size)
		return damaged("it is cut off");
	uint64_t size = header.count * sizeof(struct section_entry);
	if (header.count > SECTIONS_MAX || header.table_offset % ALIGNMENT ||
		header.table_offset > sections->size ||
		size > sections->size - header.table_offset ||
		header.table_checksum != checksum(sections->bytes + header.table_offset, size))
		return damaged("its table has the wrong checksum");
	sections->entries = (const void *)(sections->bytes + header.table_offset);
	sections->count = header.count;
	return NULL;
}

struct error *sections_open_fd(int fd, struct sections **out)
{
	struct sections *sections = calloc(1, sizeof(*sections));
	struct error *err = NULL;
	struct stat stat;

	if (!sections)
		err = error_no_memory();
	else if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || !stat.st_size)
		err = damaged("it is empty");
	else {
		void *bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (bytes == MAP_FAILED) {
			err = error_errno(ERROR_INTERNAL, "cannot map the snapshot");
		} else {
			sections->bytes = bytes;
			sections->size = (uint64_t)stat.st_size;
			err = table_check(sections);
		}
	}
	close(fd);
	if (err)
		sections_close(sections);
	else
		*out = sections;
	return err;
}

struct error *sections_open(const char *path, struct sections **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return error_errno(ERROR_TARGET, "cannot open %s", path);
	return error_wrap(sections_open_fd(fd, out), "%s", path);
}

void sections_close(struct sections *sections)
{
	if (!sections)
		return;
	if (sections->bytes)
		munmap((void *)sections->bytes, sections->size);
	free(sections);
}

struct error *sections_get(const struct sections *sections, const char *name, size_t item_size,
	const void **items, uint64_t *count)
{
	for (uint32_t i = 0; i < sections->count; i++) {
		const struct section_entry *entry = &sections->entries[i];

		if (strncmp(entry->name, name, sizeof(entry->name)) != 0)
			continue;
		if (entry->item_size != item_size || entry->offset % ALIGNMENT ||
			entry->offset > sections->size ||
			entry->size > sections->size - entry->offset || entry->size % item_size ||
			checksum(sections->bytes + entry->offset, entry->size) != entry->checksum)
			return error_create(ERROR_TARGET,
				"the snapshot is damaged: its %s have the wrong checksum", name);
		*items = sections->bytes + entry->offset;
		*count = entry->size / item_size;
		return NULL;
	}
	return error_create(ERROR_TARGET, "the snapshot is damaged: it has no %s", name);
}
