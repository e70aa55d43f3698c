// Captures corpus/heartbeat again and again under load: it must report no error and keep no child. Prints how long it
// stood still, as itself measured it, and how long a plain fork of as much memory takes. Durations are printed, never
// judged.
//
//	heartbeat PROGRAM MEGABYTES ROUNDS [fork|stop [calm]]
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "target/process.h"

enum { FORKS_MAX = 20 };

struct program {
	pid_t pid;
	FILE *input, *output;
};

static bool program_start(struct program *program, char *path, char *megabytes, char *mode)
{
	int input[2], output[2];

	if (pipe(input) || pipe(output))
		return false;
	program->pid = fork();
	if (program->pid == 0) {
		dup2(input[0], 0);
		dup2(output[1], 1);
		for (int i = 0; i < 2; i++) {
			close(input[i]);
			close(output[i]);
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, path, megabytes, mode, (char *)NULL);
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	program->input = fdopen(input[1], "w");
	program->output = fdopen(output[0], "r");
	return program->pid > 0 && program->input && program->output;
}

// Sends a command ("" for none) and receives a line. False when the program has ended.
static bool program_ask(struct program *program, const char *command, char *line, size_t size)
{
	if (*command) {
		fprintf(program->input, "%s\n", command);
		fflush(program->input);
	}
	if (!fgets(line, (int)size, program->output))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

static uint64_t program_gap(struct program *program)
{
	char line[256];

	return program_ask(program, "gap", line, sizeof(line)) ? strtoull(line, NULL, 10) : 0;
}

// Children of ours other than the program: copies and keepers that were left behind.
static bool has_strays(const struct program *program)
{
	siginfo_t info = {0};
	char path[64], text[256] = "", *end;

	while (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) && info.si_pid &&
		info.si_pid != program->pid) {
		waitpid(info.si_pid, NULL, __WALL);
		info.si_pid = 0;
	}
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	_cleanup_fclose_ FILE *file = fopen(path, "r");
	if (!file || !fgets(text, sizeof(text), file))
		return false;
	strtol(text, &end, 10);
	return end[strspn(end, " ")] != '\0';
}

// What a fork has to copy page tables for: more than the heap's live bytes.
static unsigned long resident_mebibytes(pid_t pid)
{
	unsigned long pages = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	_cleanup_fclose_ FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		return 0;
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) >> 20;
}

// How long a process that has so many pages takes to fork: written in another order than they lie, as those of a program
// that has run for a while, and written again before each fork.
static bool measure_forks(unsigned long mebibytes, uint64_t *durations, size_t count)
{
	size_t pages = mebibytes << 20 >> 12;
	char *memory =
		mmap(NULL, pages << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	bool fine = !madvise(memory, pages << 12, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < count && fine; i++) {
		for (size_t page = 0; page < pages; page++)
			memory[page * 7919 % pages << 12] = 1;
		uint64_t start = clock_ns();
		pid_t pid = fork();
		durations[i] = clock_ns() - start;
		if (pid == 0)
			_exit(0);
		fine = pid > 0 && waitpid(pid, NULL, 0) == pid;
	}
	munmap(memory, pages << 12);
	return fine;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void print_distribution(const char *what, uint64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	printf("  %-28s p50 %7.2f ms   p95 %7.2f ms   max %7.2f ms\n", what,
		(double)values[count / 2] / 1e6, (double)values[count * 95 / 100] / 1e6,
		(double)values[count - 1] / 1e6);
}

int main(int argc, char **argv)
{
	struct capture_options options = {CAPTURE_FORK};
	struct program program;
	char line[512];

	if (argc < 4) {
		fprintf(stderr, "usage: heartbeat PROGRAM MEGABYTES ROUNDS [fork|stop [calm]]\n");
		return 2;
	}
	if (argc > 4 && !strcmp(argv[4], "stop"))
		options.method = CAPTURE_STOP;
	size_t rounds = strtoul(argv[3], NULL, 10);
	_cleanup_free_ uint64_t *gaps = calloc(4 * rounds, sizeof(*gaps));
	uint64_t *pauses = gaps + rounds, *idle = pauses + rounds, *forks = idle + rounds;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!program_start(&program, argv[1], argv[2], argc > 5 ? argv[5] : NULL) ||
		!program_ask(&program, "", line, sizeof(line)) || strcmp(line, "ready")) {
		fprintf(stderr, "%s does not start\n", argv[1]);
		return 1;
	}
	for (size_t i = 0; i < rounds; i++) {
		struct target *target;

		// What the machine itself does to the program, in about the same time.
		program_ask(&program, "reset", line, sizeof(line));
		usleep(30000);
		idle[i] = program_gap(&program);

		program_ask(&program, "reset", line, sizeof(line));
		struct error *err = process_capture(program.pid, &options, &target);
		if (err) {
			fprintf(stderr, "round %zu: %s\n", i, error_message(err));
			return 1;
		}
		usleep(5000); // for the beat to be seen
		gaps[i] = program_gap(&program);
		pauses[i] = target->capture.pause_ns;
		usleep(20000);
		target_destroy(target);
	}
	usleep(100000);
	bool alive = program_ask(&program, "errors", line, sizeof(line));
	bool strays = has_strays(&program);
	unsigned long resident = resident_mebibytes(program.pid);
	kill(program.pid, SIGKILL);
	waitpid(program.pid, NULL, 0);

	printf("%s MB live, %lu MiB resident, %zu captures by %s: errors, requests: %s%s\n",
		argv[2], resident, rounds, options.method == CAPTURE_FORK ? "fork" : "stop",
		alive ? line : "it died", strays ? "; stray processes" : "");
	print_distribution("gap without a capture", idle, rounds);
	print_distribution("gap with a capture", gaps, rounds);
	print_distribution("pause as we measured it", pauses, rounds);
	rounds = rounds < FORKS_MAX ? rounds : FORKS_MAX;
	if (measure_forks(resident, forks, rounds))
		print_distribution("a plain fork of as much", forks, rounds);
	return !alive || strays || strncmp(line, "0 ", 2);
}
