// What all targets share: looking up regions, reading with errors, and keeping the pieces handed
// out by target_map.
#include "target/target.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "target/resident.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

static int region_compare(const void *a, const void *b)
{
	const struct region *left = a, *right = b;

	return (left->start > right->start) - (left->start < right->start);
}

void target_sort_regions(struct target *target)
{
	qsort(target->regions, target->region_count, sizeof(*target->regions), region_compare);
}

// The index of the first region that ends above `address`.
static size_t region_index(const struct target *target, remote_addr address)
{
	return FIRST_WHERE(i, target->region_count, target->regions[i].end > address);
}

const struct region *target_region(const struct target *target, remote_addr address)
{
	size_t index = region_index(target, address);

	if (index == target->region_count || target->regions[index].start > address)
		return NULL;
	return &target->regions[index];
}

// The first address at or above `address` that is worth reading, given that the byte at `address`
// is not readable.
static remote_addr next_readable(const struct target *target, remote_addr address)
{
	size_t index = region_index(target, address);
	remote_addr page_end = (address | (PAGE_BYTES - 1)) + 1;

	if (index == target->region_count)
		return UINT64_MAX;
	const struct region *region = &target->regions[index];
	if (region->start > address)
		return region->start;
	if (!region->readable)
		return region->end;
	return page_end < region->end ? page_end : region->end;
}

struct error *target_read(struct target *target, remote_addr address, void *buffer, size_t size)
{
	size_t done = target->ops->read(target, address, buffer, size);

	target->bytes_read += done;
	if (done == size)
		return NULL;
	target->faults++;
	return error_create(
		ERROR_TARGET, "memory at 0x%" PRIx64 " is not readable", address + done);
}

size_t target_read_sparse(struct target *target, remote_addr address, void *buffer, size_t size)
{
	char *bytes = buffer;
	size_t at = 0, missing = 0;

	while (at < size) {
		at += target->ops->read(target, address + at, bytes + at, size - at);
		if (at == size)
			break;
		size_t skip = next_readable(target, address + at) - (address + at);
		// A byte that the table calls readable may still be refused: always move on.
		if (skip == 0)
			skip = 1;
		if (skip > size - at)
			skip = size - at;
		memset(bytes + at, 0, skip);
		missing += skip;
		at += skip;
	}
	target->bytes_read += size - missing;
	if (missing)
		target->faults++;
	return missing;
}

// How many bytes from `address` on lie in readable, adjoining regions: bounds a size that the
// target itself supplied before memory is allocated for it.
static uint64_t readable_bytes(const struct target *target, remote_addr address)
{
	remote_addr end = address;

	for (size_t i = region_index(target, address); i < target->region_count; i++) {
		const struct region *region = &target->regions[i];

		if (region->start > end || !region->readable)
			break;
		end = region->end;
	}
	return end - address;
}

uint64_t target_absent(const struct target *target, remote_addr start, remote_addr end)
{
	uint64_t absent = end > start ? end - start : 0;

	for (size_t i = region_index(target, start); i < target->region_count; i++) {
		const struct region *region = &target->regions[i];
		remote_addr low = region->start > start ? region->start : start;
		remote_addr high = region->end < end ? region->end : end;

		if (region->start >= end)
			break;
		if (region->readable && low < high)
			absent -= high - low;
	}
	return absent;
}

static void piece_destroy(struct target_piece *piece)
{
	if (piece->mapping)
		munmap(piece->mapping, piece->mapping_size);
	free(piece->copy);
	free(piece);
}

static struct error *piece_copy(struct target *target, struct target_piece *piece)
{
	piece->copy = malloc(piece->size);
	if (!piece->copy)
		return error_no_memory();
	piece->bytes = piece->copy;
	return target_read(target, piece->address, piece->copy, piece->size);
}

struct error *target_map(struct target *target, remote_addr address, size_t size, const void **out)
{
	static const char empty;

	if (size == 0) {
		*out = &empty;
		return NULL;
	}
	for (struct target_piece *piece = target->pieces; piece; piece = piece->next) {
		if (address >= piece->address && address - piece->address <= piece->size &&
			size <= piece->size - (address - piece->address)) {
			*out = (const char *)piece->bytes + (address - piece->address);
			return NULL;
		}
	}
	if (readable_bytes(target, address) < size) {
		target->faults++;
		return error_create(ERROR_TARGET,
			"memory at 0x%" PRIx64 " is not readable for %zu bytes", address, size);
	}

	struct target_piece *piece = calloc(1, sizeof(*piece));
	if (!piece)
		return error_no_memory();
	piece->address = address;
	piece->size = size;
	if (!target->ops->map || !target->ops->map(target, piece)) {
		struct error *err = piece_copy(target, piece);

		if (err) {
			piece_destroy(piece);
			return err;
		}
	}
	piece->next = target->pieces;
	target->pieces = piece;
	*out = piece->bytes;
	return NULL;
}

void target_set_library(struct target *target, const char *path)
{
	remote_addr end = 0;

	target->library = path;
	if (!path)
		path = target->exe_path ? target->exe_path : "";
	for (size_t i = 0; i < target->region_count; i++) {
		struct region *region = &target->regions[i];

		// bss lies right behind the data, in a mapping without a name.
		region->is_exe = region->is_file ? !strcmp(region->path, path)
						 : !*region->path && region->start == end;
		if (region->is_exe)
			end = region->end;
	}
}

int target_open_exe(struct target *target)
{
	if (!target->ops->open_exe) {
		errno = ENOENT;
		return -1;
	}
	return target->ops->open_exe(target);
}

void target_release(struct target *target)
{
	target->ops->release(target);
}

void target_deinit(struct target *target)
{
	free(target->notes);
	free(target->auxv);
	resident_destroy(target->resident);
	free(target->exe_path);
	free(target->regions);
	free(target->threads);
}

void target_destroy(struct target *target)
{
	if (!target)
		return;
	target->ops->release(target);
	while (target->pieces) {
		struct target_piece *piece = target->pieces;

		target->pieces = piece->next;
		piece_destroy(piece);
	}
	target->ops->destroy(target);
}
