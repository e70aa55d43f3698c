// How much of a process's memory is really there. See resident.h.
#include "target/resident.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/vector.h"
#include "target/procfs.h"

// statm's counters may lag behind by some pages a thread; smaps_rollup walks the page tables.
uint64_t resident_total(pid_t pid)
{
	char path[64], line[256];
	uint64_t kib, pages;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	_cleanup_fclose_ FILE *rollup = fopen(path, "re");
	while (rollup && fgets(line, sizeof(line), rollup))
		if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
			return kib << 10;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	_cleanup_fclose_ FILE *statm = fopen(path, "re");
	if (statm && fscanf(statm, "%*u %" SCNu64, &pages) == 1)
		return pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

struct mapping_vector {
	struct resident_mapping *items;
	size_t count, capacity;
};

// A line of smaps: a mapping, or one of its numbers. Mappings without memory are dropped when the next one begins.
static bool smaps_line(struct mapping_vector *list, const char *text, size_t length)
{
	const char *cursor = text;
	struct maps_line line;
	uint64_t kib;

	if (list->count && sscanf(text, "Rss: %" SCNu64 " kB", &kib) == 1) {
		list->items[list->count - 1].bytes = kib << 10;
		return true;
	}
	if (!maps_next(&cursor, text + length, &line))
		return true;
	if (list->count && !list->items[list->count - 1].bytes)
		free(list->items[--list->count].path);
	char *path = strndup(line.path, line.path_length);
	if (!path || !hw_vector_push(list, ((struct resident_mapping){
						   .start = line.region.start,
						   .end = line.region.end,
						   .is_file = line.region.is_file,
						   .shared = line.region.shared,
						   .writable = line.region.writable,
						   .path = path,
					   }))) {
		free(path);
		return false;
	}
	return true;
}

struct error *resident_mappings_read(pid_t pid, struct resident_mappings *out)
{
	char path[64];
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t length;
	struct mapping_vector list = {0};
	bool good = true;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	_cleanup_fclose_ FILE *smaps = fopen(path, "re");
	if (!smaps)
		return error_errno(ERROR_TARGET, "cannot open %s", path);
	while (good && (length = getline(&line, &size, smaps)) > 0)
		good = smaps_line(&list, line, (size_t)length);
	struct resident_mappings mappings = {list.items, list.count};
	if (!good) {
		resident_mappings_deinit(&mappings);
		return error_no_memory();
	}
	*out = mappings;
	return NULL;
}

void resident_mappings_deinit(struct resident_mappings *mappings)
{
	for (size_t i = 0; i < mappings->count; i++)
		free(mappings->items[i].path);
	free(mappings->items);
	*mappings = (struct resident_mappings){0};
}

// A word of /proc/PID/pagemap; bit 63 is set for a page in memory (admin-guide/mm/pagemap.rst).
static bool pagemap_read(int fd, remote_addr start, uint64_t pages, uint64_t *bits)
{
	enum { CHUNK = 4096 };
	uint64_t words[CHUNK];

	for (uint64_t page = 0; page < pages;) {
		uint64_t want = pages - page < CHUNK ? pages - page : CHUNK;
		ssize_t got = pread(fd, words, want * sizeof(words[0]),
			(off_t)((start / RESIDENT_PAGE + page) * sizeof(words[0])));
		if (got < (ssize_t)sizeof(words[0]))
			return false;
		for (size_t i = 0; i < (size_t)got / sizeof(words[0]); i++, page++)
			if (words[i] >> 63)
				bits[page >> 6] |= UINT64_C(1) << (page & 63);
	}
	return true;
}

struct error *resident_map_add(
	struct resident_map *map, pid_t pid, remote_addr start, remote_addr end)
{
	uint64_t pages = (end - start) / RESIDENT_PAGE;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(ERROR_TARGET, "cannot open %s", path);
	_cleanup_free_ uint64_t *bits = calloc(pages / 64 + 1, sizeof(*bits));
	struct resident_range *ranges =
		realloc(map->ranges, (map->count + 1) * sizeof(*map->ranges));
	if (ranges)
		map->ranges = ranges;
	if (!bits || !ranges)
		return error_no_memory();
	if (!pagemap_read(fd, start, pages, bits))
		return error_create(ERROR_TARGET, "cannot read %s", path);
	map->ranges[map->count++] = (struct resident_range){start, end, take_pointer(bits)};
	return NULL;
}

void resident_map_deinit(struct resident_map *map)
{
	for (size_t i = 0; i < map->count; i++)
		free(map->ranges[i].bits);
	free(map->ranges);
	*map = (struct resident_map){0};
}

// Set bits among [first, end).
static uint64_t bits_count(const uint64_t *bits, uint64_t first, uint64_t end)
{
	uint64_t count = 0;

	while (first < end) {
		uint64_t word = bits[first >> 6] >> (first & 63), here = 64 - (first & 63);
		if (here > end - first) {
			here = end - first;
			word &= (UINT64_C(1) << here) - 1;
		}
		count += (uint64_t)__builtin_popcountll(word);
		first += here;
	}
	return count;
}

static uint64_t range_bytes(const struct resident_range *range, remote_addr start, remote_addr end)
{
	uint64_t from = start - range->start, to = end - range->start;
	uint64_t first = from / RESIDENT_PAGE, last = (to - 1) / RESIDENT_PAGE;
	uint64_t bytes = RESIDENT_PAGE * bits_count(range->bits, first, last + 1);

	if (range->bits[first >> 6] >> (first & 63) & 1)
		bytes -= from % RESIDENT_PAGE;
	if (range->bits[last >> 6] >> (last & 63) & 1)
		bytes -= (last + 1) * RESIDENT_PAGE - to;
	return bytes;
}

uint64_t resident_bytes(const struct resident_map *map, remote_addr start, remote_addr end)
{
	uint64_t bytes = 0;
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (map->ranges[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < map->count && map->ranges[low].start < end; low++) {
		const struct resident_range *range = &map->ranges[low];
		remote_addr from = start > range->start ? start : range->start;
		remote_addr to = end < range->end ? end : range->end;
		if (from < to)
			bytes += range_bytes(range, from, to);
	}
	return bytes;
}
