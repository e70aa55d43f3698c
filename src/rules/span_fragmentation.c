// span-fragmentation: spans that a few objects keep.
//
// A span holds slots of one size and goes back to the heap only when all of them are free. Partly used spans are
// normal, and their free slots are used again by the next allocations of that size. What is told here is what a burst
// leaves: most of the heap is free slots of a size that the program hardly uses any more. In a program that goes on as
// before the heap in use is at most some two or three times what is alive (GOGC), so that is where it begins.
#include <inttypes.h>

#include "base/units.h"
#include "rules/rule.h"

enum {
	CLASSES = 256,
	HEAP_RATIO = 4,   // spans in use against what is allocated in them
	SPARSE_RATIO = 4, // the same for one span
};

struct size_class {
	uint64_t spans, span_bytes, used_slots, slots, slot_bytes;
	object_id example;
};

static uint32_t used_slots(const struct heap *heap, const struct span *span, object_id *example)
{
	uint32_t used = 0;

	for (object_id id = span->first; id < span->first + span->count; id++) {
		if (!heap_bit(heap->allocated, id))
			continue;
		*example = id;
		used++;
	}
	return used;
}

static void span_count(const struct heap *heap, const struct span *span, struct size_class *classes)
{
	// Pointer-free objects of a size have spans of their own; a large object is never sparse.
	struct size_class *class = &classes[span->size_class];
	object_id example = OBJECT_NONE;

	if (!span->size_class || !span->count || span_is_unswept(heap, span))
		return;
	uint32_t used = used_slots(heap, span, &example);
	if (!used || used * SPARSE_RATIO > span->count)
		return;
	class->spans++;
	class->span_bytes += (uint64_t)span->pages * GO_PAGE_SIZE;
	class->used_slots += used;
	class->slots = span->count;
	class->slot_bytes = span->elem_size;
	class->example = example;
}

static struct error *class_report(struct rule_run *run, const struct size_class *class)
{
	uint64_t needed = (class->used_slots + class->slots - 1) / class->slots;
	char spans[24], used[24], all[24];

	if (class->spans <= needed)
		return NULL;
	uint64_t bytes = class->span_bytes / class->spans * (class->spans - needed);
	struct finding finding = {
		.bytes = bytes,
		.objects = class->used_slots,
		.type = "",
		.proven = false,
		.what = finding_text(run,
			"%s spans of %" PRIu64
			"-byte slots are kept by %s objects, in %s slots: what a burst "
			"left, which only allocations of that size can use",
			format_count(spans, sizeof(spans), class->spans), class->slot_bytes,
			format_count(used, sizeof(used), class->used_slots),
			format_count(all, sizeof(all), class->spans * class->slots)),
		.remedy = "copy the objects that have survived, which packs them, or keep what "
			  "lives long apart "
			  "from what comes in bursts",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = heap_bit(graph_reached(run->analysis->graph), class->example)
				   ? class->example
				   : NODE_NONE,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}

struct error *rule_span_fragmentation(struct rule_run *run)
{
	const struct heap *heap = run->analysis->heap;
	struct size_class classes[CLASSES] = {0};
	struct error *err = NULL;

	if (heap->in_use_bytes / HEAP_RATIO < heap->allocated_bytes + heap->dead_bytes)
		return NULL;
	for (uint32_t i = 0; i < heap->span_count; i++)
		span_count(heap, &heap->spans[i], classes);
	for (unsigned i = 0; i < CLASSES && !err; i++)
		if (classes[i].spans)
			err = class_report(run, &classes[i]);
	return err;
}
