// Spreading: objects that became typed are read and what they point to is claimed, until nothing
// new comes up.
//
// Objects wait as bits, their spans in a queue (typing_queue.h). A span is read from its first waiting object on,
// through a window, and objects in it that become typed meanwhile are taken in the same pass when
// they lie further on. So memory in allocation order is read once and in large pieces, and a list
// shuffled over the heap costs a small read an object. Parts (typing_parts.h) have their turn when no object waits.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "goruntime/typing_private.h"

enum {
	WINDOW_BYTES = TYPING_WINDOW_BYTES,
	READ_AHEAD_BYTES = 1 << 14,
	READS_SINGLE = 2, // objects of a span that are read alone: others may come up behind them
	READ_GAP_BYTES = 4096, // reading over it is cheaper than another system call
	OPERAND_BYTES = 64,
	PREFETCH_AHEAD = 12,
	PREFETCH_OPERATIONS = 32
};

#define LENGTH_MAX (UINT64_C(1) << 40)

static uint64_t load_word(const uint8_t *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

void typing_follow_pointer(struct typing *typing, const struct go_type *type, uint64_t word)
{
	for (unsigned depth = 0; word && type && depth < TYPE_DEPTH_MAX; depth++) {
		switch (type->kind) {
		case GO_POINTER:
			typing_claim_as(typing, CLAIM_BY_POINTER, word, type->elem, 1);
			return;
		case GO_MAP:
			typing_claim_as(
				typing, CLAIM_WHOLE, word, typing_map_header(typing, type), 1);
			return;
		case GO_CHAN:
			typing_claim_as(typing, CLAIM_WHOLE, word,
				typing_chan_header(typing, type->elem), 1);
			return;
		case GO_FUNC:
			typing_claim_closure(typing, word);
			return;
		case GO_ARRAY:
			type = type->elem;
			break;
		case GO_STRUCT: {
			// A struct in one word: the field that is the word (others have no size).
			const struct go_type *inner = NULL;
			for (uint32_t i = 0; i < type->field_count && !inner; i++)
				if (type->fields[i].type->size == 8)
					inner = type->fields[i].type;
			const struct program *program = typing_program(typing, type);
			if (program->length == 1 && program->operations[0].code == OP_POINTER) {
				typing_claim_as(typing, CLAIM_BY_POINTER, word,
					program->operations[0].type, 1);
				return;
			}
			type = inner;
			break;
		}
		default:
			return;
		}
	}
}

void typing_follow_interface(struct typing *typing, const struct go_type *type, uint64_t word)
{
	if (type->direct)
		typing_follow_pointer(typing, type, word);
	else
		typing_claim_as(typing, CLAIM_BY_POINTER, word, type, 1);
}

static void follow_slice(struct typing *typing, const struct go_type *elem, const uint8_t *slice)
{
	uint64_t data = load_word(slice), length = load_word(slice + 8),
		 capacity = load_word(slice + 16);

	if (data && capacity && length <= capacity && capacity < LENGTH_MAX)
		typing_claim_as(typing, CLAIM_BY_SLICE, data, elem, capacity);
}

static void follow_string(struct typing *typing, const uint8_t *string)
{
	uint64_t data = load_word(string), length = load_word(string + 8);

	if (data && length && length < LENGTH_MAX)
		typing_claim_as(typing, CLAIM_BY_STRING, data, typing->known.string_bytes, length);
}

void typing_follow_value(struct typing *typing, const struct program *program, const uint8_t *bytes)
{
	for (uint32_t i = 0; i < program->length; i++) {
		const struct operation *operation = &program->operations[i];
		const uint8_t *at = bytes + operation->offset;
		uint64_t word = load_word(at);

		if (!word)
			continue;
		switch (operation->code) {
		case OP_POINTER:
			typing_claim_as(typing, CLAIM_BY_POINTER, word, operation->type, 1);
			break;
		case OP_SLICE:
			follow_slice(typing, operation->type, at);
			break;
		case OP_STRING:
			follow_string(typing, at);
			break;
		case OP_INTERFACE: {
			uint64_t data = load_word(at + 8);
			const struct go_type *type =
				data ? type_of_itab(typing->types, word) : NULL;
			if (type)
				typing_follow_interface(typing, type, data);
			break;
		}
		case OP_SHAPED:
			typing_follow_pointer(typing, operation->type, word);
			break;
		case OP_POOL:
			typing_claim_as(
				typing, CLAIM_BY_POINTER, word, operation->type, load_word(at + 8));
			break;
		case OP_TYPED_POINTER: {
			const struct go_type *type = type_by_address(typing->types, word);
			if (type && load_word(at + 8))
				typing_follow_interface(typing, type, load_word(at + 8));
			break;
		}
		case OP_REFLECT:
			typing_follow_reflect(typing, at);
			break;
		case OP_BYTES:
			typing_follow_bytes(typing, word);
			break;
		case OP_CHAN_VALUE:
			typing_follow_chan_value(typing, load_word(bytes + operation->count), word);
			break;
		default: // these need to know where they lie: follow_in_place()
			break;
		}
	}
}

// Closures that reflect makes have a type of their own (reflect/makefunc.go).
static const struct {
	const char *function, *type;
} reflect_closures[] = {
	{"reflect.makeFuncStub", "reflect.makeFuncImpl"},
	{"reflect.methodValueCall", "reflect.methodValue"},
};

// What is known of the closures that run `code`: their captures, or NULL.
static const struct go_type *closure_captures(
	struct typing *typing, remote_addr code, const char *function)
{
	uint64_t found;

	if (hw_map_get(&typing->captures, code, &found))
		return (const struct go_type *)(uintptr_t)found;
	for (unsigned i = 0; i < ARRAY_COUNT(reflect_closures); i++)
		if (!strcmp(function, reflect_closures[i].function))
			return type_by_name(typing->types, reflect_closures[i].type);
	return NULL;
}

// A type that is only a name, for closures whose captures are unknown.
static const struct go_type *closure_named(
	struct typing *typing, remote_addr code, const char *function)
{
	uint64_t found;

	if (hw_map_get(&typing->closures, code, &found))
		return (const struct go_type *)(uintptr_t)found;
	struct go_type *type = type_create(typing->types);
	if (!type || !hw_map_put(&typing->closures, code, (uintptr_t)type) ||
		!hw_map_put(&typing->capture_types, type->id, 1)) {
		typing->no_memory = true;
		return NULL;
	}
	type->name = function;
	type->kind = GO_STRUCT;
	type->synthetic = true;
	type->size = 8;
	return type;
}

static void follow_closure(struct typing *typing, const uint8_t *bytes, remote_addr self)
{
	remote_addr code = load_word(bytes);
	const struct go_module *module;
	struct pcln_function function;
	const struct span *span;
	object_id id = typing_find(typing, self, &span);

	if (id == OBJECT_NONE || typing_object_type(typing, id) != typing->known.closure)
		return;
	typing->claims[id] = 0; // unless word 0 is code it is no closure, whatever pointed here
	if (!go_find_function(typing->heap->runtime, code, &module, &function) ||
		function.entry != code)
		return;
	const struct go_type *captures = closure_captures(typing, code, function.name);
	if (captures)
		typing_claim_as(typing, CLAIM_BY_POINTER, self, captures, 1);
	if (typing->claims[id])
		return;
	const struct go_type *named = closure_named(typing, code, function.name);
	if (named)
		typing->claims[id] = claim_make(named, 0);
}

// The operations that have to know the address of what they follow.
static void follow_in_place(struct typing *typing, const struct program *program,
	const uint8_t *bytes, remote_addr self)
{
	for (uint32_t i = 0; i < program->length; i++) {
		const struct operation *operation = &program->operations[i];
		const uint8_t *at = bytes + operation->offset;

		switch (operation->code) {
		case OP_MEMORY:
			typing_claim_memory(typing, self + operation->offset, operation->type,
				operation->count);
			break;
		case OP_MAP_HEADER:
			typing_follow_map(typing, operation->type, at);
			break;
		case OP_MAP_TABLE:
			typing_follow_table(typing, operation->type, at);
			break;
		case OP_CHAN_HEADER:
			typing_follow_chan(typing, at, self + operation->offset);
			break;
		case OP_TRIE_NODE:
			typing_follow_trie_node(
				typing, operation->type, at, self + operation->offset);
			break;
		case OP_TYPE_RECORD:
			typing_follow_record(typing, at, self + operation->offset);
			break;
		case OP_CLOSURE:
			follow_closure(typing, at, self + operation->offset);
			break;
		default:
			break;
		}
	}
}

// Asks the processor for what claims about the value's pointers will look at: the heap is large, and
// each would wait for memory. Interfaces keep their pointer in the second word; looking up one word
// too many does no harm.
static inline void prefetch_claims(
	const struct typing *typing, const struct program *program, const uint8_t *bytes)
{
	for (uint32_t i = 0; i < program->length && i < PREFETCH_OPERATIONS; i++) {
		const struct operation *operation = &program->operations[i];
		const uint8_t *at = bytes + operation->offset;
		object_id id = heap_find(
			typing->heap, load_word(at + (operation->code == OP_INTERFACE ? 8 : 0)));

		if (id != OBJECT_NONE) {
			__builtin_prefetch(&typing->claims[id]);
			__builtin_prefetch(&typing->live[id >> 6]);
		}
	}
}

static void follow_one(struct typing *typing, const struct program *program, const uint8_t *bytes,
	remote_addr self)
{
	typing_follow_value(typing, program, bytes);
	if (program->in_place)
		follow_in_place(typing, program, bytes, self);
}

// A value larger than the window: one operand at a time.
static void follow_huge(struct typing *typing, const struct program *program, remote_addr self)
{
	struct {
		struct program program;
		struct operation operation;
	} single = {.program = *program};
	uint8_t operand[OPERAND_BYTES];

	single.program.length = 1;
	for (uint32_t i = 0; i < program->length; i++) {
		single.program.operations[0] = program->operations[i];
		single.program.operations[0].offset = 0;
		memset(operand, 0, sizeof(operand));
		target_read_sparse(typing->heap->runtime->target,
			self + program->operations[i].offset, operand, sizeof(operand));
		follow_one(typing, &single.program, operand, self + program->operations[i].offset);
	}
}

// The window's place in the target while a span is followed.
struct window {
	remote_addr start, end;
	const uint8_t *bytes;
	unsigned reads; // so many times it was moved
};

static const uint8_t *window_get(struct typing *typing, struct window *window, remote_addr start,
	uint64_t bytes, uint64_t ahead)
{
	if (start < window->start || start + bytes > window->end) {
		uint64_t size = bytes + ahead < WINDOW_BYTES ? bytes + ahead : WINDOW_BYTES;
		target_read_sparse(typing->heap->runtime->target, start, typing->window, size);
		*window = (struct window){start, start + size, typing->window, window->reads + 1};
	}
	return window->bytes + (start - window->start);
}

// `count` values of the program's type from `start` on; `ahead`: bytes behind them that will be
// wanted soon.
static void follow_values(struct typing *typing, struct window *window,
	const struct program *program, remote_addr start, uint64_t count, uint64_t ahead)
{
	uint64_t size = program->type->size;

	if (size > WINDOW_BYTES) {
		for (uint64_t i = 0; i < count; i++)
			follow_huge(typing, program, start + i * size);
		return;
	}
	uint64_t chunk = WINDOW_BYTES / size;
	for (uint64_t done = 0; done < count; done += chunk) {
		uint64_t now = count - done < chunk ? count - done : chunk;
		const uint8_t *bytes = window_get(typing, window, start + done * size, now * size,
			done + now < count ? 0 : ahead);
		for (uint64_t i = 0; i < now; i++) {
			if (i + PREFETCH_AHEAD < now)
				prefetch_claims(
					typing, program, bytes + (i + PREFETCH_AHEAD) * size);
			follow_one(typing, program, bytes + i * size, start + (done + i) * size);
		}
	}
}

static object_id next_pending(const struct typing *typing, object_id from, object_id end)
{
	while (from < end) {
		uint64_t bits = typing->pending[from >> 6] >> (from & 63);
		if (bits) {
			from += __builtin_ctzll(bits);
			return from < end ? from : OBJECT_NONE;
		}
		from = (from | 63) + 1;
	}
	return OBJECT_NONE;
}

static void follow_object(struct typing *typing, struct window *window, const struct span *span,
	object_id id, object_id next)
{
	uint64_t header = span->header_bytes;
	uint64_t room = span->elem_size - header;
	const struct go_type *type = typing_object_type(typing, id);

	if (!type || !type->size || type->size > room)
		return;
	const struct program *program = typing_program(typing, type);
	if (!program->length)
		return;
	remote_addr start = span_object(span, id) + header;
	uint64_t count = typing->claims[id] & CLAIM_ARRAY ? room / type->size : 1;
	uint64_t ahead = 0;
	if (window->reads >= READS_SINGLE ||
		(next != OBJECT_NONE && span_object(span, next) - start < READ_AHEAD_BYTES)) {
		ahead = span->base + span->count * span->elem_size - start - count * type->size;
		if (ahead > READ_AHEAD_BYTES)
			ahead = READ_AHEAD_BYTES;
	}
	follow_values(typing, window, program, start, count, ahead);
}

static void prefetch_value(const struct typing *typing, const struct window *window,
	const struct go_type *type, remote_addr start)
{
	if (type && type->id < typing->program_count && typing->programs[type->id] &&
		start >= window->start && start + type->size <= window->end)
		prefetch_claims(typing, typing->programs[type->id],
			window->bytes + (start - window->start));
}

// Objects that point backwards in their span make it necessary to start over; then all of it is read, for such are
// lists, which go on like that.
static void follow_span(struct typing *typing, const struct span *span, struct window window)
{
	object_id end = span->first + span->count;
	uint64_t bytes = (uint64_t)span->count * span->elem_size;
	uint64_t header = span->header_bytes;

	for (unsigned pass = 0;; pass++) {
		object_id id = next_pending(typing, span->first, end);
		if (id == OBJECT_NONE)
			return;
		if (pass == 1 && bytes <= WINDOW_BYTES)
			window_get(typing, &window, span->base, bytes, 0);
		object_id soon = id;
		while (id != OBJECT_NONE) {
			for (; soon != OBJECT_NONE && soon <= id + PREFETCH_AHEAD;
				soon = next_pending(typing, soon + 1, end))
				prefetch_value(typing, &window, typing_object_type(typing, soon),
					span_object(span, soon) + header);
			object_id next = next_pending(typing, id + 1, end);
			__atomic_store_n(&typing->pending[id >> 6],
				typing->pending[id >> 6] & ~(UINT64_C(1) << (id & 63)),
				__ATOMIC_RELAXED);
			follow_object(typing, &window, span, id, next);
			id = next_pending(typing, id + 1, end);
		}
	}
}

// What became known of the whole object meanwhile covers its parts.
static bool is_superseded(const struct typing *typing, const struct typed_memory *part)
{
	object_id id = part->certain ? OBJECT_NONE : heap_find(typing->heap, part->address);

	return id != OBJECT_NONE && typing->claims[id];
}

// The bytes from batch[0] on that are worth reading at once: to the end of the last part that begins close to where
// those before it end.
static uint64_t batch_bytes(
	const struct typing *typing, const struct typed_memory *batch, size_t count)
{
	remote_addr start = batch[0].address, end = start;

	for (size_t i = 0; i < count && batch[i].address <= end + READ_GAP_BYTES; i++) {
		uint64_t bytes = batch[i].count * type_by_id(typing->types, batch[i].type)->size;
		if (batch[i].address + bytes - start > WINDOW_BYTES)
			break;
		if (batch[i].address + bytes > end)
			end = batch[i].address + bytes;
	}
	return end - start;
}

static void follow_parts(struct typing *typing)
{
	struct window window = {0};
	size_t count;
	_cleanup_free_ struct typed_memory *batch = typing_take_parts(typing, &count);

	for (size_t i = 0; i < count && !typing->no_memory; i++) {
		const struct typed_memory *part = &batch[i];
		const struct go_type *type = type_by_id(typing->types, part->type);
		uint64_t bytes = part->count * type->size, ahead = 0;

		if (i + PREFETCH_AHEAD < count)
			prefetch_value(typing, &window,
				type_by_id(typing->types, batch[i + PREFETCH_AHEAD].type),
				batch[i + PREFETCH_AHEAD].address);
		const struct program *program = typing_program(typing, type);
		if (!program->length || is_superseded(typing, part))
			continue;
		if (part->address + bytes > window.end)
			ahead = batch_bytes(typing, part, count - i);
		follow_values(typing, &window, program, part->address, part->count,
			ahead > bytes ? ahead - bytes : 0);
	}
}

// False when no span waits.
static bool follow_next_span(struct typing *typing)
{
	struct window window = {0};
	uint32_t number;

	if (!span_queue_take(typing->queue, &number, &window.bytes))
		return false;
	const struct span *span = &typing->heap->spans[number];
	if (window.bytes) {
		window.start = span->base;
		window.end = span->base + ((uint64_t)span->pages << GO_PAGE_SHIFT);
	}
	follow_span(typing, span, window);
	span_queue_done(typing->queue);
	return true;
}

struct error *typing_propagate(struct typing *typing)
{
	while (!typing->no_memory) {
		if (follow_next_span(typing))
			continue;
		if (!typing->parts.queue.count)
			return NULL;
		follow_parts(typing);
	}
	return error_no_memory();
}

void typing_claim_value(struct typing *typing, const struct go_type *type, const void *bytes)
{
	if (type && type->size && type->pointer_bytes)
		typing_follow_value(typing, typing_program(typing, type), bytes);
}
