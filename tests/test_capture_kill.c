// Killing heapwhy, its process group and its keeper at every step of a capture: the captured
// process must not notice.
//
// A capture runs under a tracer of our own that stops it at the beginning and the end of each of
// its system calls, so every state that it leaves the captured process in is met.
// HEAPWHY_TEST_LONG=1 takes every step instead of some.
#include "test.h"

#include "target/process.h"
#include "victim.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static struct victim_options options = {.memory_bytes = 1 << 20};

enum whom { NOBODY, HEAPWHY, GROUP, KEEPER };

static void __attribute__((noreturn)) capture_and_exit(pid_t pid, enum capture_method method)
{
	struct target *target;
	char bytes[4096];

	// cmocka has its own idea of what to do about faults.
	signal(SIGSEGV, SIG_DFL);
	setpgid(0, 0);
	raise(SIGSTOP);
	struct error *err = process_capture(pid, &(struct capture_options){method}, &target);
	if (err)
		_exit(1);
	for (size_t i = 0; i < target->region_count; i += 8)
		target_read_sparse(target, target->regions[i].start, bytes, sizeof(bytes));
	target_destroy(target);
	_exit(0);
}

struct run {
	pid_t heapwhy, keeper;
	size_t steps;
	bool killed;
};

static void do_kill(struct run *run, enum whom whom)
{
	run->killed = true;
	if (whom == GROUP)
		kill(-run->heapwhy, SIGKILL);
	else
		kill(whom == KEEPER ? run->keeper : run->heapwhy, SIGKILL);
}

// Runs a capture, kills `whom` at step `at` and waits until nothing is left. Returns the number of
// steps taken.
static struct run stepped_capture(
	const struct victim *victim, enum capture_method method, enum whom whom, size_t at)
{
	struct run run = {.heapwhy = fork()};
	int status, alive = 1;

	if (run.heapwhy == 0)
		capture_and_exit(victim->pid, method);
	waitpid(run.heapwhy, &status, WUNTRACED);
	assert_int_equal(
		ptrace(PTRACE_SEIZE, run.heapwhy, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK),
		0);
	kill(run.heapwhy, SIGCONT);
	while (alive) {
		unsigned long message;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0 && errno == ECHILD)
			break;
		if (pid == victim->pid)
			fail_msg("the victim died at step %zu (%x)", run.steps, status);
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			alive -= pid == run.heapwhy || pid == run.keeper;
			continue;
		}
		if (status >> 16 == PTRACE_EVENT_FORK &&
			!ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message)) {
			run.keeper = (pid_t)message;
			alive++;
		}
		bool step = WSTOPSIG(status) == (SIGTRAP | 0x80);
		if (step && !run.killed && (whom != KEEPER || run.keeper)) {
			if (++run.steps == at)
				do_kill(&run, whom);
		}
		bool plain = status >> 16 == 0 && !step && WSTOPSIG(status) != SIGCONT;
		ptrace(run.killed ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL,
			plain ? (long)WSTOPSIG(status) : 0L);
	}
	return run;
}

static bool is_long(void)
{
	return getenv("HEAPWHY_TEST_LONG") != NULL;
}

static void kill_at_every_step(enum capture_method method, enum whom whom)
{
	struct victim victim;
	size_t stride = is_long() ? 1 : 7;

	// What the keeper alone can prevent it cannot when it is killed itself.
	options.lenient = whom == KEEPER;
	victim_start(&victim, &options);
	struct run whole = stepped_capture(&victim, method, NOBODY, 0);
	assert_true(whole.steps > 100);
	size_t rounds = 0;
	for (size_t at = 1; at <= whole.steps; at += stride, rounds++) {
		stepped_capture(&victim, method, whom, at);
		victim_check(&victim, &options);
	}
	printf("%zu of %zu steps\n", rounds, whole.steps);
	victim_stop(&victim);
}

static void heapwhy_killed_while_forking(void **unused)
{
	kill_at_every_step(CAPTURE_FORK, HEAPWHY);
}

static void heapwhy_killed_while_copying(void **unused)
{
	kill_at_every_step(CAPTURE_STOP, HEAPWHY);
}

static void group_killed_while_forking(void **unused)
{
	kill_at_every_step(CAPTURE_FORK, GROUP);
}

static void keeper_killed_while_forking(void **unused)
{
	kill_at_every_step(CAPTURE_FORK, KEEPER);
}

static void keeper_killed_while_copying(void **unused)
{
	kill_at_every_step(CAPTURE_STOP, KEEPER);
}

// The same at random moments, without a tracer that slows things down.
static void killed_at_random(void **unused)
{
	static const int signals[] = {SIGKILL, SIGINT, SIGSEGV, SIGTERM, SIGHUP};
	struct victim victim;
	options.lenient = false;
	size_t rounds = is_long() ? 1000 : 100, killed = 0;

	victim_start(&victim, &options);
	srandom(1);
	for (size_t i = 0; i < rounds; i++) {
		int status, number = signals[i % ARRAY_COUNT(signals)];
		pid_t heapwhy = fork();

		if (heapwhy == 0)
			capture_and_exit(victim.pid, i % 4 ? CAPTURE_FORK : CAPTURE_STOP);
		waitpid(heapwhy, &status, WUNTRACED);
		kill(heapwhy, SIGCONT);
		usleep((useconds_t)(random() % 15000));
		kill(i % 2 ? heapwhy : -heapwhy, number);
		waitpid(heapwhy, &status, 0);
		killed += WIFSIGNALED(status);
		victim_check(&victim, &options);
	}
	printf("%zu of %zu captures were killed\n", killed, rounds);
	victim_stop(&victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heapwhy_killed_while_forking),
		cmocka_unit_test(heapwhy_killed_while_copying),
		cmocka_unit_test(group_killed_while_forking),
		cmocka_unit_test(keeper_killed_while_forking),
		cmocka_unit_test(keeper_killed_while_copying),
		cmocka_unit_test(killed_at_random),
	};

	return cmocka_run_group_tests_name("capture_kill", tests, NULL, NULL);
}
