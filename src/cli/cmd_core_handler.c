// heapwhy core-handler: what the kernel runs when a program dumps core.
//
//	echo '|/usr/bin/heapwhy core-handler --pid=%P' > /proc/sys/kernel/core_pattern
//
// The kernel's core comes by standard input. What stays is a small core and the report, in a directory
// that never holds more than it may. Until the core has been read, the dead process is still there: its
// program can be opened even if it lies in a container.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "goruntime/dump.h"
#include "graph/analysis.h"
#include "heapwhy/vector.h"
#include "output/report_text.h"
#include "target/core.h"

enum {
	KEEP_DEFAULT = 10,
	KEEP_MAX = 10000,
	SECONDS_DEFAULT = 300,
	SECONDS_MAX = 86400,
	GRACE_SECONDS = 10, // between the polite end and the other one
	REPORT_WIDTH = 100,
	REPORT_ROWS = 20,
	NAME_BYTES = 64,
};

#define SUFFIX ".core.zst"

struct handler_arguments {
	const char *directory;
	unsigned pid, keep, seconds;
	uint64_t bytes;
	bool redacted;
};

enum { KEY_PID = 0x100, KEY_KEEP, KEY_BYTES, KEY_SECONDS, KEY_REDACT };

static const struct argp_option option_list[] = {
	{"directory", 'd', "DIR", 0, "Where cores and reports go (/var/lib/heapwhy)", 0},
	{"pid", KEY_PID, "N", 0, "The process that died: %P in core_pattern", 0},
	{"keep", KEY_KEEP, "N", 0, "Keep the last N cores (10)", 0},
	{"max-bytes", KEY_BYTES, "BYTES", 0,
		"Keep no more than BYTES, and read no larger core (4G)", 0},
	{"timeout", KEY_SECONDS, "SECONDS", 0, "Give up after SECONDS (300)", 0},
	{"redact", KEY_REDACT, NULL, 0,
		"Zero strings, byte buffers and other objects without pointers", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct handler_arguments *arguments = state->input;

	switch (key) {
	case 'd':
		arguments->directory = argument;
		return 0;
	case KEY_PID:
		return command_number(state, "--pid", argument, INT32_MAX, &arguments->pid);
	case KEY_KEEP:
		return command_number(state, "--keep", argument, KEEP_MAX, &arguments->keep);
	case KEY_SECONDS:
		return command_number(
			state, "--timeout", argument, SECONDS_MAX, &arguments->seconds);
	case KEY_BYTES:
		if (!parse_bytes(argument, &arguments->bytes) && arguments->bytes)
			return 0;
		return command_mistake(state,
			error_create(ERROR_USAGE, "--max-bytes takes a size such as 64M or 10G"));
	case KEY_REDACT:
		arguments->redacted = true;
		return 0;
	case ARGP_KEY_ARG:
		return command_mistake(state, error_create(ERROR_USAGE,
						      "the core comes by standard input: %s is not "
						      "wanted",
						      argument));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_list,
	.parser = parse,
	.doc = "Keep a small core and a report of a Go program that died. For "
	       "/proc/sys/kernel/core_pattern: the core comes by standard input.",
};

// What is kept.

struct kept {
	char *path;
	uint64_t bytes;
	time_t when;
};

struct kept_list {
	struct kept *items;
	size_t count, capacity;
};

static int kept_compare(const void *a, const void *b)
{
	const struct kept *left = a, *right = b;

	return (left->when > right->when) - (left->when < right->when);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t length = strlen(name), wanted = strlen(suffix);

	return length > wanted && !strcmp(name + length - wanted, suffix);
}

// The cores in the directory, oldest first. What cannot be looked at does not count.
static void kept_read(const char *directory, struct kept_list *out)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		struct kept kept = {0};
		struct stat status;

		if (!has_suffix(entry->d_name, SUFFIX) ||
			asprintf(&kept.path, "%s/%s", directory, entry->d_name) < 0)
			continue;
		kept.bytes = !lstat(kept.path, &status) ? (uint64_t)status.st_size : 0;
		kept.when = kept.bytes ? status.st_mtime : 0;
		if (!hw_vector_push(out, kept))
			free(kept.path);
	}
	if (entries)
		closedir(entries);
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), kept_compare);
}

static char *report_path(const char *core)
{
	char *path;
	int length = (int)(strlen(core) - strlen(SUFFIX));

	return asprintf(&path, "%.*s.txt", length, core) < 0 ? NULL : path;
}

// Makes room: removes the oldest cores until the newest ones are within both limits.
static void kept_limit(const struct handler_arguments *arguments)
{
	struct kept_list list = HW_VECTOR_INIT;
	uint64_t bytes = 0;

	kept_read(arguments->directory, &list);
	for (size_t i = list.count; i-- > 0;) {
		bytes += list.items[i].bytes;
		if (list.count - i <= arguments->keep && bytes <= arguments->bytes)
			continue;
		_cleanup_free_ char *report = report_path(list.items[i].path);
		unlink(list.items[i].path);
		if (report)
			unlink(report);
	}
	for (size_t i = 0; i < list.count; i++)
		free(list.items[i].path);
	hw_vector_deinit(&list);
}

static void time_limit(unsigned seconds)
{
	// The second signal finds the default action.
	struct sigaction action = {.sa_handler = cancel_request, .sa_flags = SA_RESETHAND};
	struct itimerval timer = {
		.it_value = {.tv_sec = seconds}, .it_interval = {GRACE_SECONDS, 0}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

// The work.

// "PROGRAM-PID-TIME", of characters that are harmless in the name of a file.
static char *core_path(const struct handler_arguments *arguments, const struct target *target)
{
	const char *slash = strrchr(target->exe_path, '/');
	char name[NAME_BYTES], when[32] = "";
	time_t now = time(NULL);
	struct tm broken;
	char *path;

	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : target->exe_path);
	for (char *at = name; *at; at++) {
		bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
			     (*at >= '0' && *at <= '9') || *at == '_' || *at == '-';
		if (!plain)
			*at = '_';
	}
	gmtime_r(&now, &broken);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &broken);
	unsigned pid = arguments->pid ? arguments->pid : (unsigned)target->pid;
	if (asprintf(&path, "%s/%s-%u-%s%s", arguments->directory, *name ? name : "unknown", pid,
		    when, SUFFIX) < 0)
		return NULL;
	return path;
}

static struct error *write_core(
	const struct handler_arguments *arguments, const char *exe, char **out)
{
	// The program may go with its container.
	struct dump_options options = {
		.compressed = true, .redacted = arguments->redacted, .program = true};
	struct core_options core = {.exe = exe, .unpacked_max = arguments->bytes};
	struct target *target;
	struct output output = {.fd = -1};
	int fd = dup(STDIN_FILENO);

	if (fd < 0)
		return error_errno(ERROR_INTERNAL, "cannot read standard input");
	struct error *err = core_open_fd(fd, "the core", &core, &target);
	if (err)
		return err;
	_cleanup_free_ char *path = core_path(arguments, target);
	err = path ? output_begin(path, &output) : error_no_memory();
	if (!err)
		err = output_end(&output, dump_write(target, &options, output.fd));
	target_destroy(target);
	if (!err)
		*out = take_pointer(path);
	return err;
}

static struct error *write_report(const char *core, const char *exe)
{
	struct analysis_options options = {.exe = exe};
	struct report_options report_options = {.paths = REPORT_ROWS};
	struct style style = {.width = REPORT_WIDTH, .top = REPORT_ROWS};
	_cleanup_free_ char *path = report_path(core);
	_cleanup_text_ struct text text = TEXT_INIT;
	struct analysis *analysis;
	struct report *report;

	if (!path)
		return error_no_memory();
	struct error *err = analysis_open(core, &options, &analysis);
	if (err)
		return err;
	err = report_build(analysis, &report_options, &report);
	analysis_close(analysis);
	if (err)
		return err;
	err = report_text(report, &style, &text);
	report_destroy(report);
	return err ? err : output_file(path, &text);
}

// The program, opened before anything is read: where the kernel does not wait for its handlers
// (kernel.core_pipe_limit), /proc/PID is gone as soon as the core has been read. -1: not there.
static int exe_open(unsigned pid)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	return pid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

static struct error *handle(const struct handler_arguments *arguments, char **core)
{
	_cleanup_close_ int exe_fd = exe_open(arguments->pid);
	char link[48];
	const char *exe = exe_fd >= 0 ? link : NULL;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", exe_fd);
	if (mkdir(arguments->directory, 0700) && errno != EEXIST)
		return error_errno(ERROR_INTERNAL, "cannot make %s", arguments->directory);
	// What is unpacked goes where the cores go, if nothing else is said.
	setenv("TMPDIR", arguments->directory, 0);
	struct error *err = write_core(arguments, exe, core);
	if (!err)
		kept_limit(arguments);
	return err ? err : write_report(*core, exe);
}

// Nobody sees what a handler writes to standard error: it goes to the system's log as well.
static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct handler_arguments arguments = {
		.directory = "/var/lib/heapwhy",
		.keep = KEEP_DEFAULT,
		.seconds = SECONDS_DEFAULT,
		.bytes = 4 * GIB,
	};
	_cleanup_free_ char *core = NULL;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (err)
		return err;
	time_limit(arguments.seconds);
	err = handle(&arguments, &core);
	openlog("heapwhy", LOG_PID, LOG_DAEMON);
	if (core)
		syslog(LOG_NOTICE, "process %u died: %s", arguments.pid, core);
	if (err)
		syslog(LOG_ERR, "process %u died: %s", arguments.pid, error_message(err));
	closelog();
	return err;
}

const struct command command_core_handler = {
	.name = "core-handler",
	.summary = "keep a small core and a report of what dies (for core_pattern)",
	.argp = &argp,
	.run = run,
};
