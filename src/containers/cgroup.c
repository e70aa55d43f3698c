// Files of the kernel's: /proc/self/cgroup says which group, /proc/self/mountinfo where it is to be seen, and in its
// directory are its figures. See heapwhy/cgroup.h and cgroups(7).
#include "heapwhy/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 8192, STAT_BYTES = 16384 };

const char *hw_cgroup_words(enum hw_cgroup_status status)
{
	static const char *const words[] = {
		[HW_CGROUP_FOUND] = "found",
		[HW_CGROUP_NONE] = "there are no control groups",
		[HW_CGROUP_VERSION_1] = "memory is counted by control groups of version 1",
		[HW_CGROUP_HIDDEN] = "the control group cannot be seen from here",
		[HW_CGROUP_NO_MEMORY] = "the control group does not count memory",
		[HW_CGROUP_UNREADABLE] = "the control group cannot be read",
	};

	return (unsigned)status < sizeof(words) / sizeof(words[0]) ? words[status] : "unknown";
}

// `length` as snprintf returned it. False, with errno, when the path is too long.
static bool path_fits(int length)
{
	if (length >= 0 && length < HW_CGROUP_PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

#define PATH_PRINT(path, ...) path_fits(snprintf((path), HW_CGROUP_PATH_MAX, __VA_ARGS__))

// The file's first bytes as a string. Returns 0 or an error number.
static int file_read(const char *directory, const char *name, char *text, size_t size)
{
	char path[HW_CGROUP_PATH_MAX];
	size_t length = 0;
	ssize_t got;

	if (!PATH_PRINT(path, "%s/%s", directory, name))
		return errno;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) != 0) {
		if (got < 0 && errno != EINTR) {
			int error = errno;
			close(fd);
			return error;
		}
		length += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	text[length] = '\0';
	return 0;
}

// Digits and nothing else up to the end of the line.
static bool number_parse(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	uint64_t number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || errno || (*end && *end != '\n'))
		return false;
	*out = number;
	return true;
}

// Finding.

// Calls `visit` for each line of a file until it returns true; longer lines are passed over. False with errno when the
// file cannot be opened.
static bool lines_visit(
	const char *root, const char *name, bool (*visit)(char *line, void *context), void *context)
{
	char path[HW_CGROUP_PATH_MAX], line[LINE_BYTES];
	FILE *file = PATH_PRINT(path, "%s%s", root, name) ? fopen(path, "re") : NULL;
	bool whole = true, stop = false;

	if (!file)
		return false;
	while (!stop && fgets(line, sizeof(line), file)) {
		char *end = strchr(line, '\n');
		if (whole && end) {
			*end = '\0';
			stop = visit(line, context);
		}
		whole = end != NULL;
	}
	fclose(file);
	return true;
}

static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, word, length) && (!list[length] || list[length] == ','))
			return true;
	}
	return false;
}

struct finding {
	bool version_1;
	char path[HW_CGROUP_PATH_MAX];  // of the group in the hierarchy; "" when there is none
	char point[HW_CGROUP_PATH_MAX]; // where the hierarchy is mounted; "" when it is not
	char top[HW_CGROUP_PATH_MAX];   // which group is to be seen there
};

// "4:memory:/a/b" in version 1, "0::/a/b" in version 2.
static bool membership_visit(char *line, void *context)
{
	struct finding *finding = context;
	char *controllers = strchr(line, ':');
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return false;
	*controllers++ = '\0';
	*path++ = '\0';
	if (list_has(controllers, "memory"))
		finding->version_1 = true;
	else if (!*controllers && !strcmp(line, "0"))
		PATH_PRINT(finding->path, "%s", path); // a longer one is cut, and not found
	return finding->version_1;
}

// The kernel writes blanks and the like in names as \040.
static void octal_decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		bool escaped = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' &&
			       from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
		*to = escaped ? (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0')
			      : *from;
		from += escaped ? 4 : 1;
	}
	*to = '\0';
}

// "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw": the fourth field is the group that is seen at the fifth.
static bool mount_visit(char *line, void *context)
{
	struct finding *finding = context;
	const char *rest = strstr(line, " - ");
	char *state, *fields[5];

	if (!rest || strncmp(rest, " - cgroup2 ", strlen(" - cgroup2 ")) != 0)
		return false;
	for (int i = 0; i < 5; i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &state);
		if (!fields[i])
			return false;
	}
	octal_decode(fields[3]);
	octal_decode(fields[4]);
	return PATH_PRINT(finding->top, "%s", fields[3]) &&
	       PATH_PRINT(finding->point, "%s", fields[4]);
}

// The group's path as seen from the mount point; NULL when it lies outside.
static const char *path_below(const char *path, const char *top)
{
	size_t length = strcmp(top, "/") ? strlen(top) : 0;

	if (!strncmp(path, "/..", 3) || strncmp(path, top, length) != 0 ||
		(path[length] && path[length] != '/'))
		return NULL;
	return strcmp(path + length, "/") ? path + length : "";
}

enum hw_cgroup_status hw_cgroup_open(struct hw_cgroup *group, const char *directory)
{
	struct hw_cgroup opened;
	uint64_t bytes;

	if (!PATH_PRINT(opened.directory, "%s", directory))
		return HW_CGROUP_UNREADABLE;
	int error = hw_cgroup_read(&opened, HW_CGROUP_CURRENT, &bytes);
	if (error == ENOENT)
		return HW_CGROUP_NO_MEMORY;
	errno = error;
	if (error)
		return HW_CGROUP_UNREADABLE;
	*group = opened;
	return HW_CGROUP_FOUND;
}

enum hw_cgroup_status hw_cgroup_find(struct hw_cgroup *group, const char *root)
{
	struct finding finding = {0};
	char directory[HW_CGROUP_PATH_MAX];

	if (!root)
		root = "";
	if (!lines_visit(root, "/proc/self/cgroup", membership_visit, &finding))
		return errno == ENOENT ? HW_CGROUP_NONE : HW_CGROUP_UNREADABLE;
	if (finding.version_1)
		return HW_CGROUP_VERSION_1;
	if (!lines_visit(root, "/proc/self/mountinfo", mount_visit, &finding))
		return HW_CGROUP_UNREADABLE;
	if (!*finding.path || !*finding.point)
		return HW_CGROUP_NONE;
	const char *below = path_below(finding.path, finding.top);
	if (!below)
		return HW_CGROUP_HIDDEN;
	if (!PATH_PRINT(directory, "%s%s%s", root, finding.point, below))
		return HW_CGROUP_UNREADABLE;
	return hw_cgroup_open(group, directory);
}

// Figures.

static const char *const value_files[] = {
	[HW_CGROUP_CURRENT] = "memory.current",
	[HW_CGROUP_MIN] = "memory.min",
	[HW_CGROUP_LOW] = "memory.low",
	[HW_CGROUP_HIGH] = "memory.high",
	[HW_CGROUP_MAX] = "memory.max",
};

static int value_read(const char *directory, enum hw_cgroup_value value, uint64_t *bytes)
{
	char text[64];
	int error = file_read(directory, value_files[value], text, sizeof(text));

	if (error)
		return error;
	if (!strcmp(text, "max\n"))
		*bytes = UINT64_MAX;
	else if (!number_parse(text, bytes))
		return EBADMSG;
	return 0;
}

int hw_cgroup_read(const struct hw_cgroup *group, enum hw_cgroup_value value, uint64_t *bytes)
{
	return value_read(group->directory, value, bytes);
}

int hw_cgroup_write(const struct hw_cgroup *group, enum hw_cgroup_value value, uint64_t bytes)
{
	char path[HW_CGROUP_PATH_MAX], text[32] = "max\n";

	if (value == HW_CGROUP_CURRENT)
		return EINVAL;
	if (!PATH_PRINT(path, "%s/%s", group->directory, value_files[value]))
		return errno;
	if (bytes != UINT64_MAX)
		snprintf(text, sizeof(text), "%llu\n", (unsigned long long)bytes);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return errno;
	// The kernel takes it as a whole or not at all.
	int error = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return error;
}

// Bytes of page cache, which the kernel drops before it slows anybody down or kills. 0 where it does not tell.
static uint64_t page_cache(const char *directory)
{
	static const char *const names[] = {"inactive_file ", "active_file "};
	char text[STAT_BYTES], *state;
	uint64_t sum = 0, bytes;

	if (file_read(directory, "memory.stat", text, sizeof(text)))
		return 0;
	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strncmp(line, names[i], strlen(names[i])) &&
				number_parse(line + strlen(names[i]), &bytes))
				sum += bytes;
	return sum;
}

static int level_room(const char *directory, enum hw_cgroup_value limit, uint64_t *room)
{
	uint64_t current, most;
	int error = value_read(directory, HW_CGROUP_CURRENT, &current);

	if (!error)
		error = value_read(directory, limit, &most);
	if (error)
		return error;
	uint64_t cache = page_cache(directory);
	current -= cache < current ? cache : current;
	if (most == UINT64_MAX)
		*room = UINT64_MAX;
	else
		*room = most > current ? most - current : 0;
	return 0;
}

// The directory above the topmost group has no such files: there it ends.
int hw_cgroup_room(const struct hw_cgroup *group, enum hw_cgroup_value limit, uint64_t *bytes)
{
	struct hw_cgroup level = *group;
	uint64_t least, room;
	int error = level_room(level.directory, limit, &least);

	if (error)
		return error;
	for (char *slash; (slash = strrchr(level.directory, '/'));) {
		*slash = '\0';
		error = level_room(level.directory, limit, &room);
		if (error == ENOENT)
			break;
		if (error)
			return error;
		if (room < least)
			least = room;
	}
	*bytes = least;
	return 0;
}

static uint64_t limit_of(uint64_t used, uint64_t room, uint64_t margin)
{
	if (room == UINT64_MAX)
		return UINT64_MAX;
	return used + (room > margin ? room - margin : 0);
}

int hw_cgroup_limit(const struct hw_cgroup *group, struct hw_budget *budget, uint64_t margin)
{
	uint64_t soft, hard, used = hw_budget_used(budget);
	int error = hw_cgroup_room(group, HW_CGROUP_HIGH, &soft);

	if (!error)
		error = hw_cgroup_room(group, HW_CGROUP_MAX, &hard);
	if (!error)
		hw_budget_set_limits(
			budget, limit_of(used, soft, margin), limit_of(used, hard, margin));
	return error;
}
