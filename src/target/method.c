// CAPTURE_FORK is the rule. While the copy exists it costs two process ids and, at worst, as much
// memory as the target writes meanwhile: where either is scarce, the target must not be the one who
// runs out of it.
#include "target/method.h"

#include "base/cleanup.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// The share of its anonymous memory that a process is expected to write, at most, while a copy is
// held (seconds).
enum { WRITTEN_SHARE = 4 };

// The target may start threads of its own meanwhile.
enum { SPARE_PIDS = 16 };

static const uint64_t UNLIMITED = UINT64_MAX;

static bool read_number(const char *directory, const char *name, uint64_t *out)
{
	char path[4400], text[64], *end;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (file_read_text(path, text, sizeof(text)) <= 0)
		return false;
	if (!strncmp(text, "max", 3)) {
		*out = UNLIMITED;
		return true;
	}
	*out = strtoull(text, &end, 10);
	return end != text;
}

// Page cache that the kernel gives up before it kills.
static uint64_t reclaimable(const char *directory)
{
	static const char *const names[] = {"inactive_file ", "active_file "};
	_cleanup_free_ char *text = malloc(16384);
	char path[4400];
	uint64_t sum = 0;

	snprintf(path, sizeof(path), "%s/memory.stat", directory);
	if (!text || file_read_text(path, text, 16384) < 0)
		return 0;
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
			if (!strncmp(line, names[i], strlen(names[i])))
				sum += strtoull(line + strlen(names[i]), NULL, 10);
		}
	}
	return sum;
}

// What one group leaves to its members. Version 1 and version 2 of the interface differ in names
// only; a large limit in version 1 means none.
static uint64_t memory_left(const char *directory)
{
	uint64_t limit, used;

	if (!(read_number(directory, "memory.max", &limit) &&
		    read_number(directory, "memory.current", &used)) &&
		!(read_number(directory, "memory.limit_in_bytes", &limit) &&
			read_number(directory, "memory.usage_in_bytes", &used)))
		return UNLIMITED;
	if (limit >= UINT64_C(1) << 62)
		return UNLIMITED;
	return (limit > used ? limit - used : 0) + reclaimable(directory);
}

static uint64_t pids_left(const char *directory)
{
	uint64_t limit, used;

	if (!read_number(directory, "pids.max", &limit) ||
		!read_number(directory, "pids.current", &used) || limit == UNLIMITED)
		return UNLIMITED;
	return limit > used ? limit - used : 0;
}

// Where the hierarchy of a controller is mounted: "" in `controller` is version 2.
static bool mount_point(const char *controller, char *out, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;

	while (file && getline(&line, &capacity, file) > 0) {
		char point[4096], type[64], options[512];
		const char *rest = strstr(line, " - ");

		if (!rest || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 ||
			sscanf(rest, " - %63s %*s %511s", type, options) != 2)
			continue;
		bool found = *controller ? !strcmp(type, "cgroup") : !strcmp(type, "cgroup2");
		if (found && *controller) {
			char *state, *option = strtok_r(options, ",\n", &state);

			while (option && strcmp(option, controller))
				option = strtok_r(NULL, ",\n", &state);
			found = option != NULL;
		}
		if (found) {
			snprintf(out, size, "%s", point);
			return true;
		}
	}
	return false;
}

struct limits {
	uint64_t memory, pids;
};

// The tightest of a group and the groups around it.
static void walk_up(char *directory, size_t root_length, struct limits *limits)
{
	for (;;) {
		uint64_t memory = memory_left(directory), pids = pids_left(directory);
		char *slash = strrchr(directory, '/');

		if (memory < limits->memory)
			limits->memory = memory;
		if (pids < limits->pids)
			limits->pids = pids;
		if (!slash || (size_t)(slash - directory) < root_length)
			return;
		*slash = '\0';
	}
}

static void group_limits(pid_t pid, struct limits *limits)
{
	char text[16384], *state;

	if (procfs_read(pid, "cgroup", text, sizeof(text)) <= 0)
		return;
	// "4:memory:/a/b", and "0::/a/b" for version 2.
	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		char directory[4300];

		if (!path)
			continue;
		*path++ = '\0';
		controllers++;
		if (*controllers && strcmp(controllers, "memory") && strcmp(controllers, "pids"))
			continue;
		// A group outside our own view of the tree: its limits cannot be seen.
		if (!strncmp(path, "/..", 3) || !mount_point(controllers, directory, 4096))
			continue;
		size_t root_length = strlen(directory);
		if (strcmp(path, "/"))
			snprintf(directory + root_length, sizeof(directory) - root_length, "%.200s",
				path);
		walk_up(directory, root_length, limits);
	}
}

static uint64_t system_memory_left(void)
{
	char text[4096];
	const char *line;

	if (file_read_text("/proc/meminfo", text, sizeof(text)) <= 0)
		return UNLIMITED;
	line = strstr(text, "MemAvailable:");
	return line ? strtoull(line + strlen("MemAvailable:"), NULL, 10) * KIB : UNLIMITED;
}

uint64_t method_memory_left(pid_t pid)
{
	struct limits limits = {UNLIMITED, UNLIMITED};
	uint64_t system = system_memory_left();

	group_limits(pid, &limits);
	return limits.memory < system ? limits.memory : system;
}

static bool overcommit_is_strict(void)
{
	uint64_t mode;

	return read_number("/proc/sys/vm", "overcommit_memory", &mode) && mode == 2;
}

enum capture_method method_choose(
	pid_t pid, const struct process_status *status, char *reason, size_t reason_size)
{
	struct limits limits = {UNLIMITED, UNLIMITED};
	uint64_t need = status->anonymous_bytes / WRITTEN_SHARE, system = system_memory_left();
	char left_text[24], need_text[24];

	group_limits(pid, &limits);
	if (overcommit_is_strict()) {
		snprintf(reason, reason_size,
			"a fork could take the memory that vm.overcommit_memory=2 promises to the "
			"process");
	} else if (limits.pids < SPARE_PIDS) {
		snprintf(reason, reason_size,
			"its control group has room for only %" PRIu64 " more processes",
			limits.pids);
	} else if (limits.memory < need || system < need) {
		bool group = limits.memory < system;

		format_bytes(left_text, sizeof(left_text), group ? limits.memory : system);
		format_bytes(need_text, sizeof(need_text), need);
		snprintf(reason, reason_size,
			"%s has only %s to spare, and a fork may need %s for a while",
			group ? "its memory control group" : "the machine", left_text, need_text);
	} else {
		*reason = '\0';
		return CAPTURE_FORK;
	}
	return CAPTURE_STOP;
}
