// Programs: the leaves of a type in order, and the few types whose fields say less than the runtime
// knows.
//
// The special cases are types that hide a pointer's type behind unsafe.Pointer:
//   sync/atomic.Pointer[T] { _ [0]*T; _ noCopy; v unsafe.Pointer }     sync/atomic/type.go, 1.19 on
//   weak.Pointer[T] { _ [0]*T; u unsafe.Pointer }                       weak/pointer.go 1.24 on,
//   internal/weak 1.23 sync.Pool { local unsafe.Pointer; localSize uintptr; victim, victimSize }
//   sync/pool.go sync.eface { typ, val unsafe.Pointer } sync/poolqueue.go sync.entry { p
//   unsafe.Pointer } holding *interface{}                sync/map.go 1.19 (atomic.Pointer
//   from 1.20) node { isEntry bool }, the head of entry and indirect
//   internal/sync/hashtriemap.go 1.24 on,
//                                                                       internal/concurrent 1.23
//   reflect.Value { typ, ptr, flag }                                    reflect/value.go
//   runtime.timeTimer { c unsafe.Pointer; ... }                         runtime/time.go, 1.23 on
#include "goruntime/typing_program.h"

#include <stdlib.h>
#include <string.h>

#include "goruntime/typing_private.h"

enum { PROGRAM_LENGTH_MAX = 512, ARRAY_LISTED_MAX = 64 };

static const struct program empty_program;

struct builder {
	struct typing *typing;
	const struct go_type *type;
	struct operation operations[PROGRAM_LENGTH_MAX];
	uint32_t length;
};

// Bytes that an operation reads; a damaged type that is too small for them gets none.
static uint64_t operand_bytes(const struct typing *typing, enum operation_code code)
{
	switch (code) {
	case OP_SLICE:
	case OP_REFLECT:
		return 24;
	case OP_STRING:
	case OP_INTERFACE:
	case OP_POOL:
	case OP_TYPED_POINTER:
		return 16;
	case OP_MAP_HEADER:
		return MAP_HEADER_BYTES;
	case OP_MAP_TABLE:
		return MAP_TABLE_BYTES;
	case OP_CHAN_HEADER:
		return typing->heap->runtime->layout.at.hchan_size;
	case OP_TYPE_RECORD:
		return TYPE_RECORD_BYTES;
	case OP_TRIE_NODE:
		return 1;
	default:
		return 8;
	}
}

static bool builder_add(struct builder *builder, enum operation_code code, uint64_t offset,
	const struct go_type *type, uint64_t count)
{
	if (builder->length == PROGRAM_LENGTH_MAX ||
		offset + operand_bytes(builder->typing, code) > builder->type->size)
		return false;
	builder->operations[builder->length++] =
		(struct operation){.code = code, .offset = offset, .type = type, .count = count};
	return true;
}

static bool starts_with(const char *string, const char *prefix)
{
	return !strncmp(string, prefix, strlen(prefix));
}

static const struct go_field *field_named(const struct go_type *type, const char *name)
{
	for (uint32_t i = 0; i < type->field_count; i++)
		if (!strcmp(type->fields[i].name, name))
			return &type->fields[i];
	return NULL;
}

// The T of struct { _ [0]*T; ... }.
static const struct go_type *phantom_type(const struct go_type *type)
{
	const struct go_type *first = type->field_count ? type->fields[0].type : NULL;

	if (!first || first->kind != GO_ARRAY || first->length || !first->elem ||
		first->elem->kind != GO_POINTER)
		return NULL;
	return first->elem->elem;
}

static bool builder_add_pool(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	const struct go_type *local = builder->typing->known.pool_local;
	static const char *const names[] = {"local", "victim"};

	for (unsigned i = 0; local && i < 2; i++) {
		const struct go_field *field = field_named(type, names[i]);
		if (field && field->offset + 16 <= type->size)
			builder_add(builder, OP_POOL, offset + field->offset, local, 0);
	}
	return false; // the other fields are as they say
}

static bool builder_add_atomic(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	const struct go_type *target = phantom_type(type);

	return target && builder_add(builder, OP_POINTER, offset + type->size - 8, target, 1);
}

static bool builder_add_weak(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	const struct go_type *handle = builder->typing->known.weak_handle;

	return handle && builder_add(builder, OP_POINTER, offset + type->size - 8, handle, 1);
}

static bool builder_add_entry(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	const struct go_type *any = builder->typing->known.any;

	return any && type->field_count == 1 && type->fields[0].type->kind == GO_UNSAFE_POINTER &&
	       builder_add(builder, OP_POINTER, offset, any, 1);
}

static bool builder_add_eface(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	return builder_add(builder, OP_TYPED_POINTER, offset, type, 1);
}

static bool builder_add_reflect(
	struct builder *builder, const struct go_type *type, uint64_t offset)
{
	return type->size == 24 && builder_add(builder, OP_REFLECT, offset, type, 1);
}

static bool builder_add_timer(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	const struct go_type *channel = type_by_name(builder->typing->types, "chan time.Time");

	if (channel && field_named(type, "c"))
		builder_add(
			builder, OP_SHAPED, offset + field_named(type, "c")->offset, channel, 1);
	return false;
}

static bool builder_add_chan(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	builder_add(builder, OP_CHAN_HEADER, offset, type, 1);
	return false;
}

// A sudog's channel, from 1.25 on (runtime/runtime2.go, maybeTraceableChan).
static bool builder_add_traceable(
	struct builder *builder, const struct go_type *type, uint64_t offset)
{
	const struct go_type *hchan = builder->typing->known.hchan;

	return hchan && builder_add(builder, OP_POINTER, offset, hchan, 1);
}

// Blocked on a channel: sudog.elem in runtime/runtime2.go, scase.elem in runtime/select.go. Each points to an element of
// the channel c, or is nil; without a channel (semaphores) to something else.
static bool builder_add_blocked(
	struct builder *builder, const struct go_type *type, uint64_t offset)
{
	const struct go_field *channel = field_named(type, "c"), *elem = field_named(type, "elem");

	if (channel && elem && channel->offset + 8 <= type->size)
		builder_add(builder, OP_CHAN_VALUE, offset + elem->offset, type,
			offset + channel->offset);
	return false;
}

static bool builder_add_name(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	return type->size == 8 && builder_add(builder, OP_BYTES, offset, type, 1);
}

static bool builder_add_record(struct builder *builder, const struct go_type *type, uint64_t offset)
{
	if (offset == 0)
		builder_add(builder, OP_TYPE_RECORD, 0, type, 1);
	return false;
}

// Special types, by package and the beginning of their name behind it. True from `add`: nothing
// more to do.
static const struct special {
	const char *package, *name;
	bool exact;
	bool (*add)(struct builder *builder, const struct go_type *type, uint64_t offset);
} specials[] = {
	{"sync/atomic", "atomic.Pointer[", false, builder_add_atomic},
	{"weak", "weak.Pointer[", false, builder_add_weak},
	{"internal/weak", "weak.Pointer[", false, builder_add_weak},
	{"sync", "sync.Pool", true, builder_add_pool},
	{"sync", "sync.eface", true, builder_add_eface},
	{"sync", "sync.entry", true, builder_add_entry},
	{"reflect", "reflect.Value", true, builder_add_reflect},
	{"runtime", "runtime.timeTimer", true, builder_add_timer},
	{"runtime", "runtime.hchan", true, builder_add_chan},
	{"runtime", "runtime.sudog", true, builder_add_blocked},
	{"runtime", "runtime.scase", true, builder_add_blocked},
	{"reflect", "reflect.name", true, builder_add_name},
	{"internal/abi", "abi.Name", true, builder_add_name},
	{"reflect", "reflect.rtype", true, builder_add_record},
	{"internal/abi", "abi.Type", true, builder_add_record},
	{"runtime", "runtime.maybeTraceableChan", true, builder_add_traceable},
};

static bool builder_add_special(
	struct builder *builder, const struct go_type *type, uint64_t offset)
{
	if (!*type->package)
		return false;
	for (unsigned i = 0; i < sizeof(specials) / sizeof(*specials); i++) {
		const struct special *special = &specials[i];
		if (strcmp(type->package, special->package))
			continue;
		if (special->exact ? !strcmp(type->name, special->name)
				   : starts_with(type->name, special->name))
			return special->add(builder, type, offset);
	}
	return false;
}

// iter.coro is an empty struct that stands for the runtime's own (iter/iter.go, 1.23 on).
static const struct go_type *pointed_to(struct typing *typing, const struct go_type *pointer)
{
	const struct go_type *elem = pointer->elem;

	if (elem && !elem->size && !strcmp(elem->name, "iter.coro") &&
		!strcmp(elem->package, "iter"))
		return type_by_name(typing->types, "runtime.coro");
	return elem;
}

static void builder_add_leaf(struct builder *builder, const struct go_type *leaf, uint64_t offset)
{
	const struct go_type *elem;

	switch (leaf->kind) {
	case GO_POINTER:
		elem = pointed_to(builder->typing, leaf);
		if (elem)
			builder_add(builder, OP_POINTER, offset, elem, 1);
		break;
	case GO_SLICE:
		if (leaf->elem)
			builder_add(builder, OP_SLICE, offset, leaf->elem, 1);
		break;
	case GO_STRING:
		builder_add(builder, OP_STRING, offset, leaf, 1);
		break;
	case GO_INTERFACE:
		builder_add(builder, OP_INTERFACE, offset, leaf, 1);
		break;
	case GO_MAP:
	case GO_CHAN:
	case GO_FUNC:
		builder_add(builder, OP_SHAPED, offset, leaf, 1);
		break;
	default:
		break;
	}
}

// Like type_walk_next, but stops at special types and at arrays too long to list.
static void builder_add_type(struct builder *builder, const struct go_type *root)
{
	struct {
		const struct go_type *type;
		uint64_t offset, next;
	} stack[TYPE_DEPTH_MAX];
	unsigned depth = 0;

	stack[depth++] = (typeof(stack[0])){.type = root};
	while (depth > 0) {
		const struct go_type *type = stack[depth - 1].type, *inner = NULL;
		uint64_t offset = stack[depth - 1].offset;
		uint64_t next = stack[depth - 1].next++;

		if (type->kind == GO_STRUCT &&
			!(next == 0 && builder_add_special(builder, type, offset))) {
			if (next < type->field_count) {
				inner = type->fields[next].type;
				offset += type->fields[next].offset;
			}
		} else if (type->kind == GO_ARRAY && type->elem && type->elem->pointer_bytes) {
			if (type->length > ARRAY_LISTED_MAX)
				builder_add(builder, OP_MEMORY, offset, type->elem, type->length);
			else if (next < type->length) {
				inner = type->elem;
				offset += next * type->elem->size;
			}
		} else if (type->kind != GO_STRUCT && type->kind != GO_ARRAY) {
			builder_add_leaf(builder, type, offset);
		}
		if (!inner)
			depth--;
		else if (inner->pointer_bytes && depth < TYPE_DEPTH_MAX)
			stack[depth++] = (typeof(stack[0])){.type = inner, .offset = offset};
	}
}

// Buckets link to their overflow buckets through an untyped last word
// (cmd/compile/internal/reflectdata, to 1.23).
static void builder_add_overflow(struct builder *builder, const struct go_type *type)
{
	const struct go_field *last =
		type->field_count ? &type->fields[type->field_count - 1] : NULL;

	if (last && type->kind == GO_STRUCT && !strcmp(last->name, "overflow") &&
		last->type->kind == GO_UNSAFE_POINTER)
		builder_add(builder, OP_POINTER, last->offset, type, 1);
}

static bool type_is_trie_node(const struct go_type *type)
{
	return type->kind == GO_STRUCT && type->field_count == 1 &&
	       !strcmp(type->fields[0].name, "isEntry") && strstr(type->name, "node[");
}

static struct program **program_place(struct typing *typing, const struct go_type *type)
{
	if (type->id >= typing->program_count) {
		uint32_t count = type_table_count(typing->types) + 1024;
		struct program **grown = realloc(typing->programs, count * sizeof(*grown));
		if (!grown || type->id >= count) {
			typing->no_memory = true;
			return NULL;
		}
		memset(grown + typing->program_count, 0,
			(count - typing->program_count) * sizeof(*grown));
		typing->programs = grown;
		typing->program_count = count;
	}
	return &typing->programs[type->id];
}

static const struct program *program_store(struct builder *builder, const struct go_type *type)
{
	struct program **place = program_place(builder->typing, type);
	size_t bytes = builder->length * sizeof(builder->operations[0]);
	struct program *program =
		place ? typing_alloc(builder->typing, sizeof(*program) + bytes) : NULL;

	if (!program)
		return &empty_program;
	program->type = type;
	program->length = builder->length;
	for (uint32_t i = 0; i < builder->length; i++)
		program->in_place |= builder->operations[i].code >= OP_MEMORY;
	memcpy(program->operations, builder->operations, bytes);
	*place = program;
	return program;
}

const struct program *typing_program(struct typing *typing, const struct go_type *type)
{
	if (type->id < typing->program_count && typing->programs[type->id])
		return typing->programs[type->id];

	struct builder builder;
	builder.typing = typing;
	builder.type = type;
	builder.length = 0;
	if (type_is_trie_node(type)) {
		builder_add(&builder, OP_TRIE_NODE, 0, type, 1);
	} else {
		builder_add_overflow(&builder, type);
		builder_add_type(&builder, type);
	}
	return program_store(&builder, type);
}

bool typing_set_program(struct typing *typing, const struct go_type *type, enum operation_code code,
	const struct go_type *argument)
{
	struct builder builder;

	builder.typing = typing;
	builder.type = type;
	builder.length = 0;
	builder_add(&builder, code, 0, argument, 1);
	return program_store(&builder, type)->length == 1;
}
