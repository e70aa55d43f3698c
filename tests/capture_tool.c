// Captures a process and says how it went; for tests and measurements.
//
//	capture_tool PID [auto|fork|stop] [ROUNDS]
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "target/process.h"

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

// Every readable byte of the private writable memory, as an analysis would read it.
static uint64_t read_everything(struct target *target)
{
	enum { CHUNK = 1 << 20 };
	_cleanup_free_ char *buffer = malloc(CHUNK);
	uint64_t missing = 0;

	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];

		if (!region->readable || !region->writable || region->shared)
			continue;
		for (remote_addr at = region->start; at < region->end; at += CHUNK) {
			size_t left = region->end - at;

			missing +=
				target_read_sparse(target, at, buffer, left < CHUNK ? left : CHUNK);
		}
	}
	return missing;
}

int main(int argc, char **argv)
{
	struct capture_options options = {CAPTURE_AUTO};

	if (argc < 2) {
		fprintf(stderr, "usage: capture_tool PID [auto|fork|stop] [ROUNDS]\n");
		return 2;
	}
	pid_t pid = atoi(argv[1]);
	if (argc > 2 && !strcmp(argv[2], "fork"))
		options.method = CAPTURE_FORK;
	if (argc > 2 && !strcmp(argv[2], "stop"))
		options.method = CAPTURE_STOP;
	size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	_cleanup_free_ uint64_t *pauses = calloc(rounds ? rounds : 1, sizeof(*pauses));
	for (size_t i = 0; i < rounds; i++) {
		struct target *target;
		uint64_t start = clock_ns();
		struct error *err = process_capture(pid, &options, &target);

		if (err) {
			fprintf(stderr, "round %zu: %s\n", i, error_message(err));
			return error_kind(err);
		}
		uint64_t captured = clock_ns();
		uint64_t missing = read_everything(target);
		uint64_t done = clock_ns();
		pauses[i] = target->capture.pause_ns;
		target_release(target);
		if (rounds == 1)
			printf("method %s%s%s, %zu threads, %zu regions, pause %.2f ms, attached "
			       "%.2f ms, capture %.1f ms, read %.1f ms, release %.1f ms, "
			       "%" PRIu64 " bytes, %" PRIu64 " missing\n",
				target->capture.method == CAPTURE_FORK ? "fork" : "stop",
				*target->capture.reason ? ": " : "", target->capture.reason,
				target->thread_count, target->region_count, (double)pauses[i] / 1e6,
				(double)target->capture.total_ns / 1e6,
				(double)(captured - start) / 1e6, (double)(done - captured) / 1e6,
				(double)(clock_ns() - done) / 1e6, target->bytes_read, missing);
		target_destroy(target);
	}
	qsort(pauses, rounds, sizeof(*pauses), compare);
	if (rounds > 1)
		printf("%zu captures, pause p50 %.2f ms, max %.2f ms\n", rounds,
			(double)pauses[rounds / 2] / 1e6, (double)pauses[rounds - 1] / 1e6);
	return 0;
}
