// What was in memory, as our own cores tell it. Lists must ascend and keep within bounds: the ledger
// adds them up.
#include "target/core_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "target/core_format.h"
#include "target/procfs.h"
#include "target/resident.h"

struct cursor {
	const uint8_t *at, *end;
};

static bool cursor_take(struct cursor *cursor, void *out, size_t size)
{
	if ((size_t)(cursor->end - cursor->at) < size)
		return false;
	memcpy(out, cursor->at, size);
	cursor->at += size;
	return true;
}

// Whole pages above all that came before.
static bool range_ascends(remote_addr start, remote_addr end, remote_addr *before)
{
	if (start < *before || start >= end || start % PAGE_BYTES || end % PAGE_BYTES)
		return false;
	*before = end;
	return true;
}

static bool mappings_take(
	struct resident *resident, struct cursor *table, struct cursor *names, uint64_t count)
{
	struct core_note_mapping entry;
	remote_addr before = 0;

	while (count--) {
		const uint8_t *zero = memchr(names->at, 0, (size_t)(names->end - names->at));

		if (!zero || !cursor_take(table, &entry, sizeof(entry)) ||
			!range_ascends(entry.start, entry.end, &before) ||
			entry.bytes > entry.end - entry.start)
			return false;
		struct resident_mapping mapping = {.start = entry.start,
			.end = entry.end,
			.bytes = entry.bytes,
			.is_file = entry.is_file,
			.shared = entry.shared};
		if (!resident_add_mapping(resident, &mapping, (const char *)names->at,
			    (size_t)(zero - names->at)))
			return false;
		names->at = zero + 1;
	}
	return true;
}

static bool runs_take(struct resident *resident, struct cursor *table, uint64_t count)
{
	remote_addr before = 0, run[2];

	while (count--) {
		if (!cursor_take(table, run, sizeof(run)) ||
			!range_ascends(run[0], run[1], &before) ||
			!resident_add_run(resident, run[0], run[1]))
			return false;
	}
	return true;
}

struct error *core_read_resident(struct core *core, const uint8_t *note, size_t size)
{
	struct cursor table = {note, note + size};
	struct core_note_resident header;

	if (core->target.resident || !cursor_take(&table, &header, sizeof(header)))
		return NULL;
	uint64_t left = (uint64_t)(table.end - table.at);
	if (header.mappings > left / sizeof(struct core_note_mapping))
		return NULL;
	left -= header.mappings * sizeof(struct core_note_mapping);
	if (header.runs > left / sizeof(struct resident_run))
		return NULL;
	left -= header.runs * sizeof(struct resident_run);
	struct cursor names = {table.end - left, table.end};
	struct resident *resident = calloc(1, sizeof(*resident));
	if (!resident)
		return error_no_memory();
	resident->total = header.total;
	if (mappings_take(resident, &table, &names, header.mappings) &&
		runs_take(resident, &table, header.runs))
		core->target.resident = resident;
	else
		resident_destroy(resident);
	return NULL;
}
