// 100 million numbers appended: the vector on reserved address space, the plain vector, and others.
#include "bench.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define STB_DS_IMPLEMENTATION
#include <stb/stb_ds.h>

#include "heapwhy/stable_vector.h"
#include "heapwhy/vector.h"

static uint64_t numbers(void)
{
	return bench_quick() ? 10000000 : 100000000;
}

static uint64_t stable_append(void *context)
{
	HW_STABLE_VECTOR(uint64_t) vector;
	uint64_t count = numbers();

	hw_stable_vector_init(&vector, 0, NULL);
	for (uint64_t i = 0; i < count; i++)
		if (!hw_stable_vector_push(&vector, i))
			abort();
	bench_keep(vector.items[count - 1]);
	hw_stable_vector_deinit(&vector);
	return count;
}

static uint64_t plain_append(void *context)
{
	HW_VECTOR(uint64_t) vector = HW_VECTOR_INIT;
	uint64_t count = numbers();

	for (uint64_t i = 0; i < count; i++)
		if (!hw_vector_push(&vector, i))
			abort();
	bench_keep(vector.items[count - 1]);
	hw_vector_deinit(&vector);
	return count;
}

static uint64_t realloc_append(void *context)
{
	uint64_t *items = NULL, count = numbers(), capacity = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (i == capacity) {
			capacity = capacity ? capacity * 2 : 8;
			items = realloc(items, capacity * sizeof(*items));
			if (!items)
				abort();
		}
		items[i] = i;
	}
	bench_keep(items[count - 1]);
	free(items);
	return count;
}

static uint64_t copying_append(void *context)
{
	uint64_t *items = NULL, count = numbers(), capacity = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (i == capacity) {
			uint64_t *larger = malloc((capacity ? capacity * 2 : 8) * sizeof(*items));
			if (!larger)
				abort();
			if (items)
				memcpy(larger, items, capacity * sizeof(*items));
			free(items);
			items = larger;
			capacity = capacity ? capacity * 2 : 8;
		}
		items[i] = i;
	}
	bench_keep(items[count - 1]);
	free(items);
	return count;
}

static uint64_t stb_append(void *context)
{
	uint64_t *items = NULL, count = numbers();

	for (uint64_t i = 0; i < count; i++)
		arrput(items, i);
	bench_keep(items[count - 1]);
	arrfree(items);
	return count;
}

// No vector at all: what the kernel takes for the memory, and the stores.
static uint64_t mapping_fill(void *context)
{
	const size_t page = 2 << 20;
	uint64_t count = numbers();
	size_t bytes = count * sizeof(uint64_t) + page;
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint64_t *items = (uint64_t *)(((uintptr_t)memory + page - 1) & ~(page - 1));

	if (memory == MAP_FAILED)
		abort();
	madvise(memory, bytes, MADV_HUGEPAGE);
	for (uint64_t i = 0; i < count; i++)
		items[i] = i;
	munmap(memory, bytes);
	return count;
}

// The most resident memory of a process that does just this.
static void peak(const struct contestant *contestant)
{
	struct rusage usage;
	int status;

	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		contestant->run(NULL);
		_exit(0);
	}
	wait4(child, &status, 0, &usage);
	bench_value(
		"growable vector: peak bytes", contestant->name, (double)usage.ru_maxrss * 1024);
}

int main(void)
{
	static const struct contestant contestants[] = {{"heapwhy", stable_append},
		{"heapwhy's plain vector", plain_append}, {"glibc realloc", realloc_append},
		{"stb_ds", stb_append}, {"copying growth", copying_append},
		{"huge pages, filled", mapping_fill}, {NULL}};

	for (const struct contestant *c = contestants; c->name; c++)
		peak(c);
	bench_touch_bytes = numbers() * 3 * sizeof(uint64_t);
	bench_race("growable vector: appending 100 million numbers", contestants);
	return 0;
}
