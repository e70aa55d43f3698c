// Capturing a live process: what is captured is right, and the process does not notice.
#include "test.h"

#include "target/memory.h"
#include "target/process.h"
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum capture_method methods[] = {CAPTURE_FORK, CAPTURE_STOP};

static struct target *capture(pid_t pid, enum capture_method method)
{
	struct target *target;

	assert_success(process_capture(pid, &(struct capture_options){method}, &target));
	return target;
}

static void assert_refused(pid_t pid, enum capture_method method, const char *words)
{
	struct target *target = (struct target *)&pid;
	struct error *err = process_capture(pid, &(struct capture_options){method}, &target);

	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_TARGET);
	if (!strstr(error_message(err), words))
		fail_msg("\"%s\" does not say \"%s\"", error_message(err), words);
	assert_ptr_equal(target, &pid);
	error_destroy(err);
}

static void check_memory(struct target *target, const struct victim *victim)
{
	_cleanup_free_ uint8_t *bytes = malloc(victim->memory_bytes);

	assert_success(target_read(target, (uintptr_t)victim->memory, bytes, victim->memory_bytes));
	for (uint64_t i = 0; i < victim->memory_bytes; i++)
		assert_int_equal(bytes[i], victim_byte(i));
	assert_non_null(target_region(target, (uintptr_t)victim->memory));
}

static bool has_word(const struct target_thread *thread, uint64_t word)
{
	for (unsigned i = 0; i < thread->registers.word_count; i++)
		if (thread->registers.words[i] == word)
			return true;
	return false;
}

// The two threads that hold known values are caught with them, almost always.
static bool registers_seen(const struct target *target)
{
	for (size_t i = 0; i < target->thread_count; i++)
		if (has_word(&target->threads[i], 0x1122334455667701) &&
			has_word(&target->threads[i], 0x112233445566770f))
			return true;
	return false;
}

static void captures_memory_and_registers(void **unused)
{
	struct victim_options options = {.threads = true, .memory_bytes = 8 << 20};
	struct victim victim;
	size_t seen = 0, rounds = 0;

	victim_start(&victim, &options);
	for (size_t m = 0; m < ARRAY_COUNT(methods); m++) {
		for (int i = 0; i < 5; i++, rounds++) {
			struct target *target = capture(victim.pid, methods[m]);

			assert_int_equal(target->capture.method, methods[m]);
			assert_int_equal(target->pid, victim.pid);
			assert_true(target->capture.pause_ns > 0);
			assert_true(target->capture.total_ns >= target->capture.pause_ns);
			assert_true(target->thread_count >= 14);
			for (size_t t = 0; t < target->thread_count; t++)
				assert_non_null(
					target_region(target, target->threads[t].registers.pc));
			check_memory(target, &victim);
			seen += registers_seen(target);
			target_release(target);
			uint8_t byte;
			struct error *err = target_read(target, (uintptr_t)victim.memory, &byte, 1);
			assert_non_null(err);
			error_destroy(err);
			target_destroy(target);
			victim_check(&victim, &options);
		}
	}
	assert_true(seen >= rounds - 2);
	victim_stop(&victim);
}

// A process that does nothing but hold words in the wide registers.
static void __attribute__((noreturn)) hold_wide_registers(const uint64_t *words)
{
	if (__builtin_cpu_supports("avx512f"))
		__asm__ volatile("vmovdqu64 (%0), %%zmm31\n"
				 "vmovdqu64 64(%0), %%zmm3\n"
				 "vmovdqu 128(%0), %%ymm14\n"
				 "1: jmp 1b\n" ::"r"(words));
	else
		__asm__ volatile("vmovdqu 128(%0), %%ymm14\n"
				 "1: jmp 1b\n" ::"r"(words));
	__builtin_unreachable();
}

static void wide_registers_are_captured(void **unused)
{
	enum { ZMM31, ZMM3 = 8, YMM14 = 16, WORDS = 20 };
	uint64_t words[WORDS];

	if (!__builtin_cpu_supports("avx"))
		skip();
	for (size_t i = 0; i < WORDS; i++)
		words[i] = 0xabcdef0123450000 + i;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		hold_wide_registers(words);
	}
	usleep(50000);
	struct target *target = capture(pid, CAPTURE_FORK);
	size_t first = __builtin_cpu_supports("avx512f") ? ZMM31 : YMM14;
	for (size_t i = first; i < WORDS; i++)
		assert_true(has_word(&target->threads[0], words[i]));
	target_destroy(target);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void *sleep_thread(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

// What this program is when it is started with an argument: threads, then exec of the same, for ever.
static void __attribute__((noreturn)) exec_for_ever(char **argv)
{
	enum { THREADS = 200 };
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, sleep_thread, NULL);
	usleep(300);
	execv("/proc/self/exe", argv);
	_exit(1);
}

// It ends its threads, attached to or not, and must not wait for us while we wait for it.
static void process_may_exec_at_any_time(void **unused)
{
	enum { ROUNDS = 120 };
	char *arguments[] = {"test_capture", "exec", NULL};
	size_t captured = 0;
	pid_t pid = fork();

	if (pid == 0)
		exec_for_ever(arguments);
	for (int i = 0; i < ROUNDS; i++) {
		struct target *target;

		alarm(60); // what hangs fails
		struct error *err =
			process_capture(pid, &(struct capture_options){methods[i % 2]}, &target);

		if (!err)
			target_destroy(target);
		else
			assert_int_equal(error_kind(err), ERROR_TARGET);
		captured += !err;
		error_destroy(err);
		alarm(0);
		if (waitpid(pid, NULL, WNOHANG))
			fail_msg("it died in round %d", i);
	}
	printf("%zu of %d captures succeeded\n", captured, ROUNDS);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void *sleep_for_ever(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

// A process whose first thread is as good to borrow as any other: its end is announced last of all.
static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 8; i++) {
			pthread_t thread;
			if (pthread_create(&thread, NULL, sleep_for_ever, NULL))
				_exit(1);
		}
		sleep_for_ever(NULL);
	}
	return pid;
}

static void process_may_be_killed_at_any_time(void **unused)
{
	for (int i = 0; i < 60; i++) {
		pid_t pid = start_sleeper();
		struct target *target;
		usleep(2000);
		pid_t killer = fork();
		if (killer == 0) {
			usleep((useconds_t)(i * 150));
			kill(pid, SIGKILL);
			_exit(0);
		}
		alarm(60); // what hangs fails
		struct error *err =
			process_capture(pid, &(struct capture_options){methods[i % 2]}, &target);
		if (!err)
			target_destroy(target);
		else
			assert_int_equal(error_kind(err), ERROR_TARGET);
		error_destroy(err);
		waitpid(killer, NULL, 0);
		waitpid(pid, NULL, 0);
		alarm(0);
	}
}

// The code and constants of this very program, and the zeros behind its data.
static void maps_files_and_finds_the_exe(void **unused)
{
	static const char constant[] = "a constant in the read-only data of the test program";
	static char zeros[100000];
	struct victim_options options = {0};
	struct victim victim;

	zeros[50000] = 7;
	victim_start(&victim, &options);
	for (size_t m = 0; m < ARRAY_COUNT(methods); m++) {
		struct target *target = capture(victim.pid, methods[m]);
		const struct region *region = target_region(target, (uintptr_t)constant);
		const void *piece, *code, *data;

		assert_true(region->is_exe && region->is_file && !region->writable);
		assert_string_equal(region->path, target->exe_path);
		assert_true(target_region(target, (uintptr_t)(zeros + 50000))->is_exe);
		assert_false(target_region(target, (uintptr_t)victim.memory)->is_exe);
		assert_success(target_map(target, (uintptr_t)constant, sizeof(constant), &piece));
		assert_success(target_map(target, (uintptr_t)victim_start, 64, &code));
		assert_success(target_map(target, (uintptr_t)zeros, sizeof(zeros), &data));
		int exe = target_open_exe(target);
		char magic[4];
		assert_int_equal(read(exe, magic, 4), 4);
		assert_memory_equal(magic, "\177ELF", 4);
		close(exe);
		target_release(target);
		assert_string_equal(piece, constant);
		assert_memory_equal(code, victim_start, 64);
		assert_memory_equal(data, zeros, sizeof(zeros));
		target_destroy(target);
	}
	victim_check(&victim, &options);
	victim_stop(&victim);
}

static void busy_process_does_not_notice(void **unused)
{
	struct victim_options options = {.threads = true, .spawn = true, .memory_bytes = 4 << 20};
	struct victim victim;

	victim_start(&victim, &options);
	for (int i = 0; i < 60; i++) {
		struct target *target = capture(victim.pid, methods[i % 3 == 2]);

		target_destroy(target);
		if (victim.state->failed)
			break;
		usleep((useconds_t)(i * 37 % 1000));
	}
	victim_check(&victim, &options);
	victim_stop(&victim);
}

static void stopped_process_stays_stopped(void **unused)
{
	struct victim_options options = {.memory_bytes = 1 << 20};
	struct victim victim;
	int status;

	victim_start(&victim, &options);
	for (size_t m = 0; m < ARRAY_COUNT(methods); m++) {
		kill(victim.pid, SIGSTOP);
		assert_int_equal(waitpid(victim.pid, &status, WUNTRACED), victim.pid);
		assert_true(WIFSTOPPED(status));
		struct target *target = capture(victim.pid, methods[m]);
		check_memory(target, &victim);
		target_destroy(target);
		uint64_t before = victim.state->beats[BEAT_REGISTERS];
		usleep(50000);
		assert_int_equal(victim.state->beats[BEAT_REGISTERS], before);
		assert_int_equal(waitpid(victim.pid, &status, WCONTINUED | WNOHANG), 0);
		kill(victim.pid, SIGCONT);
		victim_check(&victim, &options);
		waitpid(victim.pid, &status, WCONTINUED | WNOHANG);
	}
	victim_stop(&victim);
}

static void refusals_are_sentences(void **unused)
{
	struct victim_options options = {0};
	struct victim victim;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	siginfo_t info;
	waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	assert_refused(child, CAPTURE_AUTO, "has exited");
	waitpid(child, NULL, 0);
	assert_refused(child, CAPTURE_AUTO, "there is no process");
	assert_refused(0, CAPTURE_AUTO, "there is no process");
	assert_refused(-1, CAPTURE_AUTO, "there is no process");
	assert_refused(getpid(), CAPTURE_AUTO, "itself");
	assert_refused(2, CAPTURE_AUTO, "kernel");

	victim_start(&victim, &options);
	assert_int_equal(ptrace(PTRACE_SEIZE, victim.pid, NULL, NULL), 0);
	assert_refused(victim.pid, CAPTURE_AUTO, "already traced by process");
	ptrace(PTRACE_INTERRUPT, victim.pid, NULL, NULL);
	waitpid(victim.pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, victim.pid, NULL, NULL);
	victim_check(&victim, &options);
	victim_stop(&victim);
}

// A process that is killed while it is being captured: an error or a capture, never a hang.
static void process_may_die_at_any_time(void **unused)
{
	size_t failed = 0;

	for (int i = 0; i < 60; i++) {
		struct victim_options options = {.memory_bytes = 1 << 20};
		struct victim victim;

		victim_start(&victim, &options);
		pid_t killer = fork();
		if (killer == 0) {
			usleep((useconds_t)(i * 700));
			kill(victim.pid, SIGKILL);
			_exit(0);
		}
		struct target *target;
		struct error *err = process_capture(
			victim.pid, &(struct capture_options){methods[i % 2]}, &target);
		if (err) {
			assert_int_equal(error_kind(err), ERROR_TARGET);
			failed++;
			error_destroy(err);
		} else {
			target_destroy(target);
		}
		waitpid(killer, NULL, 0);
		victim_stop(&victim);
	}
	printf("%zu of 60 captures met a dead process\n", failed);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		exec_for_ever(argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captures_memory_and_registers),
		cmocka_unit_test(maps_files_and_finds_the_exe),
		cmocka_unit_test(busy_process_does_not_notice),
		cmocka_unit_test(stopped_process_stays_stopped),
		cmocka_unit_test(refusals_are_sentences),
		cmocka_unit_test(process_may_die_at_any_time),
		cmocka_unit_test(process_may_exec_at_any_time),
		cmocka_unit_test(process_may_be_killed_at_any_time),
		cmocka_unit_test(wide_registers_are_captured),
	};

	return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
