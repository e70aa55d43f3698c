// Control groups: made-up trees of every kind, and the one that this process is in.
#include "containers_test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heapwhy/cgroup.h"

static char root[64];

static void file_write(const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(!mkdir(path, 0700) || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int tree_make(void **state)
{
	strcpy(root, "/tmp/heapwhy-cgroup-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int tree_remove(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", root);
	return system(command);
}

static void group_write(
	const char *directory, const char *current, const char *high, const char *max)
{
	static const char *const names[] = {"memory.current", "memory.high", "memory.max"};
	const char *const values[] = {current, high, max};
	char name[256];

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		snprintf(name, sizeof(name), "/sys/fs/cgroup%s/%s", directory, names[i]);
		file_write(name, values[i]);
	}
}

#define OTHER_MOUNTS                                     \
	"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n" \
	"23 22 0:21 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
#define MOUNT(top, point) \
	OTHER_MOUNTS "29 23 0:26 " top " " point " rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"

static void process_write(const char *membership, const char *mounts)
{
	file_write("/proc/self/cgroup", membership);
	file_write("/proc/self/mountinfo", mounts);
}

static void group_is_found(void **state)
{
	struct hw_cgroup group;
	char expected[128];

	process_write("3:pids:/else\n0::/a/b\n", MOUNT("/", "/sys/fs/cgroup"));
	group_write("/a/b", "1\n", "max\n", "max\n");
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_FOUND);
	snprintf(expected, sizeof(expected), "%s/sys/fs/cgroup/a/b", root);
	assert_string_equal(group.directory, expected);

	// A container: only what is below its own group is mounted, whatever else is said of the path.
	process_write("0::/docker/c\n", MOUNT("/docker", "/sys/fs/cgroup"));
	group_write("/c", "2\n", "max\n", "max\n");
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_FOUND);
	snprintf(expected, sizeof(expected), "%s/sys/fs/cgroup/c", root);
	assert_string_equal(group.directory, expected);

	process_write("0::/\n", MOUNT("/", "/sys/fs/cgroup/our\\040own"));
	group_write("/our own", "3\n", "max\n", "max\n");
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_FOUND);
}

static void what_is_not_there_is_said(void **state)
{
	static char lines[40000];
	struct hw_cgroup group = {"untouched"};

	assert_int_equal(hw_cgroup_find(&group, "/nowhere"), HW_CGROUP_NONE);
	process_write("4:memory:/a\n0::/a\n", MOUNT("/", "/sys/fs/cgroup"));
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_VERSION_1);
	process_write("4:cpu,memory:/a\n", OTHER_MOUNTS);
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_VERSION_1);
	process_write("4:cpu,memoryless:/a\n", OTHER_MOUNTS);
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_NONE);
	process_write("0::/a\n", OTHER_MOUNTS);
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_NONE);
	process_write("0::/../a\n", MOUNT("/", "/sys/fs/cgroup"));
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_HIDDEN);
	process_write("0::/dockers\n", MOUNT("/docker", "/sys/fs/cgroup"));
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_HIDDEN);
	process_write("0::/\n", MOUNT("/", "/sys/fs/cgroup"));
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_NO_MEMORY);
	group_write("/mad", "many\n", "max\n", "max\n");
	process_write("0::/mad\n", MOUNT("/", "/sys/fs/cgroup"));
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_UNREADABLE);
	assert_int_equal(errno, EBADMSG);

	// Lines beyond all measure are passed over, also where their end looks like what is sought.
	memset(lines, 'x', sizeof(lines) - 1);
	strcpy(lines + sizeof(lines) - 100, "\n0::");
	process_write(lines, MOUNT("/", "/sys/fs/cgroup"));
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_NONE);
	memset(lines, '/', sizeof(lines) - 1);
	memcpy(lines, "0::", 3);
	process_write(lines, MOUNT("/", "/sys/fs/cgroup"));
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_NONE);
	memset(lines, '/', sizeof(lines) - 1);
	assert_int_equal(hw_cgroup_open(&group, lines), HW_CGROUP_UNREADABLE);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_string_equal(group.directory, "untouched");
	for (int status = 0; status <= HW_CGROUP_UNREADABLE; status++)
		assert_string_not_equal(hw_cgroup_words(status), "unknown");
}

static void figures_are_read_and_written(void **state)
{
	static const char *const bad[] = {
		"", "\n", "-1\n", "12x\n", "18446744073709551616\n", "maximum\n", "1 2\n"};
	struct hw_cgroup group;
	uint64_t bytes = 7;

	process_write("0::/f\n", MOUNT("/", "/sys/fs/cgroup"));
	group_write("/f", "123456\n", "max\n", "18446744073709551614\n");
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_FOUND);
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_MIN, &bytes), ENOENT);
	assert_int_equal(bytes, 7);
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_CURRENT, &bytes), 0);
	assert_int_equal(bytes, 123456);
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_HIGH, &bytes), 0);
	assert_true(bytes == UINT64_MAX);
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_MAX, &bytes), 0);
	assert_true(bytes == UINT64_MAX - 1);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		file_write("/sys/fs/cgroup/f/memory.low", bad[i]);
		assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_LOW, &bytes), EBADMSG);
	}

	assert_int_equal(hw_cgroup_write(&group, HW_CGROUP_LOW, UINT64_MAX), 0);
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_LOW, &bytes), 0);
	assert_true(bytes == UINT64_MAX);
	assert_int_equal(hw_cgroup_write(&group, HW_CGROUP_LOW, 12345), 0);
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_LOW, &bytes), 0);
	assert_int_equal(bytes, 12345);
	assert_int_equal(hw_cgroup_write(&group, HW_CGROUP_CURRENT, 1), EINVAL);
	assert_int_equal(hw_cgroup_write(&group, HW_CGROUP_MIN, 1), ENOENT);
}

static void drop(struct hw_budget *budget, void *context)
{
	++*(int *)context;
}

static void budget_follows_the_tightest_level(void **state)
{
	struct hw_cgroup group;
	struct hw_budget budget;
	uint64_t room;
	int calls = 0;

	process_write("0::/up/down\n", MOUNT("/", "/sys/fs/cgroup"));
	group_write("/up", "9000\n", "max\n", "16000\n");
	group_write("/up/down", "8000\n", "10000\n", "15500\n");
	file_write("/sys/fs/cgroup/up/down/memory.stat",
		"anon 7000\nfile 1000\ninactive_file 400\nactive_file 600\nactive_file_x 5\n");
	assert_int_equal(hw_cgroup_find(&group, root), HW_CGROUP_FOUND);
	assert_int_equal(hw_cgroup_room(&group, HW_CGROUP_MAX, &room), 0);
	assert_int_equal(room, 7000); // what the group above has left
	assert_int_equal(hw_cgroup_room(&group, HW_CGROUP_HIGH, &room), 0);
	assert_int_equal(room, 3000);

	hw_budget_init(&budget, NULL, 0);
	hw_budget_set_soft(&budget, 0, drop, &calls);
	assert_true(hw_budget_charge(&budget, 500));
	assert_int_equal(hw_cgroup_limit(&group, &budget, 1000), 0);
	assert_int_equal(budget.soft_bytes, 500 + 3000 - 1000);
	assert_int_equal(budget.hard_bytes, 500 + 7000 - 1000);
	assert_false(hw_budget_charge(&budget, 6001));
	assert_int_equal(calls, 0);
	assert_true(hw_budget_charge(&budget, 6000));
	assert_int_equal(calls, 1);

	// Others have taken the rest: nothing more is given, and the owner hears of it.
	hw_budget_refund(&budget, 6000);
	group_write("/up", "16001\n", "max\n", "16000\n");
	group_write("/up/down", "12000\n", "10000\n", "15500\n");
	assert_int_equal(hw_cgroup_limit(&group, &budget, 0), 0);
	assert_int_equal(calls, 1); // exactly at the limit is not beyond it
	assert_int_equal(budget.hard_bytes, 500);
	assert_false(hw_budget_charge(&budget, 1));
	hw_budget_set_limits(&budget, 499, UINT64_MAX);
	assert_int_equal(calls, 2);
	hw_budget_set_limits(&budget, 498, UINT64_MAX); // crossed already
	assert_int_equal(calls, 2);
	assert_true(hw_budget_charge(&budget, 1));
	assert_int_equal(calls, 2);

	// No limits at all, and files that are gone.
	group_write("/up", "9000\n", "max\n", "max\n");
	group_write("/up/down", "8000\n", "max\n", "max\n");
	assert_int_equal(hw_cgroup_limit(&group, &budget, 1000), 0);
	assert_true(budget.soft_bytes == UINT64_MAX && budget.hard_bytes == UINT64_MAX);
	file_write("/sys/fs/cgroup/up/memory.max", "much\n");
	assert_int_equal(hw_cgroup_limit(&group, &budget, 1000), EBADMSG);
	assert_true(budget.hard_bytes == UINT64_MAX);
	strcat(group.directory, "/gone");
	assert_int_equal(hw_cgroup_room(&group, HW_CGROUP_MAX, &room), ENOENT);
	hw_budget_deinit(&budget);
}

// Where this process is in a group of version 2, its figures are believable; elsewhere it is said why not.
static void this_system(void **state)
{
	struct hw_cgroup group;
	enum hw_cgroup_status status = hw_cgroup_find(&group, NULL);
	uint64_t bytes, room;

	print_message("here: %s\n", hw_cgroup_words(status));
	if (status != HW_CGROUP_FOUND)
		skip();
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_CURRENT, &bytes), 0);
	assert_true(bytes > 0 && bytes < UINT64_C(1) << 50);
	assert_int_equal(hw_cgroup_read(&group, HW_CGROUP_MAX, &bytes), 0);
	assert_int_equal(hw_cgroup_room(&group, HW_CGROUP_MAX, &room), 0);
	assert_true(room <= bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(group_is_found, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_said, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(
			figures_are_read_and_written, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(
			budget_follows_the_tightest_level, tree_make, tree_remove),
		cmocka_unit_test(this_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
