// CAPTURE_STOP: copying a process's private memory while it stands still.
//
// What must be copied can be told from /proc/PID/pagemap: pages that are in memory or swapped out
// and that are not pages of a file. All others are either files' bytes, which are read from the
// file later, or zeros.
#include "target/keeper.h"

#include "target/page_scan.h"
#include "target/procfs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PAGEMAP_ENTRIES = 4096, PAGE_RUNS = 512 };

// Looking whether heapwhy is still there costs a system call: do it this often.
static const uint64_t LIFE_CHECK_BYTES = 16 << 20;

struct copy {
	struct keeper *keeper;
	struct tracees *tracees;
	int pagemap_fd, socket;
	uint64_t checked_at;
	uint64_t entries[PAGEMAP_ENTRIES];
	struct page_run runs[PAGE_RUNS];
	bool cannot_scan; // an older kernel
};

static struct failure *copy_failure(struct copy *copy)
{
	return &copy->keeper->result->failure;
}

static bool still_wanted(struct copy *copy)
{
	struct pollfd fd = {.fd = copy->socket, .events = POLLRDHUP};

	if (poll(&fd, 1, 0) == 0)
		return true;
	failure_set(copy_failure(copy), ERROR_INTERNAL, "heapwhy is gone");
	return false;
}

// A page that cannot be read although it is there (poisoned hardware) is left out.
static bool copy_run(struct copy *copy, remote_addr start, uint64_t size)
{
	struct keeper *keeper = copy->keeper;
	struct keeper_result *result = keeper->result;

	while (size) {
		uint64_t part = size < LIFE_CHECK_BYTES ? size : LIFE_CHECK_BYTES;

		if (result->byte_count + part > keeper->byte_capacity ||
			result->extent_count == keeper->extent_capacity) {
			result->refusal = REFUSAL_GROWN;
			failure_set(copy_failure(copy), ERROR_TARGET,
				"process %d grows faster than it can be copied; try again",
				copy->tracees->pid);
			return false;
		}
		ssize_t length = pread(copy->tracees->mem_fd, keeper->bytes + result->byte_count,
			part, (off_t)start);
		if (length > 0) {
			part = (uint64_t)length;
			keeper->extents[result->extent_count++] =
				(struct extent){start, part, result->byte_count};
			result->byte_count += part;
		} else {
			part = PAGE_BYTES;
		}
		start += part;
		size -= part;
		if (result->byte_count - copy->checked_at >= LIFE_CHECK_BYTES) {
			copy->checked_at = result->byte_count;
			if (!still_wanted(copy))
				return false;
		}
	}
	return true;
}

static bool must_copy(uint64_t entry)
{
	return entry & PAGEMAP_SWAPPED || (entry & PAGEMAP_PRESENT && !(entry & PAGEMAP_FILE));
}

// Copies the region's pages that the kernel lists. False: failed, or there is no such list; then
// copy->cannot_scan is set.
static bool copy_listed(struct copy *copy, const struct region *region)
{
	struct page_scan scan = {
		.size = sizeof(scan),
		.start = region->start,
		.end = region->end,
		.runs = (uintptr_t)copy->runs,
		.run_count = PAGE_RUNS,
		.inverted = PAGE_IS_FILE,
		.mask = PAGE_IS_FILE, // inverted: not a page of a file
		.any_of = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.returned = PAGE_IS_PRESENT,
	};

	while (scan.start < scan.end) {
		int count = ioctl(copy->pagemap_fd, PAGEMAP_SCAN, &scan);

		if (count < 0) {
			copy->cannot_scan = scan.start == region->start;
			if (!copy->cannot_scan)
				failure_set(copy_failure(copy), ERROR_TARGET,
					"process %d exited during the capture", copy->tracees->pid);
			return false;
		}
		for (int i = 0; i < count; i++) {
			if (!copy_run(copy, copy->runs[i].start,
				    copy->runs[i].end - copy->runs[i].start))
				return false;
		}
		if (scan.walk_end <= scan.start)
			break;
		scan.start = scan.walk_end;
	}
	return true;
}

static bool copy_region(struct copy *copy, const struct region *region)
{
	if (!copy->cannot_scan && copy_listed(copy, region))
		return true;
	if (!copy->cannot_scan)
		return false;
	remote_addr run = region->start, at = region->start;

	while (at < region->end) {
		size_t wanted = (region->end - at) / PAGE_BYTES;

		if (wanted > PAGEMAP_ENTRIES)
			wanted = PAGEMAP_ENTRIES;
		ssize_t length =
			pread(copy->pagemap_fd, copy->entries, wanted * sizeof(copy->entries[0]),
				(off_t)(at / PAGE_BYTES * sizeof(copy->entries[0])));
		if (length <= 0)
			break;
		for (size_t i = 0; i < (size_t)length / sizeof(copy->entries[0]); i++) {
			remote_addr page = at + i * PAGE_BYTES;

			if (must_copy(copy->entries[i]))
				continue;
			if (run < page && !copy_run(copy, run, page - run))
				return false;
			run = page + PAGE_BYTES;
		}
		at += (uint64_t)length / sizeof(copy->entries[0]) * PAGE_BYTES;
	}
	return run >= at || copy_run(copy, run, at - run);
}

static bool read_maps(struct copy *copy, int maps_fd)
{
	struct keeper *keeper = copy->keeper;
	size_t length = 0;
	ssize_t part;

	while ((part = read(maps_fd, keeper->maps + length, keeper->maps_capacity - length)) > 0)
		length += (size_t)part;
	keeper->result->maps_length = length;
	if (length && length < keeper->maps_capacity)
		return true;
	failure_set(copy_failure(copy), ERROR_TARGET, "process %d exited during the capture",
		copy->tracees->pid);
	return false;
}

bool keeper_copy(
	struct keeper *keeper, struct tracees *tracees, int pagemap_fd, int maps_fd, int socket)
{
	static struct copy copy;

	copy = (struct copy){
		.keeper = keeper, .tracees = tracees, .pagemap_fd = pagemap_fd, .socket = socket};
	if (!read_maps(&copy, maps_fd))
		return false;
	const char *at = keeper->maps, *end = at + keeper->result->maps_length;
	struct maps_line line;
	while (maps_next(&at, end, &line)) {
		if (!line.region.readable || line.region.shared)
			continue;
		if (!copy_region(&copy, &line.region))
			return false;
	}
	return true;
}
