// A type's mask is read from where GCData points. From 1.24 on the runtime builds the masks of
// large types only when its collector first asks (runtime/type.go, getGCMaskOnDemand), so an object
// may exist whose type has none yet: then it is put together here from the types of its elements
// and fields, as buildGCMask does, with a list of work instead of recursion.
#include "goruntime/gc_mask.h"

#include <string.h>

#include "goruntime/types.h"
#include "heapwhy/vector.h"

// Offsets in abi.Type, abi.ArrayType and abi.StructType (internal/abi/type.go; runtime/type.go
// before 1.21). They have been the same in every version from 1.19 to 1.27.
enum {
	TYPE_SIZE = 0,
	TYPE_POINTER_BYTES = 8,
	TYPE_FLAGS = 20,
	TYPE_KIND = 23,
	TYPE_GC_DATA = 32,
	TYPE_BYTES = 48,
	ARRAY_ELEM = 48,
	ARRAY_LENGTH = 64,
	STRUCT_FIELDS = 56,
	STRUCT_FIELD_COUNT = 64,
	FIELD_TYPE = 8,
	FIELD_OFFSET = 16,
	FIELD_BYTES = 24,
};

enum {
	FLAG_MASK_ON_DEMAND = 16, // abi.TFlagGCMaskOnDemand
	KIND_MASK = 31,
	FIELDS_MAX = 1 << 16,
	TASKS_MAX = 1 << 16,
	STEPS_MAX = 1 << 22,
};

struct type_record {
	uint64_t size, pointer_bytes;
	remote_addr gc_data;
	uint8_t flags, kind;
};

// Part of a mask still to be made. TASK_REPEAT comes off the list after all that its element put
// there.
struct mask_task {
	enum { TASK_TYPE, TASK_REPEAT } what;
	remote_addr type;     // TASK_TYPE
	uint64_t at;          // the word it starts at
	uint64_t period, end; // TASK_REPEAT: copy words [at, at + period) on and on up to `end`
};

typedef HW_VECTOR(struct mask_task) mask_tasks;

void gc_masks_init(struct gc_masks *masks, const struct go_runtime *runtime, struct memory *memory)
{
	*masks = (struct gc_masks){.runtime = runtime, .memory = memory};
	hw_arena_init(&masks->arena, 0);
	hw_map_init(&masks->patterns);
}

void gc_masks_deinit(struct gc_masks *masks)
{
	hw_map_deinit(&masks->patterns);
	hw_arena_deinit(&masks->arena);
}

// False for what no type with pointers can be; `room` bounds its size.
static bool type_record_read(
	struct memory *memory, remote_addr type, uint64_t room, struct type_record *out)
{
	uint8_t bytes[TYPE_BYTES];
	struct type_record record;

	if (!memory_read(memory, type, bytes, sizeof(bytes)))
		return false;
	memcpy(&record.size, bytes + TYPE_SIZE, 8);
	memcpy(&record.pointer_bytes, bytes + TYPE_POINTER_BYTES, 8);
	memcpy(&record.gc_data, bytes + TYPE_GC_DATA, 8);
	record.flags = bytes[TYPE_FLAGS];
	record.kind = bytes[TYPE_KIND] & KIND_MASK;
	if (!record.size || record.size > room || record.pointer_bytes > record.size ||
		record.pointer_bytes % 8 || (record.pointer_bytes && record.size % 8))
		return false;
	*out = record;
	return true;
}

// Where the type's mask lies; 0 when the runtime has not built it.
static remote_addr mask_address(struct gc_masks *masks, const struct type_record *type)
{
	const struct go_module *module = &masks->runtime->modules[0];

	if (!masks->runtime->layout.type_mask_on_demand || !(type->flags & FLAG_MASK_ON_DEMAND))
		return type->gc_data;
	remote_addr mask = memory_u64(masks->memory, type->gc_data);
	// While a thread builds a mask, a variable of the runtime stands in for it
	// (runtime/type.go, inProgress).
	return mask >= module->variables && mask < module->end ? 0 : mask;
}

// Copies the mask of `words` words to bit `at`.
static bool mask_copy(
	struct memory *memory, remote_addr mask, uint64_t words, uint64_t *bits, uint64_t at)
{
	for (uint64_t done = 0; done < words; done += 64) {
		unsigned count = words - done < 64 ? words - done : 64;
		uint64_t value = 0;

		if (!memory_read(memory, mask + done / 8, &value, (count + 7) / 8))
			return false;
		bits_or(bits, at + done, value, count);
	}
	return true;
}

static void mask_repeat(uint64_t *bits, uint64_t at, uint64_t period, uint64_t end)
{
	unsigned step = period < 64 ? period : 64;

	for (uint64_t to = at + period; to < end; to += step) {
		unsigned count = end - to < step ? end - to : step;
		bits_or(bits, to, bits_extract(bits, to - period), count);
	}
}

static bool mask_add_array(
	struct gc_masks *masks, remote_addr type, uint64_t at, uint64_t end, mask_tasks *tasks)
{
	remote_addr elem = memory_u64(masks->memory, type + ARRAY_ELEM);
	uint64_t length = memory_u64(masks->memory, type + ARRAY_LENGTH);
	struct type_record record;

	if (!type_record_read(masks->memory, elem, (end - at) * 8, &record))
		return false;
	if (!record.pointer_bytes || !length)
		return true;
	uint64_t period = record.size / 8;
	if (length > (end - at) / period)
		return false;
	return hw_vector_push(tasks, ((struct mask_task){.what = TASK_REPEAT,
					     .at = at,
					     .period = period,
					     .end = at + length * period})) &&
	       hw_vector_push(
		       tasks, ((struct mask_task){.what = TASK_TYPE, .type = elem, .at = at}));
}

static bool mask_add_struct(
	struct gc_masks *masks, remote_addr type, uint64_t at, uint64_t end, mask_tasks *tasks)
{
	remote_addr fields = memory_u64(masks->memory, type + STRUCT_FIELDS);
	uint64_t count = memory_u64(masks->memory, type + STRUCT_FIELD_COUNT);

	if (count > FIELDS_MAX)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		remote_addr field = fields + i * FIELD_BYTES;
		remote_addr field_type = memory_u64(masks->memory, field + FIELD_TYPE);
		uint64_t offset = memory_u64(masks->memory, field + FIELD_OFFSET);

		if (offset > (end - at) * 8)
			return false;
		if (!memory_u64(masks->memory, field_type + TYPE_POINTER_BYTES))
			continue;
		if (offset % 8 || tasks->count >= TASKS_MAX ||
			!hw_vector_push(tasks, ((struct mask_task){.what = TASK_TYPE,
						       .type = field_type,
						       .at = at + offset / 8})))
			return false;
	}
	return true;
}

static bool mask_build_step(struct gc_masks *masks, const struct mask_task *task, uint64_t words,
	uint64_t *bits, mask_tasks *tasks)
{
	struct type_record type;

	if (task->what == TASK_REPEAT) {
		mask_repeat(bits, task->at, task->period, task->end);
		return true;
	}
	if (task->at > words ||
		!type_record_read(masks->memory, task->type, (words - task->at) * 8, &type))
		return false;
	if (!(type.flags & FLAG_MASK_ON_DEMAND))
		return mask_copy(
			masks->memory, type.gc_data, type.pointer_bytes / 8, bits, task->at);
	uint64_t end = task->at + type.size / 8;
	if (type.kind == GO_ARRAY)
		return mask_add_array(masks, task->type, task->at, end, tasks);
	if (type.kind == GO_STRUCT)
		return mask_add_struct(masks, task->type, task->at, end, tasks);
	return false;
}

// Puts the mask of `type`, `words` words long, together from its parts.
static bool mask_build(struct gc_masks *masks, remote_addr type, uint64_t words, uint64_t *bits)
{
	mask_tasks tasks = HW_VECTOR_INIT;
	bool good = hw_vector_push(&tasks, ((struct mask_task){.what = TASK_TYPE, .type = type}));

	for (unsigned steps = 0; good && tasks.count; steps++) {
		struct mask_task task = tasks.items[--tasks.count];
		good = steps < STEPS_MAX && mask_build_step(masks, &task, words, bits, &tasks);
	}
	hw_vector_deinit(&tasks);
	return good;
}

static const struct gc_pattern *pattern_build(
	struct gc_masks *masks, remote_addr type, uint64_t object_bytes)
{
	struct type_record record;

	if (!type_record_read(masks->memory, type, object_bytes, &record) || record.size % 8)
		return NULL;
	uint64_t period = record.size / 8;
	struct gc_pattern *pattern = hw_arena_alloc(&masks->arena, sizeof(*pattern));
	uint64_t *bits = hw_arena_calloc(&masks->arena, bits_words(period + 64) + 1, sizeof(*bits));
	if (!pattern || !bits)
		return NULL;
	remote_addr mask = mask_address(masks, &record);
	bool good = mask ? mask_copy(masks->memory, mask, record.pointer_bytes / 8, bits, 0)
			 : mask_build(masks, type, period, bits);
	if (!good)
		return NULL;
	mask_repeat(bits, 0, period, period + 64);
	*pattern = (struct gc_pattern){period, bits};
	return pattern;
}

const struct gc_pattern *gc_pattern(struct gc_masks *masks, remote_addr type, uint64_t object_bytes)
{
	uint64_t known;

	if (type != masks->last_type || !type) {
		if (!hw_map_get(&masks->patterns, type, &known)) {
			if (masks->arena.used_bytes > GC_MASKS_BYTES_MAX) {
				hw_map_deinit(&masks->patterns);
				hw_map_init(&masks->patterns);
				hw_arena_reset(&masks->arena);
			}
			known = (uintptr_t)pattern_build(masks, type, object_bytes);
			hw_map_put(&masks->patterns, type, known);
		}
		masks->last_type = type;
		masks->last = (const struct gc_pattern *)(uintptr_t)known;
	}
	// The same type word in a smaller object is damage, not a type that fits.
	return masks->last && masks->last->period <= object_bytes / 8 ? masks->last : NULL;
}
