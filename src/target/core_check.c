// The checksums in our own cores: pieces of the file that have changed since are taken for missing.
#include "target/core_private.h"

#include <string.h>
#include <zlib.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "target/core_format.h"

// A piece of the file.
struct piece {
	uint64_t start, end;
};

// What is left of each segment when a piece of the file is taken out of it.
static bool segments_remove(struct core *core, const struct piece *bad)
{
	size_t count = core->segments.count;

	for (size_t i = 0; i < count; i++) {
		struct core_segment *segment = &core->segments.items[i];
		struct core_segment rest = *segment;
		uint64_t end = segment->offset + segment->size;

		if (!segment->size || bad->end <= segment->offset || bad->start >= end)
			continue;
		// In front of the damage, if anything is there; the damage becomes part of what has
		// no bytes.
		segment->size = bad->start > segment->offset ? bad->start - segment->offset : 0;
		if (bad->end >= end)
			continue;
		rest.start += bad->end - rest.offset;
		rest.size -= bad->end - rest.offset;
		rest.offset = bad->end;
		segment->end = rest.start;
		if (!hw_vector_push(&core->segments, rest))
			return false;
	}
	return true;
}

static struct error *pieces_check(
	struct core *core, const struct core_note_checksums *header, const uint8_t *sums)
{
	_cleanup_free_ uint8_t *buffer = malloc(CORE_CHECKED);

	if (!buffer)
		return error_no_memory();
	for (uint64_t i = 0; i < header->count; i++) {
		uint64_t at = i * CORE_CHECKED;
		struct piece piece = {header->offset + at, header->offset + at + CORE_CHECKED};
		uint32_t expected;

		if (cancel_requested())
			return error_cancelled();
		if (piece.end > header->offset + header->size)
			piece.end = header->offset + header->size;
		// What is cut off has been counted.
		if (piece.end > core->size)
			break;
		memcpy(&expected, sums + i * sizeof(expected), sizeof(expected));
		size_t size = piece.end - piece.start;
		if (core_pread(core->fd, buffer, size, piece.start) &&
			(uint32_t)crc32(0, buffer, (unsigned)size) == expected)
			continue;
		core->damaged_bytes += size;
		if (!segments_remove(core, &piece))
			return error_no_memory();
	}
	return NULL;
}

// The headers up to the checksums themselves. Without them nothing else can be trusted.
static struct error *header_check(struct core *core, size_t size, uint32_t expected)
{
	_cleanup_free_ uint8_t *bytes = malloc(size + 1);

	if (!bytes)
		return error_no_memory();
	if (core_pread(core->fd, bytes, size, 0) &&
		(uint32_t)crc32(0, bytes, (unsigned)size) == expected)
		return NULL;
	return error_create(ERROR_TARGET,
		"%s is damaged: its headers do not have the checksum that they were written with",
		core->path);
}

struct error *core_check(struct core *core, const uint8_t *note, size_t size)
{
	struct core_note_checksums header;

	if (size < sizeof(header))
		return NULL;
	memcpy(&header, note, sizeof(header));
	if (header.count > (size - sizeof(header)) / sizeof(uint32_t) ||
		header.offset > core->size || header.size > UINT64_MAX - header.offset ||
		header.count != header.size / CORE_CHECKED + (header.size % CORE_CHECKED != 0))
		return error_create(ERROR_TARGET,
			"%s is damaged: its list of checksums makes no sense", core->path);
	core->checked = true;
	struct error *err = header_check(
		core, core->note_offset + (size_t)(note - core->note_bytes), header.header);
	return err ? err : pieces_check(core, &header, note + sizeof(header));
}
