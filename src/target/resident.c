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
#include "base/log.h"
#include "base/search.h"
#include "target/page_scan.h"
#include "target/procfs.h"

// Larger mappings are reserved and hardly used: without a list, which of their pages are in memory is not asked.
static const uint64_t PAGES_ASKED_MAX = UINT64_C(1) << 38;

// statm's counters may lag behind by some pages a thread; smaps_rollup walks the page tables.
static uint64_t total_read(pid_t pid)
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

bool resident_add_mapping(struct resident *resident, const struct resident_mapping *mapping,
	const char *path, size_t path_length)
{
	struct resident_mapping added = *mapping;

	added.path = strndup(path, path_length);
	if (added.path && hw_vector_push(&resident->mappings, added))
		return true;
	free(added.path);
	return false;
}

bool resident_add_run(struct resident *resident, remote_addr start, remote_addr end)
{
	size_t count = resident->runs.count;

	if (count && resident->runs.items[count - 1].end == start) {
		resident->runs.items[count - 1].end = end;
		return true;
	}
	return hw_vector_push(&resident->runs, ((struct resident_run){start, end}));
}

// A line of smaps: a mapping, or one of its numbers. Mappings without memory are dropped when the next
// one begins.
static bool smaps_line(struct resident *resident, const char *text, size_t length)
{
	size_t count = resident->mappings.count;
	struct resident_mapping *last = count ? &resident->mappings.items[count - 1] : NULL;
	const char *cursor = text;
	struct maps_line line;
	uint64_t kib;

	if (last && sscanf(text, "Rss: %" SCNu64 " kB", &kib) == 1) {
		last->bytes = kib << 10;
		return true;
	}
	if (!maps_next(&cursor, text + length, &line))
		return true;
	if (last && !last->bytes) {
		free(last->path);
		resident->mappings.count--;
	}
	struct resident_mapping mapping = {
		.start = line.region.start,
		.end = line.region.end,
		.is_file = line.region.is_file,
		.shared = line.region.shared,
	};
	return resident_add_mapping(resident, &mapping, line.path, line.path_length);
}

static struct error *mappings_read(struct resident *resident, pid_t pid)
{
	char path[64];
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	_cleanup_fclose_ FILE *smaps = fopen(path, "re");
	if (!smaps)
		return error_errno(ERROR_TARGET, "cannot open %s", path);
	while ((length = getline(&line, &size, smaps)) > 0) {
		if (!smaps_line(resident, line, (size_t)length))
			return error_no_memory();
	}
	return NULL;
}

// Asks for a list of the pages in [start, end) that are in memory. *too_old: the kernel has none.
static struct error *pages_list(
	struct resident *resident, int fd, remote_addr start, remote_addr end, bool *too_old)
{
	struct page_run runs[512];
	struct page_scan scan = {
		.size = sizeof(scan),
		.start = start,
		.end = end,
		.runs = (uintptr_t)runs,
		.run_count = ARRAY_COUNT(runs),
		.mask = PAGE_IS_PRESENT,
		.returned = PAGE_IS_PRESENT,
	};

	while (scan.start < end) {
		int count = ioctl(fd, PAGEMAP_SCAN, &scan);
		*too_old = count < 0 && scan.start == start;
		if (*too_old)
			return NULL;
		if (count < 0)
			return error_create(ERROR_TARGET, "cannot read which pages are in memory");
		for (int i = 0; i < count; i++)
			if (!resident_add_run(resident, runs[i].start, runs[i].end))
				return error_no_memory();
		if (scan.walk_end <= scan.start)
			break;
		scan.start = scan.walk_end;
	}
	return NULL;
}

// The words of /proc/PID/pagemap for [start, end).
static struct error *pages_read(
	struct resident *resident, int fd, remote_addr start, remote_addr end)
{
	enum { CHUNK = 4096 };
	uint64_t words[CHUNK];

	for (remote_addr at = start; at < end;) {
		uint64_t want = (end - at) / PAGE_BYTES < CHUNK ? (end - at) / PAGE_BYTES : CHUNK;
		ssize_t got = pread(fd, words, want * sizeof(words[0]),
			(off_t)(at / PAGE_BYTES * sizeof(words[0])));
		if (got < (ssize_t)sizeof(words[0]))
			return error_create(ERROR_TARGET, "cannot read which pages are in memory");
		for (size_t i = 0; i < (size_t)got / sizeof(words[0]); i++, at += PAGE_BYTES) {
			if (words[i] & PAGEMAP_PRESENT &&
				!resident_add_run(resident, at, at + PAGE_BYTES))
				return error_no_memory();
		}
	}
	return NULL;
}

static struct error *runs_read(struct resident *resident, pid_t pid)
{
	struct error *err = NULL;
	bool too_old = false;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(ERROR_TARGET, "cannot open %s", path);
	for (size_t i = 0; i < resident->mappings.count && !err; i++) {
		const struct resident_mapping *mapping = &resident->mappings.items[i];

		if (mapping->is_file || !mapping->bytes)
			continue;
		if (!too_old)
			err = pages_list(resident, fd, mapping->start, mapping->end, &too_old);
		if (too_old && mapping->end - mapping->start <= PAGES_ASKED_MAX)
			err = pages_read(resident, fd, mapping->start, mapping->end);
	}
	return err;
}

static void lists_deinit(struct resident *resident)
{
	for (size_t i = 0; i < resident->mappings.count; i++)
		free(resident->mappings.items[i].path);
	hw_vector_deinit(&resident->mappings);
	hw_vector_deinit(&resident->runs);
}

struct error *resident_ask(struct target *target)
{
	struct resident *resident = calloc(1, sizeof(*resident));

	if (!resident)
		return error_no_memory();
	target->resident = resident;
	struct error *err = mappings_read(resident, target->pid);
	if (!err)
		err = runs_read(resident, target->pid);
	resident->total = total_read(target->pid);
	if (!err || error_kind(err) == ERROR_INTERNAL)
		return err;
	log_remark("%s", error_message(err));
	error_destroy(err);
	lists_deinit(resident);
	return NULL;
}

void resident_destroy(struct resident *resident)
{
	if (!resident)
		return;
	lists_deinit(resident);
	free(resident);
}

uint64_t resident_bytes(const struct resident *resident, remote_addr start, remote_addr end)
{
	const struct resident_run *runs = resident->runs.items;
	size_t at = FIRST_WHERE(i, resident->runs.count, runs[i].end > start);
	uint64_t bytes = 0;

	for (; at < resident->runs.count && runs[at].start < end; at++) {
		remote_addr from = start > runs[at].start ? start : runs[at].start;
		remote_addr to = end < runs[at].end ? end : runs[at].end;

		if (from < to)
			bytes += to - from;
	}
	return bytes;
}
