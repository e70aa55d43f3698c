// See captured.h.
#include "captured.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

static const char captured_magic[8] = "HWIMAGE1";

enum { FILE_BYTES_MAX = 64 << 20, COMPRESSION = 19 };

struct captured_header {
	char magic[8];
	uint64_t heap_alloc;
	uint32_t regions, threads, pages, unused;
};

struct captured_region {
	remote_addr start, end;
	uint8_t readable, writable, executable, is_exe;
	uint8_t unused[4];
};

struct captured {
	struct target target; // first: the target's functions find the rest by it
	uint8_t *bytes;       // the file, uncompressed
	uint8_t *pages;
	uint64_t heap_alloc;
	struct hw_map map; // address of a page -> its number
};

static size_t captured_read(struct target *target, remote_addr address, void *buffer, size_t size)
{
	struct captured *captured = (struct captured *)target;
	size_t done = 0;

	while (done < size) {
		const struct region *region = target_region(target, address + done);
		size_t part = CAPTURED_PAGE - (address + done) % CAPTURED_PAGE;
		const uint8_t *bytes = captured_bytes(captured, address + done);

		if (!region || !region->readable)
			break;
		if (part > size - done)
			part = size - done;
		if (bytes)
			memcpy((char *)buffer + done, bytes, part);
		else
			memset((char *)buffer + done, 0, part);
		done += part;
	}
	return done;
}

static int captured_open_exe(struct target *target)
{
	return -1;
}

static void captured_release(struct target *target)
{
}

static const struct target_ops captured_ops = {
	.read = captured_read,
	.open_exe = captured_open_exe,
	.release = captured_release,
	.destroy = captured_release,
};

uint8_t *captured_bytes(struct captured *captured, remote_addr address)
{
	uint64_t page;

	if (!hw_map_get(&captured->map, address / CAPTURED_PAGE, &page))
		return NULL;
	return captured->pages + page * CAPTURED_PAGE + address % CAPTURED_PAGE;
}

struct target *captured_target(struct captured *captured)
{
	return &captured->target;
}

uint64_t captured_heap_alloc(const struct captured *captured)
{
	return captured->heap_alloc;
}

static struct error *file_read(const char *path, uint8_t **out, size_t *size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "rb");
	_cleanup_free_ uint8_t *packed = malloc(FILE_BYTES_MAX);
	_cleanup_free_ uint8_t *bytes = malloc(FILE_BYTES_MAX);

	if (!packed || !bytes)
		return error_no_memory();
	if (!file)
		return error_errno(ERROR_USAGE, "%s", path);
	size_t length = fread(packed, 1, FILE_BYTES_MAX, file);
	size_t unpacked = ZSTD_decompress(bytes, FILE_BYTES_MAX, packed, length);
	if (ZSTD_isError(unpacked))
		return error_create(ERROR_USAGE, "%s: %s", path, ZSTD_getErrorName(unpacked));
	*out = take_pointer(bytes);
	*size = unpacked;
	return NULL;
}

// Takes `count` things of `size` bytes from the file; NULL when it is too short.
static const uint8_t *file_take(
	const uint8_t *bytes, size_t length, size_t *at, size_t count, size_t size)
{
	const uint8_t *start = bytes + *at;

	if (count > (length - *at) / size)
		return NULL;
	*at += count * size;
	return start;
}

static struct error *captured_open(struct captured *captured, const char *path, size_t length)
{
	struct target *target = &captured->target;
	struct captured_header header;
	size_t at = sizeof(header);

	if (length < sizeof(header) ||
		memcmp(captured->bytes, captured_magic, sizeof(captured_magic)) != 0)
		return error_create(ERROR_USAGE, "%s is no captured image", path);
	memcpy(&header, captured->bytes, sizeof(header));
	const uint8_t *regions = file_take(
		captured->bytes, length, &at, header.regions, sizeof(struct captured_region));
	const uint8_t *threads = file_take(
		captured->bytes, length, &at, header.threads, sizeof(struct target_thread));
	const uint8_t *addresses =
		file_take(captured->bytes, length, &at, header.pages, sizeof(remote_addr));
	captured->pages = captured->bytes + at;
	if (!regions || !threads || !addresses ||
		!file_take(captured->bytes, length, &at, header.pages, CAPTURED_PAGE))
		return error_create(ERROR_USAGE, "%s is cut off", path);
	captured->heap_alloc = header.heap_alloc;
	target->regions = calloc(header.regions + 1, sizeof(*target->regions));
	target->threads = calloc(header.threads + 1, sizeof(*target->threads));
	if (!target->regions || !target->threads)
		return error_no_memory();
	target->region_count = header.regions;
	target->thread_count = header.threads;
	memcpy(target->threads, threads, header.threads * sizeof(*target->threads));
	for (uint32_t i = 0; i < header.regions; i++) {
		struct captured_region region;

		memcpy(&region, regions + i * sizeof(region), sizeof(region));
		target->regions[i] = (struct region){
			.start = region.start,
			.end = region.end,
			.readable = region.readable,
			.writable = region.writable,
			.executable = region.executable,
			.is_exe = region.is_exe,
			.is_file = region.is_exe,
			.path = "",
		};
	}
	for (uint32_t i = 0; i < header.pages; i++) {
		remote_addr address;

		memcpy(&address, addresses + i * sizeof(address), sizeof(address));
		if (!hw_map_put(&captured->map, address / CAPTURED_PAGE, i))
			return error_no_memory();
	}
	return NULL;
}

struct error *captured_load(const char *path, struct captured **out)
{
	struct captured *captured = calloc(1, sizeof(*captured));
	size_t length = 0;

	if (!captured)
		return error_no_memory();
	captured->target.ops = &captured_ops;
	captured->target.kind = TARGET_IMAGE;
	captured->target.arch = ARCH_AMD64;
	hw_map_init(&captured->map);
	struct error *err = file_read(path, &captured->bytes, &length);
	if (!err)
		err = captured_open(captured, path, length);
	if (err)
		captured_destroy(captured);
	else
		*out = captured;
	return err;
}

void captured_forget(struct captured *captured)
{
	while (captured->target.pieces) {
		struct target_piece *piece = captured->target.pieces;

		captured->target.pieces = piece->next;
		free(piece->copy);
		free(piece);
	}
}

void captured_destroy(struct captured *captured)
{
	if (!captured)
		return;
	captured_forget(captured);
	free(captured->target.regions);
	free(captured->target.threads);
	hw_map_deinit(&captured->map);
	free(captured->bytes);
	free(captured);
}

// --- Saving

struct page_list {
	HW_VECTOR(remote_addr) addresses;
	HW_VECTOR(uint8_t) bytes;
};

static bool page_is_wanted(
	const struct region *region, remote_addr page, const remote_addr *code, size_t code_count)
{
	if (!region->executable)
		return true;
	for (size_t i = 0; i < code_count; i++) {
		if (code[i] / CAPTURED_PAGE == page / CAPTURED_PAGE)
			return true;
	}
	return false;
}

static bool page_add(struct page_list *pages, remote_addr address, const uint8_t *bytes)
{
	static const uint8_t zeros[CAPTURED_PAGE];

	if (memcmp(bytes, zeros, CAPTURED_PAGE) == 0)
		return true;
	if (!hw_vector_push(&pages->addresses, address) ||
		!hw_vector_reserve(&pages->bytes, CAPTURED_PAGE))
		return false;
	memcpy(pages->bytes.items + pages->bytes.count, bytes, CAPTURED_PAGE);
	pages->bytes.count += CAPTURED_PAGE;
	return true;
}

static struct error *pages_collect(
	struct page_list *pages, struct target *target, const remote_addr *code, size_t code_count)
{
	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];

		// Libraries and the kernel's pages are none of Go's.
		if (!region->readable || (region->is_file && !region->is_exe) ||
			region->path[0] == '[')
			continue;
		for (remote_addr page = region->start; page < region->end; page += CAPTURED_PAGE) {
			uint8_t bytes[CAPTURED_PAGE];

			if (!page_is_wanted(region, page, code, code_count))
				continue;
			target_read_sparse(target, page, bytes, sizeof(bytes));
			if (!page_add(pages, page, bytes))
				return error_no_memory();
		}
	}
	return NULL;
}

static void bytes_put(uint8_t **to, const void *bytes, size_t size)
{
	memcpy(*to, bytes, size);
	*to += size;
}

struct error *captured_save(const char *path, struct target *target, uint64_t heap_alloc,
	const remote_addr *code, size_t code_count)
{
	struct page_list pages = {HW_VECTOR_INIT, HW_VECTOR_INIT};
	struct error *err = pages_collect(&pages, target, code, code_count);
	struct captured_header header = {
		.heap_alloc = heap_alloc,
		.regions = (uint32_t)target->region_count,
		.threads = (uint32_t)target->thread_count,
		.pages = (uint32_t)pages.addresses.count,
	};
	size_t size = sizeof(header) + target->region_count * sizeof(struct captured_region) +
		      target->thread_count * sizeof(*target->threads) +
		      pages.addresses.count * (sizeof(remote_addr) + CAPTURED_PAGE);
	_cleanup_free_ uint8_t *bytes = malloc(size);
	_cleanup_free_ uint8_t *packed = malloc(ZSTD_compressBound(size));
	_cleanup_fclose_ FILE *file = fopen(path, "wb");

	if (!err && (!bytes || !packed))
		err = error_no_memory();
	if (!err && !file)
		err = error_errno(ERROR_USAGE, "%s", path);
	if (!err) {
		uint8_t *to = bytes;

		memcpy(header.magic, captured_magic, sizeof(header.magic));
		bytes_put(&to, &header, sizeof(header));
		for (size_t i = 0; i < target->region_count; i++) {
			const struct region *region = &target->regions[i];
			struct captured_region out = {
				.start = region->start,
				.end = region->end,
				.readable = region->readable,
				.writable = region->writable,
				.executable = region->executable,
				.is_exe = region->is_exe,
			};

			bytes_put(&to, &out, sizeof(out));
		}
		bytes_put(&to, target->threads, target->thread_count * sizeof(*target->threads));
		bytes_put(&to, pages.addresses.items, pages.addresses.count * sizeof(remote_addr));
		bytes_put(&to, pages.bytes.items, pages.bytes.count);
		size_t length =
			ZSTD_compress(packed, ZSTD_compressBound(size), bytes, size, COMPRESSION);
		if (ZSTD_isError(length) || fwrite(packed, 1, length, file) != length)
			err = error_create(ERROR_USAGE, "%s could not be written", path);
	}
	hw_vector_deinit(&pages.addresses);
	hw_vector_deinit(&pages.bytes);
	return err;
}
