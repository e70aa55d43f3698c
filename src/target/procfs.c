// Parsing /proc without allocating. See procfs.h.
#include "target/procfs.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

ssize_t file_read_text(const char *path, char *buffer, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return -1;
	while (length + 1 < size) {
		ssize_t part = read(fd, buffer + length, size - 1 - length);

		if (part < 0)
			return -1;
		if (part == 0)
			break;
		length += (size_t)part;
	}
	buffer[length] = '\0';
	return (ssize_t)length;
}

ssize_t procfs_read(pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return file_read_text(path, buffer, size);
}

// The text after "NAME:" and its blanks, or "".
static const char *status_field(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (!strncmp(line, name, length) && line[length] == ':') {
			line += length + 1;
			return line + strspn(line, "\t ");
		}
	}
	return "";
}

static uint64_t status_number(const char *text, const char *name)
{
	return strtoull(status_field(text, name), NULL, 10);
}

bool procfs_status(pid_t pid, pid_t tid, struct process_status *out)
{
	char text[8192], name[48];

	snprintf(name, sizeof(name), "task/%d/status", tid);
	if (procfs_read(pid, name, text, sizeof(text)) < 0)
		return false;
	struct process_status status = {
		.state = *status_field(text, "State"),
		.tgid = (pid_t)status_number(text, "Tgid"),
		.ppid = (pid_t)status_number(text, "PPid"),
		.tracer = (pid_t)status_number(text, "TracerPid"),
		.seccomp = (int)status_number(text, "Seccomp"),
		// Kernel threads have no memory (the field "Kthread" is newer than Linux 6.8).
		.kernel_thread = !*status_field(text, "VmSize"),
		.anonymous_bytes =
			(status_number(text, "RssAnon") + status_number(text, "VmSwap")) * 1024,
	};
	// "NSpid:\t1234\t1": from our namespace inwards.
	for (const char *at = status_field(text, "NSpid"); *at >= '0' && *at <= '9';) {
		char *end;

		status.namespace_pid = (pid_t)strtol(at, &end, 10);
		at = end + (*end == '\t');
	}
	*out = status;
	return true;
}

static bool scan_hex(const char **cursor, const char *end, char stop, uint64_t *out)
{
	uint64_t value = 0;
	const char *at = *cursor;

	for (; at < end && *at != stop; at++) {
		unsigned digit;

		if (*at >= '0' && *at <= '9')
			digit = (unsigned)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			digit = (unsigned)(*at - 'a') + 10;
		else
			return false;
		value = value << 4 | digit;
	}
	if (at == end)
		return false;
	*cursor = at + 1;
	*out = value;
	return true;
}

bool maps_next(const char **cursor, const char *end, struct maps_line *out)
{
	const char *at = *cursor;
	const char *line_end = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	struct maps_line line = {0};
	uint64_t major, minor;

	if (!line_end)
		return false;
	if (!scan_hex(&at, line_end, '-', &line.region.start) ||
		!scan_hex(&at, line_end, ' ', &line.region.end) || line_end - at < 5)
		return false;
	line.region.readable = at[0] == 'r';
	line.region.writable = at[1] == 'w';
	line.region.executable = at[2] == 'x';
	line.region.shared = at[3] == 's';
	at += 5;
	if (!scan_hex(&at, line_end, ' ', &line.region.file_offset) ||
		!scan_hex(&at, line_end, ':', &major) || !scan_hex(&at, line_end, ' ', &minor))
		return false;
	line.device_major = (unsigned)major;
	line.device_minor = (unsigned)minor;
	for (; at < line_end && *at >= '0' && *at <= '9'; at++)
		line.inode = line.inode * 10 + (uint64_t)(*at - '0');
	while (at < line_end && *at == ' ')
		at++;
	line.path = at;
	line.path_length = (size_t)(line_end - at);
	line.region.is_file = line.inode != 0;
	*cursor = line_end + 1;
	*out = line;
	return true;
}
