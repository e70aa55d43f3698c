// A target in our own memory. See image.h.
#include "target/image.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// `bytes[i]` belongs to `target.regions[i]`; both are kept sorted.
struct image {
	struct target target;
	void **bytes;
	bool released;
};

static struct image *image_of(struct target *target)
{
	return (struct image *)target;
}

static size_t image_read(struct target *target, remote_addr address, void *buffer, size_t size)
{
	struct image *image = image_of(target);
	size_t done = 0;

	while (done < size && !image->released) {
		const struct region *region = target_region(target, address + done);

		if (!region || !region->readable)
			break;
		uint64_t offset = address + done - region->start;
		size_t part = region->end - region->start - offset;

		if (part > size - done)
			part = size - done;
		memcpy((char *)buffer + done,
			(char *)image->bytes[region - target->regions] + offset, part);
		done += part;
	}
	return done;
}

static bool image_map(struct target *target, struct target_piece *piece)
{
	const struct region *region = target_region(target, piece->address);
	uint64_t offset = piece->address - region->start;

	if (piece->size > region->end - region->start - offset)
		return false;
	piece->bytes = (char *)image_of(target)->bytes[region - target->regions] + offset;
	return true;
}

static void image_release(struct target *target)
{
	image_of(target)->released = true;
}

static void image_destroy(struct target *target)
{
	struct image *image = image_of(target);

	for (size_t i = 0; i < target->region_count; i++) {
		free((char *)target->regions[i].path);
		free(image->bytes[i]);
	}
	target_deinit(target);
	free(image->bytes);
	free(image);
}

static const struct target_ops image_ops = {
	.read = image_read,
	.map = image_map,
	.release = image_release,
	.destroy = image_destroy,
};

struct error *image_create(struct target **out)
{
	struct image *image = calloc(1, sizeof(*image));
	char *exe_path = strdup("");

	if (!image || !exe_path) {
		free(image);
		free(exe_path);
		return error_no_memory();
	}
	image->target.ops = &image_ops;
	image->target.kind = TARGET_IMAGE;
	image->target.arch = ARCH_AMD64;
	image->target.exe_path = exe_path;
	image->target.capture.method = CAPTURE_CORE;
	*out = &image->target;
	return NULL;
}

struct error *image_add(struct target *target, const struct region *region, const void *bytes)
{
	struct image *image = image_of(target);
	size_t count = target->region_count, at = 0;
	size_t size = region->end - region->start;

	if (region->end <= region->start)
		return error_create(ERROR_USAGE, "an empty region at 0x%" PRIx64, region->start);
	while (at < count && target->regions[at].end <= region->start)
		at++;
	if (at < count && target->regions[at].start < region->end)
		return error_create(
			ERROR_USAGE, "the region at 0x%" PRIx64 " overlaps another", region->start);

	struct region *regions = realloc(target->regions, (count + 1) * sizeof(*regions));
	if (!regions)
		return error_no_memory();
	target->regions = regions;
	void **all = realloc(image->bytes, (count + 1) * sizeof(*all));
	if (!all)
		return error_no_memory();
	image->bytes = all;
	_cleanup_free_ char *path = strdup(region->path ? region->path : "");
	_cleanup_free_ void *copy = malloc(size);
	if (!path || !copy)
		return error_no_memory();

	memcpy(copy, bytes, size);
	memmove(&regions[at + 1], &regions[at], (count - at) * sizeof(*regions));
	memmove(&all[at + 1], &all[at], (count - at) * sizeof(*all));
	regions[at] = *region;
	regions[at].path = take_pointer(path);
	all[at] = take_pointer(copy);
	target->region_count++;
	return NULL;
}

struct error *image_add_thread(struct target *target, const struct target_thread *thread)
{
	struct target_thread *threads =
		realloc(target->threads, (target->thread_count + 1) * sizeof(*threads));

	if (!threads)
		return error_no_memory();
	target->threads = threads;
	threads[target->thread_count++] = *thread;
	return NULL;
}
