// Where does a goroutine stand on its own stack? A parked one says so itself (g.sched,
// g.syscallsp). A running one is where its thread is, which may be on that stack, in a signal
// handler, or at work for it on the thread's own stack.
//
// Facts from runtime/proc.go, signal_unix.go, asm_amd64.s, sys_linux_amd64.s, the same in go 1.19
// to 1.27 unless said.
#include "goruntime/goroutine_private.h"

#include "base/cleanup.h"

enum { STATUS_RUNNING = 2, STATUS_COPYSTACK = 8 };

// No call chain of the runtime on g0 needs more; threads made by C have megabytes of stack.
enum { THREAD_STACK_BYTES_MAX = 256 << 10 };

struct machine {
	remote_addr pc, sp, link;
};

struct bounds {
	remote_addr low, high;
};

static bool bounds_hold(const struct bounds *bounds, remote_addr address)
{
	return bounds->low <= address && address < bounds->high;
}

// The bounds of the stack of the g at `g`; empty for 0.
static struct bounds stack_bounds(struct go_runtime *runtime, remote_addr g)
{
	const struct layout_offsets *at = &runtime->layout.at;

	if (!g)
		return (struct bounds){0, 0};
	return (struct bounds){memory_u64(&runtime->memory, g + (uint64_t)at->g_stack),
		memory_u64(&runtime->memory, g + (uint64_t)at->g_stack + 8)};
}

static remote_addr m_field(struct go_runtime *runtime, remote_addr m, int32_t offset)
{
	return offset < 0 ? 0 : memory_u64(&runtime->memory, m + (uint64_t)offset);
}

// The kernel's struct ucontext {flags, link, stack {sp, flags, size}, ...}, which follows the return
// address on amd64 and the siginfo on arm64. The signal stack is recorded in it, which makes it easy
// to recognise. Then come, on amd64, sigcontext {r8 .. r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp,
// rip, ...}; on arm64 128 bytes of signal mask and sigcontext {fault address, x0 .. x30, sp, pc, ...},
// aligned to 16.
enum { UCONTEXT_STACK_SP = 16, UCONTEXT_STACK_SIZE = 32 };
static const struct saved_machine {
	uint16_t sp, pc, link; // offsets in the ucontext; link 0: none
} saved_machines[] = {
	[ARCH_AMD64] = {40 + 15 * 8, 40 + 16 * 8, 0},
	[ARCH_ARM64] = {184 + 31 * 8, 184 + 32 * 8, 184 + 30 * 8},
};

// The thread is on its signal stack: finds what it was doing when the first signal came, and where
// that was saved.
static bool signal_context(struct go_runtime *runtime, const struct bounds *signal_stack,
	struct machine *machine, remote_addr *saved)
{
	remote_addr sp = machine->sp & ~UINT64_C(7);
	uint64_t size = signal_stack->high - signal_stack->low;
	const struct saved_machine *offsets = &saved_machines[runtime->target->arch];

	if (size > THREAD_STACK_BYTES_MAX)
		return false;
	for (remote_addr at = sp; at + offsets->pc + 8 <= signal_stack->high; at += 8) {
		struct machine before;

		if (memory_u64(&runtime->memory, at + UCONTEXT_STACK_SP) != signal_stack->low ||
			memory_u64(&runtime->memory, at + UCONTEXT_STACK_SIZE) != size)
			continue;
		before.pc = memory_u64(&runtime->memory, at + offsets->pc);
		before.sp = memory_u64(&runtime->memory, at + offsets->sp);
		before.link = offsets->link ? memory_u64(&runtime->memory, at + offsets->link) : 0;
		if (bounds_hold(signal_stack, before.sp))
			continue; // a signal within a signal
		*machine = before;
		*saved = at;
		return true;
	}
	return false;
}

// The thread is on its own stack (g0), in use from stack->thread_low on. Has it left word in g.sched of
// where the goroutine is? Sets stack->thread_high.
static bool thread_left_word(struct unwinder *unwinder, const struct bounds *thread_stack,
	const struct machine *machine, struct goroutine_stack *stack)
{
	struct unwind_start start = {.pc = machine->pc, .sp = machine->sp, .link = machine->link};
	struct stack_bytes used = {.low = stack->thread_low, .high = thread_stack->high};
	_cleanup_free_ uint8_t *bytes = NULL;

	// The bounds of a stack that C made are an estimate (runtime/cgo/gcc_linux_amd64.c): do not
	// insist on them.
	if (used.high <= used.low || used.high - used.low > THREAD_STACK_BYTES_MAX)
		used.high = used.low + THREAD_STACK_BYTES_MAX;
	if (used.high < used.low)
		return false;
	bytes = malloc(used.high - used.low);
	if (!bytes)
		return false;
	used.bytes = bytes;
	target_read_sparse(unwinder->runtime->target, used.low, bytes, used.high - used.low);
	stack->thread_high = used.high;
	return unwind_to_stack_switch(unwinder, &used, &start);
}

static struct machine thread_machine(const struct target *target, const struct registers *registers)
{
	enum { LINK_REGISTER = 30 };
	bool link = target->arch == ARCH_ARM64 && registers->word_count > LINK_REGISTER;

	return (struct machine){
		registers->pc, registers->sp, link ? registers->words[LINK_REGISTER] : 0};
}

// A goroutine that executes on thread `thread`.
static void locate_running(struct unwinder *unwinder, const struct goroutine_record *record,
	const struct target_thread *thread, const struct bounds *own, struct goroutine_stack *stack)
{
	struct go_runtime *runtime = unwinder->runtime;
	const struct layout_offsets *at = &runtime->layout.at;
	struct machine machine = thread_machine(runtime->target, &thread->registers);
	struct bounds signal_stack =
		stack_bounds(runtime, m_field(runtime, record->m, at->m_gsignal));
	struct bounds thread_stack = stack_bounds(runtime, m_field(runtime, record->m, at->m_g0));
	struct machine vdso_caller = {m_field(runtime, record->m, at->m_vdsoPC),
		m_field(runtime, record->m, at->m_vdsoSP), 0};
	remote_addr saved;

	stack->registers = true;
	stack->position = STACK_UNKNOWN;
	if (bounds_hold(&signal_stack, machine.sp)) {
		if (!signal_context(runtime, &signal_stack, &machine, &saved))
			return;
		stack->signal_low = saved;
		// Vector registers are saved above the ucontext.
		stack->signal_high = signal_stack.high;
	}
	if (bounds_hold(own, machine.sp)) {
		const struct code_point *point = unwinder_point(unwinder, machine.pc);

		stack->position = STACK_RUNNING;
		stack->start =
			(struct unwind_start){machine.pc, machine.sp, machine.link, true, true};
		// gogo has switched to the stack and will jump to where g.sched says.
		if (point && point->kind == FUNCTION_GOGO)
			stack->start = (struct unwind_start){
				record->sched_pc, machine.sp, record->sched_link, false, true};
		return;
	}
	// nanotime1 and walltime call the vdso on g0 without a word in g.sched, but with one for
	// the profiler.
	if (bounds_hold(own, vdso_caller.sp)) {
		stack->position = STACK_RUNNING;
		stack->start =
			(struct unwind_start){vdso_caller.pc, vdso_caller.sp, 0, false, true};
		return;
	}
	stack->thread_low = machine.sp;
	if (!unwinder_point(unwinder, machine.pc) && vdso_caller.sp > machine.sp)
		machine = vdso_caller;
	if (bounds_hold(own, record->sched_sp) &&
		thread_left_word(unwinder, &thread_stack, &machine, stack)) {
		stack->position = STACK_ON_THREAD;
		stack->start = (struct unwind_start){
			record->sched_pc, record->sched_sp, record->sched_link, false, true};
	}
}

// Vector registers of a preempted goroutine may hold pointers from go 1.27 on
// (runtime/preempt_xreg.go; 1.26 saves them in the same way, but its compiler keeps no pointers in
// them and its collector does not look).
static void locate_vector_registers(struct go_runtime *runtime,
	const struct goroutine_record *record, struct goroutine_stack *stack)
{
	const struct layout_offsets *at = &runtime->layout.at;
	remote_addr p;

	if (runtime->layout.minor < 27)
		return;
	if (record->async_safe_point && record->vector_state && at->xRegState_size > 0) {
		stack->vector_low = record->vector_state;
		stack->vector_high = record->vector_state + (uint64_t)at->xRegState_size;
	}
	// On the way into asyncPreempt and out of it they are with the P.
	if (record->status != STATUS_RUNNING || !record->m || at->p_xRegs < 0 ||
		at->xRegPerP_size <= 8)
		return;
	p = m_field(runtime, record->m, at->m_p);
	if (p) {
		stack->vector_pending_low = p + (uint64_t)at->p_xRegs;
		stack->vector_pending_high =
			stack->vector_pending_low + (uint64_t)at->xRegPerP_size - 8;
	}
}

void goroutine_locate(struct unwinder *unwinder, const struct hw_map *threads,
	const struct goroutine_record *record, struct goroutine *goroutine,
	struct goroutine_stack *stack)
{
	struct go_runtime *runtime = unwinder->runtime;
	struct bounds own = {goroutine->stack_low, goroutine->stack_high};
	uint64_t thread, tid = 0;

	goroutine->thread = UINT32_MAX;
	if (record->m)
		tid = m_field(runtime, record->m, runtime->layout.at.m_procid);
	if (tid && hw_map_get(threads, tid, &thread))
		goroutine->thread = (uint32_t)thread;

	// runtime.unwinder.initAt: g.syscallsp goes before g.sched.
	stack->position =
		record->status == STATUS_COPYSTACK || record->scan ? STACK_MOVING : STACK_PARKED;
	stack->start = (struct unwind_start){
		record->sched_pc, record->sched_sp, record->sched_link, false, false};
	if (record->syscall_sp)
		stack->start = (struct unwind_start){
			record->syscall_pc, record->syscall_sp, 0, false, false};
	if (record->status == STATUS_RUNNING) {
		stack->position = STACK_UNKNOWN;
		if (goroutine->thread != UINT32_MAX)
			locate_running(unwinder, record,
				&runtime->target->threads[goroutine->thread], &own, stack);
	}
	if (!bounds_hold(&own, stack->start.sp))
		stack->position = STACK_UNKNOWN;
	locate_vector_registers(runtime, record, stack);
}
