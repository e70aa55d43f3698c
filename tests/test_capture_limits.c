// Capturing processes that are confined: by seccomp, control groups, being init, threads that do not
// stop.
#include "test.h"

#include "target/process.h"
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"

static struct target *capture(pid_t pid, enum capture_method method)
{
	struct target *target;

	assert_success(process_capture(pid, &(struct capture_options){method}, &target));
	return target;
}

static void drop_capability(int which)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	syscall(SYS_capget, &header, data);
	data[which / 32].effective &= ~(1u << which % 32);
	data[which / 32].permitted &= ~(1u << which % 32);
	data[which / 32].inheritable &= ~(1u << which % 32);
	syscall(SYS_capset, &header, data);
}

// A filter that kills on clone() is suspended where that is permitted. Where it is not, the process
// is stopped and copied.
static void seccomp_does_not_kill(void **unused)
{
	struct victim_options options = {.seccomp = true, .memory_bytes = 1 << 20};
	struct victim victim;
	int status;

	if (geteuid())
		skip();
	victim_start(&victim, &options);
	struct target *target = capture(victim.pid, CAPTURE_AUTO);
	assert_int_equal(target->capture.method, CAPTURE_FORK);
	assert_string_equal(target->capture.reason, "");
	target_destroy(target);
	victim_check(&victim, &options);

	pid_t child = fork();
	if (child == 0) {
		drop_capability(CAP_SYS_ADMIN);
		struct error *err = process_capture(
			victim.pid, &(struct capture_options){CAPTURE_AUTO}, &target);
		if (err)
			_exit(1);
		bool fine = target->capture.method == CAPTURE_STOP &&
			    strstr(target->capture.reason, "seccomp");
		target_destroy(target);
		_exit(fine ? 0 : 2);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	victim_check(&victim, &options);
	victim_stop(&victim);
}

// Init of a container and a subreaper adopt the copy; it must not stay with them as a zombie.
static void adopted_copies_are_reaped(void **unused)
{
	if (geteuid())
		skip();
	for (int init = 0; init < 2; init++) {
		struct victim_options options = {
			.init = init, .reaper = !init, .memory_bytes = 1 << 20};
		struct victim victim;

		victim_start(&victim, &options);
		for (int i = 0; i < 10; i++) {
			target_destroy(capture(victim.pid, CAPTURE_FORK));
			victim_check(&victim, &options);
		}
		victim_stop(&victim);
	}
}

static void unstoppable_thread_is_captured_asleep(void **unused)
{
	struct victim_options options = {.vfork = true, .memory_bytes = 1 << 20};
	static const enum capture_method methods[] = {CAPTURE_FORK, CAPTURE_STOP};
	struct victim victim;

	victim_start(&victim, &options);
	for (size_t m = 0; m < ARRAY_COUNT(methods); m++) {
		struct target *target = capture(victim.pid, methods[m]);
		uint64_t before = victim.state->beats[BEAT_VFORK];

		assert_true(target->thread_count >= 15);
		// It goes on while the copy is still held.
		for (int i = 0; i < 5000 && victim.state->beats[BEAT_VFORK] < before + 2; i++)
			usleep(1000);
		assert_true(victim.state->beats[BEAT_VFORK] >= before + 2);
		target_destroy(target);
		victim_check(&victim, &options);
	}
	victim_stop(&victim);
}

static bool write_file(const char *directory, const char *name, uint64_t value)
{
	char path[300], text[32];
	int length = snprintf(text, sizeof(text), "%lu", value);

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	int fd = open(path, O_WRONLY);
	bool written = fd >= 0 && write(fd, text, (size_t)length) == length;
	if (fd >= 0)
		close(fd);
	return written;
}

static uint64_t read_file(const char *directory, const char *name)
{
	char path[300];
	uint64_t value = 0;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	_cleanup_fclose_ FILE *file = fopen(path, "r");
	if (file && fscanf(file, "%lu", &value) != 1)
		value = 0;
	return value;
}

// A control group for the victim, or "" where none can be made. Version 1 only: there a group can be
// made anywhere.
static const char *make_group(const char *controller)
{
	static char directory[200];

	snprintf(directory, sizeof(directory), "/sys/fs/cgroup/%s/heapwhy-test-%d", controller,
		getpid());
	return mkdir(directory, 0755) ? "" : directory;
}

static void remove_group(const char *directory)
{
	for (int i = 0; i < 1000 && rmdir(directory) && errno == EBUSY; i++)
		usleep(1000);
}

static void assert_stopped(const struct victim *victim, const char *words)
{
	struct target *target = capture(victim->pid, CAPTURE_AUTO);

	assert_int_equal(target->capture.method, CAPTURE_STOP);
	if (!strstr(target->capture.reason, words))
		fail_msg("\"%s\" does not say \"%s\"", target->capture.reason, words);
	target_destroy(target);
}

static void few_pids_are_left_alone(void **unused)
{
	struct victim_options options = {.memory_bytes = 1 << 20};
	struct victim victim;
	const char *group = make_group("pids");

	if (!*group)
		skip();
	victim_start(&victim, &options);
	assert_true(write_file(group, "cgroup.procs", (uint64_t)victim.pid));
	uint64_t used = read_file(group, "pids.current");

	// Room for the middle process but not for the copy, and for neither.
	for (uint64_t room = 0; room < 2; room++) {
		struct target *target;

		assert_true(write_file(group, "pids.max", used + room));
		struct error *err = process_capture(
			victim.pid, &(struct capture_options){CAPTURE_FORK}, &target);
		assert_non_null(err);
		assert_non_null(strstr(error_message(err), "may not fork"));
		error_destroy(err);
		victim_check(&victim, &options);
		assert_stopped(&victim, "more processes");
		victim_check(&victim, &options);
	}
	victim_stop(&victim);
	remove_group(group);
}

static void tight_memory_is_left_alone(void **unused)
{
	struct victim_options options = {.memory_bytes = 64 << 20};
	struct victim victim;
	const char *group = make_group("memory");

	if (!*group)
		skip();
	victim_start(&victim, &options);
	assert_true(write_file(group, "cgroup.procs", (uint64_t)victim.pid));
	assert_true(write_file(group, "memory.limit_in_bytes",
		read_file(group, "memory.usage_in_bytes") + 4 * MIB));
	assert_stopped(&victim, "memory control group");
	victim_check(&victim, &options);
	victim_stop(&victim);
	remove_group(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seccomp_does_not_kill),
		cmocka_unit_test(adopted_copies_are_reaped),
		cmocka_unit_test(unstoppable_thread_is_captured_asleep),
		cmocka_unit_test(few_pids_are_left_alone),
		cmocka_unit_test(tight_memory_is_left_alone),
	};

	return cmocka_run_group_tests_name("capture_limits", tests, NULL, NULL);
}
