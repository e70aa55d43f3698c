// See channel_visitors.h. The code scan has noted which functions refer to which variables. Each of these functions is
// decoded once more, and the arguments of its calls to the runtime's receiving functions are followed back (runtime/chan.go
// and select.go, with arguments in registers since 1.17, cmd/compile/abi-internal.md):
//
//	chanrecv1(c, elem), chanrecv2(c, elem)                       <-c
//	selectnbrecv(elem, c)                                        select with one case and a default
//	selectgo(cases, order, pcs, nsends, nrecvs, block)           select
#include "goruntime/channel_visitors.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "goruntime/code_ahead.h"
#include "goruntime/typing_code.h"
#include "goruntime/typing_decode.h"

enum {
	STEPS_BACK_MAX = 64,
	CHUNK_WORDS = 512,
	HEAD_BYTES = 512, // so far before the first word that code refers to may a variable begin
};

// Where a register's value comes from, or a pointer's that it was loaded by.
enum origin { FROM_UNKNOWN, FROM_ZERO, FROM_VARIABLE, FROM_ARGUMENT };

struct look {
	struct typing *typing;
	const struct flow_program *program;
	struct hw_map places;  // variables that lead to the channel: start -> end
	struct hw_map seen;    // indices of functions
	struct hw_map callees; // entry of a function -> enum taking, of a channel that it is given
	struct decoder *decoder;
	struct steps steps; // of the function that is being looked at
	remote_addr receive[2], poll, select;
	struct channel_visitors *out;
};

static bool is_place(const struct look *look, remote_addr address)
{
	hw_map_each (&look->places, place)
		if (address >= place->key && address < place->value)
			return true;
	return false;
}

// ---- following a value back

// What is being followed: a register, or the stack's word at `offset`.
struct trail {
	uint8_t reg; // REGISTER_NONE: the word
	int64_t offset;
};

// Makes the step undone. False: here the trail ends, with *origin.
static bool trail_back(
	const struct look *look, struct trail *trail, const struct step *step, enum origin *origin)
{
	*origin = FROM_UNKNOWN;
	if (trail->reg == REGISTER_NONE) {
		bool here = step->offset == trail->offset;
		if (step->kind == STEP_STORE_STACK && here) {
			trail->reg = step->reg;
			return step->reg != REGISTER_NONE;
		}
		*origin = step->kind == STEP_ZERO_STACK && here ? FROM_ZERO : FROM_UNKNOWN;
		return *origin == FROM_UNKNOWN;
	}
	if (step->kind == STEP_CALL || step->kind == STEP_JUMP)
		return false;
	if (step->kind == STEP_CLOBBER)
		return !(step->mask >> trail->reg & 1);
	if (step->kind == STEP_STORE || step->kind == STEP_STORE_STACK ||
		step->kind == STEP_STORE_GLOBAL || step->reg != trail->reg)
		return true;
	switch (step->kind) {
	case STEP_MOVE:
	case STEP_LOAD:
	case STEP_OFFSET:
		trail->reg = step->base;
		return step->base != REGISTER_NONE && step->base != RSP;
	case STEP_LOAD_STACK:
		*trail = (struct trail){REGISTER_NONE, step->offset};
		return true;
	case STEP_ADDRESS:
	case STEP_LOAD_GLOBAL:
		*origin = is_place(look, step->target) ? FROM_VARIABLE : FROM_UNKNOWN;
		return false;
	case STEP_ZERO:
		*origin = FROM_ZERO;
		return false;
	case STEP_STACK_ADDRESS:
		return false;
	default: // writes no register
		return true;
	}
}

// Of what is in the register when step `at` is made.
static enum origin origin_of(const struct look *look, size_t at, uint8_t reg)
{
	struct trail trail = {.reg = reg};
	enum origin origin;

	for (unsigned back = 0; at > 0 && back < STEPS_BACK_MAX; back++)
		if (!trail_back(look, &trail, &look->steps.list.items[--at], &origin))
			return origin;
	return at || trail.reg == REGISTER_NONE ? FROM_UNKNOWN : FROM_ARGUMENT;
}

// Is one of the cases that lie on the stack about a channel from the variable?
static bool selects_from(const struct look *look, size_t at, enum origin origin)
{
	for (unsigned back = 0; at > 0 && back < STEPS_BACK_MAX; back++) {
		const struct step *step = &look->steps.list.items[--at];
		if (step->kind == STEP_STORE_STACK && step->reg != REGISTER_NONE &&
			origin_of(look, at, step->reg) == origin)
			return true;
	}
	return false;
}

// ---- functions

// Is the call that returns to `next` one that the function may come back to? When it cannot be told: yes.
static bool is_repeated(
	const struct look *look, const struct pcln_function *function, remote_addr next)
{
	const struct frame frame = {.pc = next - 1};
	struct code_ahead ahead = {0};
	bool again = !code_ahead_find(look->typing->heap->runtime, function, &frame, &ahead) ||
		     ahead.again;

	code_ahead_deinit(&ahead);
	return again;
}

static bool decode(struct look *look, const struct pcln_function *function)
{
	const struct flow_program *program = look->program;

	if (function->entry < program->start || function->end <= function->entry ||
		function->end > program->end)
		return false;
	decoder_run(look->decoder, program->text + (function->entry - program->start),
		function->end - function->entry, function->entry, &look->steps);
	return true;
}

// How a function receives.
enum taking {
	TAKES_NOT, // or stays for the next element
	TAKES_ONE, // and waits for it
	TAKES_WHAT_IS_THERE,
};

static enum taking taking_once(
	const struct look *look, const struct pcln_function *function, remote_addr next)
{
	return is_repeated(look, function, next) ? TAKES_NOT : TAKES_ONE;
}

// The call, step `at`, on a channel of this origin. A select that does not want the element asks whether something has
// ended, and mostly of another channel.
static enum taking call_takes(const struct look *look, const struct pcln_function *function,
	size_t at, enum origin origin)
{
	const struct step *call = &look->steps.list.items[at];

	if (call->target == look->poll)
		return origin_of(look, at, RAX) != FROM_ZERO || origin_of(look, at, RBX) == origin
			       ? TAKES_WHAT_IS_THERE
			       : TAKES_NOT;
	if (call->target == look->receive[0] || call->target == look->receive[1])
		return origin_of(look, at, RAX) == origin ? taking_once(look, function, call->next)
							  : TAKES_NOT;
	if (call->target != look->select || origin_of(look, at, RDI) != FROM_ZERO ||
		!selects_from(look, at, origin))
		return TAKES_NOT;
	return origin_of(look, at, R8) == FROM_ZERO ? TAKES_WHAT_IS_THERE
						    : taking_once(look, function, call->next);
}

static enum taking function_takes(
	struct look *look, const struct pcln_function *function, enum origin origin)
{
	enum taking most = TAKES_NOT;

	if (!decode(look, function))
		return TAKES_NOT;
	for (size_t i = 0; i < look->steps.list.count; i++) {
		const struct step *step = &look->steps.list.items[i];
		if (step->kind != STEP_CALL || !step->target)
			continue;
		enum taking taking = call_takes(look, function, i, origin);
		most = taking > most ? taking : most;
	}
	return most;
}

// Of a function that gets the channel as an argument, or what leads there. Many call the same.
static enum taking callee_takes(struct look *look, remote_addr entry)
{
	struct pcln_function callee;
	uint64_t known;

	if (hw_map_get(&look->callees, entry, &known))
		return known;
	enum taking taking = TAKES_NOT;
	if (pclntab_find(look->program->pclntab, entry, &callee) &&
		strncmp(callee.name, "runtime.", strlen("runtime.")) != 0)
		taking = function_takes(look, &callee, FROM_ARGUMENT);
	if (!hw_map_put(&look->callees, entry, taking))
		look->steps.no_memory = true;
	return taking;
}

static bool callees_take(struct look *look, const struct pcln_function *function)
{
	HW_VECTOR(struct step) calls = {0};
	bool takes = false;

	if (!decode(look, function))
		return false;
	for (size_t i = 0; i < look->steps.list.count; i++) {
		const struct step *step = &look->steps.list.items[i];
		if (step->kind == STEP_CALL && step->target && !hw_vector_push(&calls, *step))
			look->steps.no_memory = true;
	}
	for (size_t i = 0; i < calls.count && !takes; i++) {
		enum taking taking = callee_takes(look, calls.items[i].target);
		takes = taking == TAKES_WHAT_IS_THERE ||
			(taking == TAKES_ONE && !is_repeated(look, function, calls.items[i].next));
	}
	hw_vector_deinit(&calls);
	return takes;
}

static bool runs_once(const char *name)
{
	const char *rest = name + code_package_length(name);

	return !strcmp(name, "main.main") || !strcmp(rest, ".init") ||
	       (!strncmp(rest, ".init.", 6) && !rest[6 + strspn(rest + 6, "0123456789")]);
}

static struct error *visitor_add(struct look *look, uint32_t index)
{
	struct pcln_function function;

	if (hw_map_get(&look->seen, index, NULL) ||
		!pclntab_function(look->program->pclntab, index, &function) ||
		runs_once(function.name))
		return NULL;
	if (!hw_map_put(&look->seen, index, 0) ||
		!hw_vector_push(&look->out->functions, function.entry))
		return error_no_memory();
	look->out->take = look->out->take ||
			  function_takes(look, &function, FROM_VARIABLE) != TAKES_NOT ||
			  callees_take(look, &function);
	return look->steps.no_memory ? error_no_memory() : NULL;
}

// ---- variables

static struct error *place_add(struct look *look, const struct global_name *global)
{
	uint64_t size = global->size ? global->size : sizeof(uint64_t);

	return hw_map_put(&look->places, global->start, global->start + size) ? NULL
									      : error_no_memory();
}

// The variables with a pointer into [first, last]: code gets there by them when the memory has no name of its own.
static struct error *pointers_add(struct look *look, remote_addr first, remote_addr last)
{
	const struct go_runtime *runtime = look->typing->heap->runtime;
	const struct go_module *module = &runtime->modules[0];
	uint64_t words[CHUNK_WORDS];
	struct global_name global;
	struct error *err = NULL;

	for (remote_addr at = module->variables & ~UINT64_C(7); at < module->end && !err;
		at += sizeof(words)) {
		size_t bytes = module->end - at < sizeof(words) ? module->end - at : sizeof(words);
		target_read_sparse(runtime->target, at, words, bytes);
		for (size_t i = 0; i < bytes / sizeof(words[0]) && !err; i++)
			if (words[i] >= first && words[i] <= last &&
				typing_global(look->typing, at + i * sizeof(words[0]), &global))
				err = place_add(look, &global);
	}
	return err;
}

static struct error *places_find(struct look *look, remote_addr slot)
{
	struct global_name global;
	const struct go_type *type;
	uint64_t offset;

	if (!typing_global(look->typing, slot, &global))
		return NULL;
	struct error *err = place_add(look, &global);
	if (err || !global.unnamed)
		return err;
	remote_addr first = global.start - HEAD_BYTES;
	if (typing_global_part(look->typing, &global, slot, &type, &offset) &&
		slot - offset < first)
		first = slot - offset;
	return pointers_add(look, first, slot);
}

static struct error *visitors_find(struct look *look)
{
	const struct typing_code *code = look->typing->code;
	struct error *err = NULL;

	hw_map_each (&look->places, place) {
		size_t i = code_first_reference(code, place->key);
		for (; i < code->references.count && !err &&
			code->references.items[i].address < place->value;
			i++)
			err = visitor_add(look, code->references.items[i].function);
	}
	return err;
}

static remote_addr entry_of(const struct look *look, const char *name)
{
	struct pcln_function function;

	return pclntab_find_name(look->typing->heap->runtime->modules[0].pclntab, name, &function)
		       ? function.entry
		       : 0;
}

struct error *channel_visitors_find(
	struct typing *typing, remote_addr slot, struct channel_visitors *out)
{
	struct look look = {
		.typing = typing,
		.program = typing->code->program,
		.decoder = decoder_create(),
		.out = out,
	};

	if (!look.decoder)
		return error_no_memory();
	hw_map_init(&look.places);
	hw_map_init(&look.seen);
	hw_map_init(&look.callees);
	look.receive[0] = entry_of(&look, "runtime.chanrecv1");
	look.receive[1] = entry_of(&look, "runtime.chanrecv2");
	look.poll = entry_of(&look, "runtime.selectnbrecv");
	look.select = entry_of(&look, "runtime.selectgo");
	struct error *err = look.program ? places_find(&look, slot) : NULL;
	if (!err && look.program)
		err = visitors_find(&look);
	hw_map_deinit(&look.places);
	hw_map_deinit(&look.seen);
	hw_map_deinit(&look.callees);
	hw_vector_deinit(&look.steps.list);
	hw_vector_deinit(&look.steps.references);
	decoder_destroy(look.decoder);
	return err;
}

void channel_visitors_deinit(struct channel_visitors *visitors)
{
	hw_vector_deinit(&visitors->functions);
}
