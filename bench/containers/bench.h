// Races between containers: every contestant does the same work, in turn, round after round, and each round is printed.
//
//	static uint64_t churn_glibc(void *context) { ...; return operations_done; }
//	...
//	bench_race("node pool: churn", (struct contestant[]){
//		{"heapwhy", churn_pool, &pool}, {"glibc", churn_glibc, NULL}, {NULL}});
//	bench_value("node pool: held per live byte", "heapwhy", 1.2);
//
// bench/containers/run reads the lines, takes medians and sets them against the goals. Contestants are interleaved, so
// that a disturbance meets all of them; the share of a processor that each round really got is printed with it.
#ifndef BENCH_CONTAINERS_BENCH_H
#define BENCH_CONTAINERS_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct contestant {
	const char *name;
	// Does the work and returns how many operations it was. Preparations that are not to be timed lie between
	// bench_pause() and bench_resume().
	uint64_t (*run)(void *context);
	void *context;
	int threads; // that work at the same time; 0 means 1
};

struct bench_time {
	double wall, cpu; // seconds; of the whole process
};

static struct bench_time bench_paused, bench_pause_began;

// Nanoseconds for which threads of a race that have ended could run and had no processor.
static unsigned long long bench_workers_waited;

static inline double bench_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static inline struct bench_time bench_now(void)
{
	return (struct bench_time){
		bench_clock(CLOCK_MONOTONIC), bench_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

static inline void bench_pause(void)
{
	bench_pause_began = bench_now();
}

static inline void bench_resume(void)
{
	struct bench_time now = bench_now();

	bench_paused.wall += now.wall - bench_pause_began.wall;
	bench_paused.cpu += now.cpu - bench_pause_began.cpu;
}

// Nanoseconds for which the calling thread could run and had no processor (Linux, sched-stats.rst). Not for which it slept,
// at a lock say: that is the contestant's own doing.
static inline unsigned long long bench_waited(void)
{
	FILE *file = fopen("/proc/thread-self/schedstat", "r");
	unsigned long long waited = 0;

	if (!file || fscanf(file, "%*u %llu", &waited) != 1) {
		fprintf(stderr,
			"this kernel does not say how long a thread waited for a processor\n");
		exit(1);
	}
	fclose(file);
	return waited;
}

// HEAPWHY_BENCH_QUICK=1: does it run at all?
static inline int bench_quick(void)
{
	const char *quick = getenv("HEAPWHY_BENCH_QUICK");

	return quick && *quick == '1';
}

// A virtual machine's free pages may have gone back to its host, and to get one again takes longer than anything that
// is measured here. A row that takes much new memory sets this: so much is touched, and freed, before each run.
static size_t bench_touch_bytes;

static inline void bench_touch(void)
{
	char *memory = mmap(NULL, bench_touch_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return;
	madvise(memory, bench_touch_bytes, MADV_HUGEPAGE);
	for (size_t i = 0; i < bench_touch_bytes; i += 4096)
		memory[i] = 1;
	munmap(memory, bench_touch_bytes);
}

// One thread is timed by the processor time that it got, several by the clock on the wall.
static inline void bench_race(const char *row, const struct contestant *contestants)
{
	int rounds = bench_quick() ? 1 : 7;

	for (int round = 0; round < rounds; round++)
		for (const struct contestant *c = contestants; c->name; c++) {
			int threads = c->threads ? c->threads : 1;
			if (bench_touch_bytes)
				bench_touch();
			bench_paused = (struct bench_time){0, 0};
			bench_workers_waited = 0;
			unsigned long long waited = bench_waited();
			struct bench_time start = bench_now();
			uint64_t operations = c->run(c->context);
			struct bench_time end = bench_now();
			waited = bench_waited() - waited + bench_workers_waited;
			double wall = end.wall - start.wall - bench_paused.wall;
			double cpu = end.cpu - start.cpu - bench_paused.cpu;
			printf("time\t%s\t%s\t%.4f\t%.3f\n", row, c->name,
				(threads == 1 ? cpu : wall) * 1e9 / (double)operations,
				cpu / (cpu + (double)waited * 1e-9));
			fflush(stdout);
		}
}

static inline void bench_value(const char *row, const char *contestant, double value)
{
	printf("value\t%s\t%s\t%.6g\t1\n", row, contestant, value);
	fflush(stdout);
}

// Resident bytes of this process now, exactly: statm lags behind by some pages.
static inline uint64_t bench_resident(void)
{
	unsigned long kilobytes = 0;
	char line[256];
	FILE *file = fopen("/proc/self/smaps_rollup", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Rss: %lu", &kilobytes) == 1)
			break;
	if (file)
		fclose(file);
	return (uint64_t)kilobytes << 10;
}

// xorshift64*: the same sequence on every run.
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

// Makes the compiler believe that `value` is used.
#define bench_keep(value) __asm__ volatile("" : : "g"(value) : "memory")

#endif
