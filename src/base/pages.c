// Big arrays from mmap. See pages.h.
#include "base/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/temporary.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

enum { HUGE_PAGE = 2 << 20, HUGE_FROM_BYTES = 1 << 20 };

// mmap refuses length 0; an empty array is one byte long. Where that takes an eighth more at most, an array
// is made of whole huge pages: the kernel then places it so that none of it is left to small ones.
static size_t pages_length(size_t bytes)
{
	if (bytes > SIZE_MAX - HUGE_PAGE)
		return bytes;
	size_t whole = (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
	return !bytes ? 1 : whole - bytes <= bytes / 8 ? whole : bytes;
}

void *pages_alloc(const char *directory, size_t bytes)
{
	_cleanup_close_ int fd = -1;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	if (directory) {
		fd = temporary_file(directory);
		if (fd < 0)
			return NULL;
		// Not sparse: a full disk must be an error here, not a SIGBUS at some later store.
		errno = posix_fallocate(fd, 0, (off_t)pages_length(bytes));
		if (errno)
			return NULL;
		flags = MAP_SHARED;
	}
	void *array = mmap(NULL, pages_length(bytes), PROT_READ | PROT_WRITE, flags, fd, 0);
	if (array == MAP_FAILED)
		return NULL;
	if (!directory && bytes >= HUGE_FROM_BYTES)
		madvise(array, pages_length(bytes), MADV_HUGEPAGE);
	return array;
}

struct error *pages_error(const char *directory)
{
	if (!directory)
		return error_no_memory();
	return error_errno(ERROR_INTERNAL,
		"%s has no room for what does not fit into memory; set TMPDIR to a directory that "
		"has",
		directory);
}

void *pages_resize(void *array, size_t old_bytes, size_t new_bytes)
{
	void *moved =
		mremap(array, pages_length(old_bytes), pages_length(new_bytes), MREMAP_MAYMOVE);

	return moved == MAP_FAILED ? NULL : moved;
}

void pages_populate(void *array, size_t bytes)
{
	madvise(array, pages_length(bytes), MADV_POPULATE_WRITE);
}

void pages_free(void *array, size_t bytes)
{
	if (array)
		munmap(array, pages_length(bytes));
}
