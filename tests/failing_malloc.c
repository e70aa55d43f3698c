// For LD_PRELOAD: lets one allocation fail, or all from one on. Not those of libelf and libdw: out of memory, they
// crash by themselves, whatever their caller does.
//
//	FAIL_AT=N     the N-th one fails (the first is 1)
//	FAIL_FROM=N   the N-th one and all after it fail
//	COUNT_TO=FILE when the process ends, FILE says how many there were
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// glibc's own names of what is replaced here.
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

static _Atomic long allocations;
static long fail_at, fail_from;

// Where the code of libelf and libdw lies.
static struct range {
	uintptr_t start, end;
} spared[8];
static unsigned spared_count;

static int spare(struct dl_phdr_info *info, size_t size, void *context)
{
	if (!strstr(info->dlpi_name, "/libdw") && !strstr(info->dlpi_name, "/libelf"))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum && spared_count < 8; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
			uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			spared[spared_count++] =
				(struct range){start, start + info->dlpi_phdr[i].p_memsz};
		}
	return 0;
}

static long number(const char *name)
{
	const char *word = getenv(name);

	return word ? strtol(word, NULL, 10) : 0;
}

__attribute__((constructor)) static void start(void)
{
	fail_at = number("FAIL_AT");
	fail_from = number("FAIL_FROM");
	dl_iterate_phdr(spare, NULL);
	atomic_store(&allocations, 0);
}

// The count is written without allocating. A process that was forked off counts for itself.
__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("COUNT_TO");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;

	if (fd >= 0) {
		dprintf(fd, "%ld\n", atomic_load(&allocations));
		close(fd);
	}
}

static bool fails(const void *caller)
{
	for (unsigned i = 0; i < spared_count; i++)
		if ((uintptr_t)caller >= spared[i].start && (uintptr_t)caller < spared[i].end)
			return false;
	long now = atomic_fetch_add(&allocations, 1) + 1;

	if (now != fail_at && (!fail_from || now < fail_from))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t bytes)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, bytes);
}
