// See stacks_ahead.h.
#include "rules/stacks_ahead.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "rules/used_objects.h"

struct ahead {
	struct rule_run *run;
	enum frame_question question;
	struct heap_reader *reader;
	struct code_uses *uses;
	struct graph_walk *walk;
};

static void ahead_deinit(struct ahead *ahead)
{
	if (ahead->reader)
		heap_reader_destroy(ahead->reader);
	code_uses_destroy(ahead->uses);
}

static struct error *roots_walk(struct ahead *ahead, const struct root *roots, unsigned count)
{
	const struct heap *heap = ahead->run->analysis->heap;
	struct error *err = NULL;

	for (unsigned i = 0; i < count && !err; i++) {
		object_id object = heap_find(heap, roots[i].value);
		if (object != OBJECT_NONE)
			err = graph_walk_from(ahead->walk, object);
	}
	return err;
}

static bool is_runtimes(const struct analysis *analysis, const struct frame *frame)
{
	const struct go_module *module = &analysis->runtime->modules[frame->module];
	struct pcln_function function;

	return !pclntab_function(module->pclntab, frame->function, &function) ||
	       !strncmp(function.name, "runtime.", strlen("runtime."));
}

// `roots` are of one frame, a word of it each.
static struct error *frame_walk(struct ahead *ahead, const struct root *roots, unsigned count)
{
	const struct analysis *analysis = ahead->run->analysis;
	const struct goroutine_list *list = analysis->goroutines;
	const struct frame *frame =
		&list->frames[list->goroutines[roots->owner].first_frame + roots->frame];
	_cleanup_(used_objects_deinit) struct used_objects used = {0};
	remote_addr slots[USE_SLOTS_MAX], values[USE_SLOTS_MAX];
	const struct code_use *use;

	if (count > USE_SLOTS_MAX || is_runtimes(analysis, frame))
		return roots_walk(ahead, roots, count);
	for (unsigned i = 0; i < count; i++) {
		slots[i] = roots[i].slot;
		values[i] = roots[i].value;
	}
	struct error *err =
		code_use_of_frame(ahead->uses, ahead->question, frame, slots, count, &use);
	if (err || !use)
		return err ? err : roots_walk(ahead, roots, count);
	err = used_objects_find(ahead->run, ahead->reader, use, values, &used);
	for (size_t i = 0; i < used.kept.count && !err; i++)
		err = graph_walk_from(ahead->walk, used.kept.items[i]);
	return err;
}

static bool is_of_frame(const struct root *root)
{
	return root->kind == ROOT_STACK && root->precise && root->slot;
}

struct error *stacks_ahead_walk(struct rule_run *run, enum frame_question question,
	goroutine_test *counts, const void *context, struct graph_walk *walk)
{
	const struct root *roots = run->analysis->roots.list.items;
	size_t count = run->analysis->roots.list.count, next;
	_cleanup_(ahead_deinit) struct ahead ahead = {
		.run = run, .question = question, .walk = walk};
	struct error *err = heap_reader_create(run->analysis->heap, &ahead.reader);

	if (!err)
		err = code_uses_create(run->analysis->runtime, &ahead.uses);
	for (size_t i = 0; i < count && !err; i = next) {
		const struct root *first = &roots[i];
		next = i + 1;
		if ((first->kind != ROOT_STACK && first->kind != ROOT_DEFER) ||
			!counts(context, first->owner))
			continue;
		while (is_of_frame(first) && next < count && is_of_frame(&roots[next]) &&
			roots[next].owner == first->owner && roots[next].frame == first->frame)
			next++;
		unsigned words = (unsigned)(next - i);
		err = is_of_frame(first) ? frame_walk(&ahead, first, words)
					 : roots_walk(&ahead, first, words);
	}
	return err;
}
