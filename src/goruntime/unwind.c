// The walk: the frame size at a pc comes from the function's pcsp table, the return address lies
// above the frame, and so on until a function that is marked as the outermost one.
#include "goruntime/unwind.h"

#include <string.h>

#include "base/cleanup.h"

// A stack of Go's largest size (1 GB) full of the smallest real frames has fewer.
static const size_t FRAMES_MAX = 16 << 20;

void unwinder_init(struct unwinder *unwinder, struct go_runtime *runtime)
{
	memset(unwinder, 0, sizeof(*unwinder));
	unwinder->runtime = runtime;
	hw_map_init(&unwinder->index);
}

void unwinder_deinit(struct unwinder *unwinder)
{
	hw_map_deinit(&unwinder->index);
	hw_vector_deinit(&unwinder->points);
}

// The names hold for go 1.19 to 1.27; internal/runtime was runtime/internal up to 1.22.
enum function_kind function_kind(const struct pcln_function *function)
{
	static const struct {
		const char *name;
		enum function_kind kind;
	} special[] = {
		{"runtime.asyncPreempt", FUNCTION_ASYNC_PREEMPT},
		{"runtime.debugCallV2", FUNCTION_DEBUG_CALL},
		{"runtime.sigpanic", FUNCTION_SIGPANIC},
		{"runtime.gogo", FUNCTION_GOGO},
		{"gogo", FUNCTION_GOGO},
		{"runtime.cgocallback", FUNCTION_CGO_CALLBACK},
		{"runtime.systemstack", FUNCTION_STACK_SWITCH},
		{"runtime.mcall", FUNCTION_STACK_SWITCH},
		{"runtime.morestack", FUNCTION_STACK_SWITCH},
		{"runtime.asmcgocall", FUNCTION_STACK_SWITCH},
		{"reflect.makeFuncStub", FUNCTION_REFLECT_STUB},
		{"reflect.methodValueCall", FUNCTION_REFLECT_STUB},
	};
	static const char *const packages[] = {
		"runtime.", "runtime/internal/", "internal/runtime/"};

	for (size_t i = 0; i < ARRAY_COUNT(special); i++) {
		if (!strcmp(function->name, special[i].name))
			return special[i].kind;
	}
	for (size_t i = 0; i < ARRAY_COUNT(packages); i++) {
		if (!strncmp(function->name, packages[i], strlen(packages[i])))
			return FUNCTION_RUNTIME;
	}
	return function->flag & FUNC_FLAG_ASM ? FUNCTION_RUNTIME : FUNCTION_ORDINARY;
}

static bool point_describe(const struct go_runtime *runtime, remote_addr pc, struct code_point *out)
{
	const struct go_module *module;
	struct pcln_function function;

	if (!go_find_function(runtime, pc, &module, &function))
		return false;
	*out = (struct code_point){
		.pc = pc,
		.entry = function.entry,
		.function = function.index,
		.module = (uint16_t)(module - runtime->modules),
		.kind = (uint8_t)function_kind(&function),
		.flag = function.flag,
		.frame_size = pclntab_frame_size(module->pclntab, &function, pc),
	};
	return true;
}

const struct code_point *unwinder_point(struct unwinder *unwinder, remote_addr pc)
{
	struct code_point point;
	uint64_t number;

	if (hw_map_get(&unwinder->index, pc, &number))
		return &unwinder->points.items[number];
	if (!point_describe(unwinder->runtime, pc, &point))
		return NULL;
	if (!hw_vector_push(&unwinder->points, point))
		return NULL;
	// Without memory for the index the point is looked up again next time.
	hw_map_put(&unwinder->index, pc, unwinder->points.count - 1);
	return &unwinder->points.items[unwinder->points.count - 1];
}

// runtime.isInjectedCall: the frame below was interrupted at an instruction that is no call.
static bool kind_is_injected(uint8_t kind)
{
	return kind == FUNCTION_ASYNC_PREEMPT || kind == FUNCTION_DEBUG_CALL ||
	       kind == FUNCTION_SIGPANIC;
}

// Whether a frame must be scanned without its stack map, and what follows for the next one
// outwards.
//
// runtime.scanframeworker: asyncPreempt and debugCall hold the registers of the frame they
// interrupted, which has no valid map either. A goroutine that we caught running is worse off than
// any that the collector sees: the runtime's own frames may be half-way through handing a pointer
// over, until the frame that called into the runtime.
struct conservatism {
	bool unsettled, after_injection;
};

static bool conservatism_step(struct conservatism *state, uint8_t kind)
{
	bool injected = kind == FUNCTION_ASYNC_PREEMPT || kind == FUNCTION_DEBUG_CALL;
	bool conservative = state->unsettled || state->after_injection || injected;

	state->after_injection = injected;
	if (kind == FUNCTION_ORDINARY || kind == FUNCTION_REFLECT_STUB)
		state->unsettled = false;
	return conservative;
}

// From a frame to its caller's on arm64: the return address is in the link register until the function
// has saved it at the bottom of its frame (runtime/traceback.go, resolveInternal and next; go 1.19 to
// 1.27). A signal handler that fakes a call saves the register above the new frame.
static bool step_arm64(struct unwinder *unwinder, const struct stack_bytes *stack,
	const struct code_point *point, remote_addr *pc, remote_addr *sp, remote_addr *link)
{
	enum { SAVED_LINK_BYTES = 16 }; // aligned as a stack is
	bool injected = kind_is_injected(point->kind);
	remote_addr frame_size = (remote_addr)point->frame_size, saved;

	if (!frame_size && *link)
		*pc = *link;
	else if (!stack_word(stack, *sp, pc))
		return false;
	*sp += frame_size;
	*link = 0;
	if (!injected)
		return true;
	if (!stack_word(stack, *sp, &saved))
		return false;
	*sp += SAVED_LINK_BYTES;
	const struct code_point *caller = unwinder_point(unwinder, *pc);
	if (!caller)
		*pc = saved;
	else if (!caller->frame_size)
		*link = saved;
	return true;
}

enum unwind_end unwind(struct unwinder *unwinder, const struct stack_bytes *stack,
	const struct unwind_start *start, struct frame_vector *frames)
{
	struct conservatism conservatism = {.unsettled = start->unsettled};
	size_t first = frames->count;
	bool arm = unwinder->runtime->target->arch == ARCH_ARM64;
	remote_addr pc = start->pc, sp = start->sp, link = start->link;
	uint8_t callee = FUNCTION_ORDINARY;

	// A call of a nil function: start in its caller, as unwinder.initAt does.
	if (!pc) {
		if (!stack_word(stack, sp, &pc))
			return UNWIND_TRUNCATED;
		if (arm)
			link = 0;
		else
			sp += 8;
	}
	for (;;) {
		const struct code_point *point = unwinder_point(unwinder, pc);
		bool innermost = frames->count == first;
		bool exact = kind_is_injected(callee) || (innermost && start->exact);
		struct frame frame;

		if (!point || point->frame_size < 0 || frames->count - first >= FRAMES_MAX)
			return UNWIND_TRUNCATED;
		if (sp < stack->low || sp > stack->high - 8 ||
			(uint64_t)point->frame_size > stack->high - 8 - sp)
			return UNWIND_TRUNCATED;
		frame = (struct frame){
			.pc = exact || pc == point->entry ? pc : pc - 1,
			.sp = sp,
			.fp = sp + (uint64_t)point->frame_size + 8,
			.function = point->function,
			.module = point->module,
			.flags = (innermost ? FRAME_INNERMOST : 0) |
				 (callee == FUNCTION_SIGPANIC ? FRAME_PANICKED : 0),
		};
		if (conservatism_step(&conservatism, point->kind))
			frame.flags |= FRAME_CONSERVATIVE;
		if (!hw_vector_push(frames, frame))
			return UNWIND_NO_MEMORY;
		if (point->flag & FUNC_FLAG_TOP_FRAME)
			return UNWIND_COMPLETE;
		// A function that loads SP cannot be unwound once it did. The innermost one has not
		// yet: it was stopped in its stack check, or its thread's SP would be on another
		// stack. cgocallback keeps both stacks walkable.
		if ((point->flag & FUNC_FLAG_SP_WRITE) && !innermost &&
			point->kind != FUNCTION_CGO_CALLBACK)
			return UNWIND_TRUNCATED;
		callee = point->kind;
		if (!(arm ? step_arm64(unwinder, stack, point, &pc, &sp, &link)
			  : stack_word(stack, frame.fp - 8, &pc)) ||
			!pc)
			return UNWIND_TRUNCATED;
		if (!arm)
			sp = frame.fp;
	}
}

bool unwind_to_stack_switch(struct unwinder *unwinder, const struct stack_bytes *stack,
	const struct unwind_start *start)
{
	bool arm = unwinder->runtime->target->arch == ARCH_ARM64, leaf = true;
	remote_addr pc = start->pc, sp = start->sp, link = start->link;

	for (;;) {
		const struct code_point *point = unwinder_point(unwinder, pc);

		if (!point)
			return false;
		if (point->kind == FUNCTION_STACK_SWITCH || point->kind == FUNCTION_GOGO ||
			(point->flag & FUNC_FLAG_TOP_FRAME))
			return true;
		if (point->frame_size < 0 || (point->flag & FUNC_FLAG_SP_WRITE))
			return false;
		// It only ever grows, so this ends at the latest outside of `stack`. Only a leaf has
		// no frame on arm64.
		if (arm) {
			remote_addr before = sp;

			if (!step_arm64(unwinder, stack, point, &pc, &sp, &link) ||
				(sp == before && !leaf))
				return false;
			leaf = false;
			continue;
		}
		sp += (uint64_t)point->frame_size;
		if (!stack_word(stack, sp, &pc))
			return false;
		sp += 8;
	}
}
