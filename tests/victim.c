// See victim.h.
#include "test.h"

#include "victim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"

static struct victim_state *state;
static bool lenient;

static void __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (!atomic_exchange(&state->failed, true))
		vsnprintf(state->message, sizeof(state->message), format, arguments);
	va_end(arguments);
}

static void beat(enum victim_beat which)
{
	atomic_fetch_add(&state->beats[which], 1);
}

// victim_registers fills every general register and xmm0-15 with known values, spins for a while in
// which it touches only memory, and compares. Returns 0, or the number of the first register that
// differs.
uint64_t victim_registers(void);
__asm__(".text\n"
	".p2align 4\n"
	"victim_values:\n"
	".irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	".quad 0x1122334455667700 + \\n\n"
	".endr\n"
	".globl victim_registers\n"
	".type victim_registers, @function\n"
	"victim_registers:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"sub $24, %rsp\n"
	"movl $20000, 8(%rsp)\n"
	".macro victim_each op\n"
	"\\op 0,%rax; \\op 1,%rbx; \\op 2,%rcx; \\op 3,%rdx; \\op 4,%rsi; \\op 5,%rdi; \\op "
	"6,%rbp\n"
	"\\op 7,%r8; \\op 8,%r9; \\op 9,%r10; \\op 10,%r11; \\op 11,%r12; \\op 12,%r13\n"
	"\\op 13,%r14; \\op 14,%r15\n"
	".endm\n"
	".macro victim_load n,reg\n"
	"mov victim_values+8*\\n(%rip), \\reg\n"
	".endm\n"
	".macro victim_compare n,reg\n"
	"movl $\\n+1, (%rsp)\n"
	"cmp victim_values+8*\\n(%rip), \\reg\n"
	"jne 9f\n"
	".endm\n"
	"victim_each victim_load\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"movq %rax, %xmm\\n\n"
	"punpcklqdq %xmm\\n, %xmm\\n\n"
	"pslldq $\\n, %xmm\\n\n"
	".endr\n"
	"1: decl 8(%rsp)\n"
	"jnz 1b\n"
	"victim_each victim_compare\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14\n"
	"movl $\\n+100, (%rsp)\n"
	"psrldq $\\n, %xmm\\n\n"
	"movq %xmm\\n, %rbx\n"
	".if \\n <= 8\n"
	"cmp %rax, %rbx\n"
	"jne 9f\n"
	".endif\n"
	".endr\n"
	"movl $0, (%rsp)\n"
	"9: mov (%rsp), %eax\n"
	"add $24, %rsp\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

// The way Go's runtime waits: the same instructions, and a caller that bears waking up for no
// reason.
int victim_go_futex(int *word, int operation, int value);
__asm__(".globl victim_go_futex\n"
	".type victim_go_futex, @function\n"
	"victim_go_futex:\n"
	"sub $64, %rsp\n"
	"xor %r10d, %r10d\n"
	"xor %r8d, %r8d\n"
	"xor %r9d, %r9d\n"
	"call 1f\n"
	"mov 0x28(%rsp), %eax\n"
	"add $64, %rsp\n"
	"ret\n"
	"1: mov $202, %eax\n"
	"syscall\n"
	"mov %eax, 0x30(%rsp)\n"
	"ret\n");

static void *registers_thread(void *unused)
{
	for (;;) {
		uint64_t wrong = victim_registers();

		if (wrong)
			complain("register %d changed", (int)wrong);
		beat(BEAT_REGISTERS);
	}
	return NULL;
}

static void *nanosleep_thread(void *unused)
{
	for (;;) {
		uint64_t start = clock_ns();

		if (nanosleep(&(struct timespec){0, 10000000}, NULL))
			complain("nanosleep: %s", strerror(errno));
		if (clock_ns() - start < 10000000)
			complain("nanosleep ended early");
		beat(BEAT_NANOSLEEP);
	}
	return NULL;
}

// A thread that writes to `fds[1]` now and then, for one that waits for it.
static void *pipe_writer(void *argument)
{
	const int *fds = argument;

	for (unsigned char i = 0;; i++) {
		usleep(3000 + i * 16);
		if (write(fds[1], &i, 1) != 1)
			complain("writing to a pipe: %s", strerror(errno));
	}
	return NULL;
}

static void *pipe_thread(void *argument)
{
	const int *fds = argument;

	for (unsigned char i = 0;; i++) {
		unsigned char byte;

		if (read(fds[0], &byte, 1) != 1)
			complain("reading from a pipe: %s", strerror(errno));
		else if (byte != i)
			complain("a pipe lost a byte");
		beat(BEAT_PIPE);
	}
	return NULL;
}

static void *poll_thread(void *argument)
{
	const int *fds = argument;

	for (;;) {
		struct pollfd fd = {.fd = fds[0], .events = POLLIN};
		uint64_t start = clock_ns();
		unsigned char byte;

		if (poll(NULL, 0, 5))
			complain("poll with a time limit: %s", strerror(errno));
		else if (clock_ns() - start < 5000000)
			complain("poll ended early");
		if (poll(&fd, 1, -1) != 1 || read(fds[0], &byte, 1) != 1)
			complain("poll: %s", strerror(errno));
		beat(BEAT_POLL);
	}
	return NULL;
}

static void *epoll_thread(void *argument)
{
	const int *fds = argument;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};

	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event);
	for (;;) {
		unsigned char byte;

		int ready = epoll_wait(epoll, &event, 1, -1);
		if (ready < 0 && errno == EINTR && lenient)
			continue;
		if (ready != 1 || read(fds[0], &byte, 1) != 1)
			complain("epoll_wait: %s", strerror(errno));
		beat(BEAT_EPOLL);
	}
	return NULL;
}

static int futex_word, futex_woken; // the second follows the first once all have been woken

static void *futex_waker(void *unused)
{
	for (;;) {
		usleep(4000);
		__atomic_fetch_add(&futex_word, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &futex_word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
		__atomic_fetch_add(&futex_woken, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void *futex_thread(void *unused)
{
	for (;;) {
		// Whoever waits before the waker has called is woken without a change.
		int woken = __atomic_load_n(&futex_woken, __ATOMIC_SEQ_CST);
		int value = __atomic_load_n(&futex_word, __ATOMIC_SEQ_CST);

		if (syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0) &&
			errno != EAGAIN)
			complain("futex: %s", strerror(errno));
		if (__atomic_load_n(&futex_word, __ATOMIC_SEQ_CST) == value && woken == value)
			complain("a futex woke up without a cause");
		beat(BEAT_FUTEX);
	}
	return NULL;
}

static void *go_futex_thread(void *unused)
{
	static int never;

	for (;;)
		victim_go_futex(&never, FUTEX_WAIT_PRIVATE, 0);
	return NULL;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	atomic_fetch_add(&state->received, 1);
}

// Queued signals: none is lost or merged.
static void *signals_thread(void *argument)
{
	const pthread_t *receiver = argument;

	for (uint64_t i = 0;; i++) {
		union sigval value = {.sival_int = (int)i};

		if (i % 2 ? sigqueue(getpid(), SIGRTMIN, value)
			  : pthread_sigqueue(*receiver, SIGRTMIN + 1, value))
			complain("sending a signal: %s", strerror(errno));
		atomic_fetch_add(&state->sent, 1);
		for (int wait = 0; atomic_load(&state->sent) > atomic_load(&state->received) + 64;
			wait++) {
			usleep(1000);
			if (wait == 20000)
				complain("signals were lost");
		}
		if (atomic_load(&state->received) > atomic_load(&state->sent))
			complain("a signal arrived twice");
		usleep(500);
		beat(BEAT_SIGNALS);
	}
	return NULL;
}

static void *short_thread(void *unused)
{
	return NULL;
}

static void *threads_thread(void *unused)
{
	for (;;) {
		pthread_t threads[3];

		for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
			int number = pthread_create(&threads[i], NULL, short_thread, NULL);

			if (number)
				complain("creating a thread: %s", strerror(number));
		}
		for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
			pthread_join(threads[i], NULL);
		beat(BEAT_THREADS);
		usleep(1000);
	}
	return NULL;
}

static void *spawn_thread(void *unused)
{
	for (;;) {
		char *arguments[] = {"true", NULL};
		int status;
		pid_t child;

		int number = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, NULL);
		if (number)
			complain("spawning: %s", strerror(number));
		else if (waitpid(child, &status, 0) != child || status)
			complain("waiting for a child: %s, status %x", strerror(errno), status);
		beat(BEAT_SPAWN);
		usleep(2000);
	}
	return NULL;
}

// Asleep in vfork() until its child ends, a thread does not react to anything.
static void *vfork_thread(void *unused)
{
	for (;;) {
		pid_t child = vfork();

		if (child == 0) {
			syscall(SYS_nanosleep, &(struct timespec){1, 0}, NULL);
			_exit(3);
		}
		int status;
		if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 3)
			complain("vfork: %s, status %x", strerror(errno), status);
		beat(BEAT_VFORK);
	}
	return NULL;
}

// From now on only threads may be created, not processes, and no children waited for.
static void forbid_processes(void)
{
	enum { NUMBER = offsetof(struct seccomp_data, nr) };
	enum { FLAGS = offsetof(struct seccomp_data, args) };
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FLAGS),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_COUNT(filter), filter};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		complain("seccomp: %s", strerror(errno));
}

static pthread_t start(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, argument))
		complain("cannot create a thread");
	return thread;
}

static void __attribute__((noreturn)) victim_main(const struct victim_options *options)
{
	static int pipes[3][2];
	static pthread_t receiver;
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	lenient = options->lenient;
	if (options->reaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (options->seccomp)
		forbid_processes();
	sigaction(SIGRTMIN, &action, NULL);
	sigaction(SIGRTMIN + 1, &action, NULL);
	for (size_t i = 0; i < ARRAY_COUNT(pipes); i++) {
		if (pipe2(pipes[i], O_CLOEXEC))
			complain("pipe");
	}
	// Only these three take signals: two whose registers are known, and the one that will be
	// borrowed.
	receiver = start(registers_thread, NULL);
	start(registers_thread, NULL);
	start(go_futex_thread, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	start(nanosleep_thread, NULL);
	start(pipe_thread, pipes[0]);
	start(poll_thread, pipes[1]);
	start(epoll_thread, pipes[2]);
	for (size_t i = 0; i < ARRAY_COUNT(pipes); i++)
		start(pipe_writer, pipes[i]);
	start(futex_thread, NULL);
	start(futex_waker, NULL);
	start(signals_thread, &receiver);
	if (options->threads)
		start(threads_thread, NULL);
	if (options->spawn)
		start(spawn_thread, NULL);
	if (options->vfork)
		start(vfork_thread, NULL);
	for (;;)
		pause();
}

uint8_t victim_byte(uint64_t index)
{
	return (uint8_t)(index / 4096 * 31 + index);
}

static bool idle(const struct victim_options *options, int which)
{
	return (which == BEAT_THREADS && !options->threads) ||
	       (which == BEAT_SPAWN && !options->spawn) || (which == BEAT_VFORK && !options->vfork);
}

// Until every thread has done something since `before`, or `limit_ms` have passed.
static bool progresses(const struct victim *victim, const struct victim_options *options,
	const uint64_t *before, int limit_ms)
{
	for (int i = 0; i < limit_ms; i++) {
		int still = 0;

		for (int which = 0; which < BEAT_COUNT; which++)
			still += !idle(options, which) &&
				 victim->state->beats[which] < before[which] + 2;
		if (!still)
			return true;
		usleep(1000);
	}
	return false;
}

void victim_start(struct victim *victim, const struct victim_options *options)
{
	static const uint64_t zero[BEAT_COUNT];
	size_t size = options->memory_bytes + 4096;

	// Copies of the victim that outlive their keeper become our children.
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	state = mmap(
		NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	victim->state = state;
	victim->memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	victim->memory_bytes = options->memory_bytes;
	for (uint64_t i = 0; i < victim->memory_bytes; i++)
		victim->memory[i] = victim_byte(i);
	fflush(stdout);
	victim->pid = options->init ? (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)
				    : fork();
	if (victim->pid == 0)
		victim_main(options);
	assert_true(victim->pid > 0);
	assert_true(progresses(victim, options, zero, 20000));
}

static char status_letter(pid_t pid, pid_t tid, int *tracer, uint64_t *blocked)
{
	char path[64], line[256], letter = '?';

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	_cleanup_fclose_ FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "State: %c", &letter);
		sscanf(line, "TracerPid: %d", tracer);
		sscanf(line, "SigBlk: %lx", blocked);
	}
	return letter;
}

static void check_threads(const struct victim *victim, const struct victim_options *options)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", victim->pid);
	DIR *directory = opendir(path);
	assert_non_null(directory);
	struct dirent *entry;
	int open_to_signals = 0;
	while ((entry = readdir(directory))) {
		int tracer = 0, tid = atoi(entry->d_name);
		uint64_t blocked = 0;

		if (!tid)
			continue;
		char letter = status_letter(victim->pid, tid, &tracer, &blocked);
		if (letter == 't' || letter == 'T' || tracer)
			fail_msg("thread %d: state %c, tracer %d", tid, letter, tracer);
		// A handler that runs just now blocks its own signal.
		if (!(blocked & ~(UINT64_C(3) << (SIGRTMIN - 1))))
			open_to_signals++;
	}
	// A thread that is just starting or ending may look like one of them.
	if (!options->threads && open_to_signals != 3)
		fail_msg("%d threads take signals, not 3", open_to_signals);
	closedir(directory);
}

// Children of the victim that it does not know of.
static void check_children(const struct victim *victim)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	while ((entry = readdir(directory))) {
		char path[300], text[512] = "", letter;
		int ppid;

		if (!atoi(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		_cleanup_fclose_ FILE *file = fopen(path, "r");
		if (!file || !fgets(text, sizeof(text), file))
			continue;
		char *at = strrchr(text, ')');
		if (at && sscanf(at, ") %c %d", &letter, &ppid) == 2 && ppid == victim->pid)
			fail_msg("the victim has a child it does not know: %s", text);
	}
	closedir(directory);
}

// Keepers and copies whose parent has died are ours now. Waits until they have ended.
static void check_strays(const struct victim *victim)
{
	for (int i = 0; i < 5000; i++) {
		siginfo_t info = {0};

		while (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) &&
			info.si_pid && info.si_pid != victim->pid) {
			waitpid(info.si_pid, NULL, __WALL);
			info.si_pid = 0;
		}
		char path[64], text[256] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
		_cleanup_fclose_ FILE *children = fopen(path, "r");
		if (!children)
			return;
		if (fgets(text, sizeof(text), children) && atoi(text) == victim->pid &&
			!strchr(strchr(text, ' ') + 1, ' '))
			return;
		usleep(1000);
	}
	fail_msg("stray processes");
}

void victim_check(const struct victim *victim, const struct victim_options *options)
{
	uint64_t before[BEAT_COUNT];

	check_strays(victim);
	for (int i = 0; i < BEAT_COUNT; i++)
		before[i] = victim->state->beats[i];
	if (waitpid(victim->pid, NULL, WNOHANG))
		fail_msg("the victim died");
	if (!progresses(victim, options, before, 20000)) {
		for (int i = 0; i < BEAT_COUNT; i++)
			if (victim->state->beats[i] < before[i] + 2 && !idle(options, i))
				fail_msg("beat %d stands still at %lu", i, before[i]);
	}
	if (victim->state->failed)
		fail_msg("the victim complains: %s", victim->state->message);
	check_threads(victim, options);
	if (!options->spawn && !options->vfork)
		check_children(victim);
}

void victim_stop(struct victim *victim)
{
	kill(victim->pid, SIGKILL);
	waitpid(victim->pid, NULL, 0);
	munmap(victim->memory, victim->memory_bytes + 4096);
	munmap(victim->state, sizeof(*victim->state));
}
