// The order of the steps. What each finds was measured: docs/typing.md.
#include "goruntime/typing.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/executable.h"
#include "goruntime/typing_dwarf.h"
#include "goruntime/typing_private.h"
#include "goruntime/typing_labels.h"

enum { MEMORY_CACHE_BYTES = 2 << 20 };

static struct go_type *make_type(
	struct typing *typing, const char *name, enum go_kind kind, uint64_t size)
{
	struct go_type *type = type_create(typing->types);

	if (!type) {
		typing->no_memory = true;
		return NULL;
	}
	type->name = name;
	type->kind = kind;
	type->size = size;
	type->synthetic = true;
	return type;
}

static void find_known_types(struct typing *typing)
{
	struct known_types *known = &typing->known;
	struct type_table *types = typing->types;

	known->hmap = type_by_name(types, "runtime.hmap");
	known->swiss_map = type_by_name(types, "internal/runtime/maps.Map");
	known->hchan = type_by_name(types, "runtime.hchan");
	known->scase = type_by_name(types, "runtime.scase");
	known->any = type_by_name(types, "interface {}");
	known->pool_local = type_by_name(types, "sync.poolLocal");
	known->bmap = type_by_name(types, "runtime.bmap");
	known->runtime_timer = type_by_name(types, "runtime.timer");
	known->timer = type_by_name(types, "time.Timer");
	known->ticker = type_by_name(types, "time.Ticker");
	known->time_timer = type_by_name(types, "runtime.timeTimer");
	// runtime/mheap.go, getOrAddWeakHandle: new(atomic.Uintptr) to 1.2x, of the internal
	// package
	known->weak_handle = type_by_name(types, "internal/runtime/atomic.Uintptr");
	if (!known->weak_handle)
		known->weak_handle = type_by_name(types, "runtime/internal/atomic.Uintptr");
	known->string_bytes = make_type(typing, "string bytes", GO_UINT8, 1);
	known->closure = make_type(typing, "closure", GO_STRUCT, 8);
	known->plain_chan = make_type(
		typing, "runtime.hchan", GO_STRUCT, typing->heap->runtime->layout.at.hchan_size);
	if (known->timer && !known->time_timer) {
		// Up to 1.22 Timer and Ticker look the same from the runtime's side.
		struct go_type *either =
			make_type(typing, "time.Timer or Ticker", GO_STRUCT, known->timer->size);
		if (either) {
			either->fields = known->timer->fields;
			either->field_count = known->timer->field_count;
			either->pointer_bytes = known->timer->pointer_bytes;
		}
		known->some_timer = either;
	}
	if (known->closure)
		typing_set_program(typing, known->closure, OP_CLOSURE, known->closure);
	if (known->plain_chan)
		typing_set_program(typing, known->plain_chan, OP_CHAN_HEADER, known->plain_chan);
}

static struct error *typing_init(struct typing *typing, struct heap *heap,
	const struct roots *roots, const struct goroutine_list *goroutines, unsigned flags)
{
	struct error *err;

	typing->heap = heap;
	typing->roots = roots;
	typing->goroutines = goroutines;
	typing->flags = flags;
	hw_arena_init(&typing->arena, 1 << 20);
	hw_map_init(&typing->captures);
	hw_map_init(&typing->capture_types);
	hw_map_init(&typing->closures);
	hw_map_init(&typing->headers);
	hw_map_init(&typing->cut_arrays);
	hw_map_init(&typing->frame_maps);
	err = memory_init(&typing->memory, heap->runtime->target, MEMORY_CACHE_BYTES);
	if (!err)
		err = type_table_create(heap->runtime, &typing->types);
	if (err)
		return err;
	find_known_types(typing);
	return typing->no_memory ? error_no_memory() : NULL;
}

void typing_destroy(struct typing *typing)
{
	if (!typing)
		return;
	labels_destroy(typing->labels);
	typing_dwarf_destroy(typing->dwarf);
	typing_code_destroy(typing->code);
	claims_destroy(typing);
	hw_vector_deinit(&typing->globals);
	hw_vector_deinit(&typing->stack_maps);
	hw_vector_deinit(&typing->pointees);
	hw_map_deinit(&typing->captures);
	hw_map_deinit(&typing->capture_types);
	hw_map_deinit(&typing->closures);
	hw_map_deinit(&typing->headers);
	hw_map_deinit(&typing->cut_arrays);
	hw_map_deinit(&typing->frame_maps);
	free(typing->programs);
	free(typing->window);
	heap_reader_destroy(typing->reader);
	type_table_destroy(typing->types);
	memory_deinit(&typing->memory);
	hw_arena_deinit(&typing->arena);
	free(typing);
}

static struct error *open_dwarf(struct typing *typing)
{
	struct executable *executable = typing->heap->runtime->executable;

	if (typing->flags & TYPING_AS_STRIPPED || !executable || !executable_has_dwarf(executable))
		return NULL;
	return typing_dwarf_open(typing, typing->goroutines, &typing->dwarf);
}

struct error *typing_open(struct heap *heap, const struct roots *roots,
	const struct goroutine_list *goroutines, unsigned flags, struct typing **out)
{
	struct typing *typing = calloc(1, sizeof(*typing));

	if (!typing)
		return error_no_memory();
	struct error *err = typing_init(typing, heap, roots, goroutines, flags);
	if (!err)
		err = typing_code_scan(typing);
	if (!err)
		err = open_dwarf(typing);
	// Every slot has a claim in the end, and while the code is read another thread has more to do.
	if (!err)
		err = claims_create(typing);
	if (err) {
		typing_destroy(typing);
		return error_wrap(err, "reading what the program says about its types");
	}
	*out = typing;
	return NULL;
}

static void step_headers(struct typing *typing)
{
	typing_claim_headers(typing);
	typing_claim_runtime(typing);
	typing_claim_root_closures(typing);
	typing_claim_specials(typing);
}

// Each step claims, then everything it leads to is followed before the next one looks at what is
// left.
static void (*const steps[])(struct typing *typing) = {
	step_headers,
	typing_code_claim,
	typing_claim_frames,
	typing_claim_interfaces,
	typing_claim_words,
	typing_claim_maps,
};

static struct error *typing_steps(struct typing *typing)
{
	struct error *err = NULL;

	if (typing->dwarf)
		err = typing_dwarf_claim(typing->dwarf, typing->roots);
	if (!err)
		err = typing_propagate(typing);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(*steps) && !err; i++) {
		steps[i](typing);
		err = typing_propagate(typing);
	}
	return err ? err : typing_guess(typing);
}

struct error *typing_spread(struct typing *typing, const uint64_t *live)
{
	struct error *err;

	typing->live = live;
	typing->window = malloc(TYPING_WINDOW_BYTES);
	if (!typing->window)
		return error_no_memory();
	err = heap_reader_create(typing->heap, &typing->reader);
	if (!err)
		err = span_queue_create(typing->heap, typing->pending, &typing->queue);
	if (!err)
		err = typing_steps(typing);
	span_queue_destroy(take_pointer(typing->queue));
	free(take_pointer(typing->pending));
	free(take_pointer(typing->window));
	if (!err) {
		typing_settle_parts(typing);
		typing_settle_pointees(typing);
	}
	if (!err)
		err = labels_create(typing, &typing->labels);
	parts_deinit(&typing->parts);
	return err ? error_wrap(err, "giving the objects types") : NULL;
}

struct type_table *typing_types(struct typing *typing)
{
	return typing->types;
}

bool typing_local(struct typing *typing, const struct root *root, const char **name)
{
	return typing->dwarf && typing_dwarf_local(typing->dwarf, root, name);
}

size_t typing_local_parts(
	struct typing *typing, const struct root *root, struct local_part *out, size_t max)
{
	return typing->dwarf ? typing_dwarf_parts(typing->dwarf, root, out, max) : 0;
}

const struct stack_map *typing_stack_maps(const struct typing *typing, size_t *count)
{
	*count = typing->stack_maps.count;
	return typing->stack_maps.items;
}
